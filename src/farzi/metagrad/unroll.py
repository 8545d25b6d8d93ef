"""An inner training run, and the gradient of what it leads to."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from farzi.metagrad.adam import Adam, AdamState, Cotangent
from farzi.metagrad.hvp import Hvp, gradient, reverse_over_forward
from farzi.metagrad.replay import Replay, Step, StoreAll
from farzi.metagrad.tensors import Layout, Loss, Tensors

OuterLoss = Callable[[Tensors], Tensor]
"""A scalar of the trained parameters."""


@dataclass(frozen=True, kw_only=True)
class MetaGradient:
    """What an outer loss owes to everything that an inner run started from.

    Args:
        value: the outer loss.
        examples: derivatives by the training examples, shaped like them.
        weights: derivative by the weights at the start, ``(size,)``.
        lr: derivative by the learning rate.
        final: the inner state at the end.
    """

    value: float
    examples: Tensors
    weights: Tensor
    lr: float
    final: AdamState


@dataclass(frozen=True, kw_only=True)
class InnerRun:
    """Training by a pure optimiser on batches of examples, ready to be differentiated.

    Args:
        loss: ``loss(parameters, batch)``, a scalar; deterministic and twice differentiable.
        layout: names and shapes of the parameters.
        optimizer: the inner optimiser.
        replay: how states are kept for the way back.
        hvp: how Hessian-vector products are made.
    """

    loss: Loss
    layout: Layout
    optimizer: Adam = field(default_factory=Adam)
    replay: Replay = field(default_factory=StoreAll)
    hvp: Hvp = reverse_over_forward

    def run(self, start: AdamState, examples: Tensors, schedule: Tensor, lr: float) -> AdamState:
        """Train, keeping nothing.

        Args:
            start: state before the first step.
            examples: named tensors whose first axis counts the examples.
            schedule: indices of the examples of each step, ``(steps, batch)``.
            lr: learning rate.

        Returns:
            the state after the last step.
        """
        state = start
        for indices in schedule:
            state = self._advance(state, examples, indices, lr, 0).after
        return state

    def differentiate(
        self, outer: OuterLoss, start: AdamState, examples: Tensors, schedule: Tensor, lr: float
    ) -> MetaGradient:
        """Train, then carry the outer loss's gradient back through every step exactly (docs/method.md, section 2).

        Args:
            outer: scalar outer loss of the trained parameters.
            start: state before the first step.
            examples: named tensors whose first axis counts the examples; those of a floating type get gradients.
            schedule: indices of the examples of each step, ``(steps, batch)``.
            lr: learning rate.

        Returns:
            the outer loss and its gradients.
        """

        def advance(number: int, state: AdamState) -> Step:
            return self._advance(state, examples, schedule[number], lr, number)

        final, steps = self.replay.forward(advance, start, len(schedule))
        value, d_weights = gradient(lambda parameters, _: outer(parameters), self.layout, final.weights, {})
        d = Cotangent(d_weights, torch.zeros_like(d_weights), torch.zeros_like(d_weights))
        d_examples = {name: torch.zeros_like(part) for name, part in examples.items() if part.is_floating_point()}
        d_lr = 0.0
        for step in steps:
            d_grad, d, d_lr_here = self.optimizer.adjoint(step.after, step.grad, lr, d)
            d_lr += d_lr_here
            indices = schedule[step.number]
            batch = _select(examples, indices)
            product, mixed = self.hvp(self.loss, self.layout, step.before.weights, batch, d_grad)
            d = d._replace(weights=d.weights + product)
            for name, part in mixed.items():
                d_examples[name].index_add_(0, indices, part)
        return MetaGradient(value=float(value), examples=d_examples, weights=d.weights, lr=d_lr, final=final)

    def _advance(self, state: AdamState, examples: Tensors, indices: Tensor, lr: float, number: int) -> Step:
        _, grad = gradient(self.loss, self.layout, state.weights, _select(examples, indices))
        return Step(number, state, grad, self.optimizer.step(state, grad, lr))


def _select(examples: Tensors, indices: Tensor) -> Tensors:
    return {name: part[indices] for name, part in examples.items()}
