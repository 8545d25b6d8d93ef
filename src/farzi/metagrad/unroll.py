"""An inner training run, and the gradient of what it leads to."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from farzi.metagrad.adam import Adam
from farzi.metagrad.execution import Eager, Execution
from farzi.metagrad.hvp import Hvp, gradient, reverse_over_forward, reverse_over_reverse
from farzi.metagrad.optimizer import Cotangent, Optimizer, Rates, State
from farzi.metagrad.replay import Replay, Step, StoreAll
from farzi.metagrad.steps import Backward, Forward, Undo
from farzi.metagrad.tensors import Layout, Loss, Tensors

logger = logging.getLogger(__name__)

OuterLoss = Callable[[Tensors], Tensor]
"""A scalar of the trained parameters."""


class NonFiniteError(ArithmeticError):
    """A gradient on the way there or back has an entry that is infinite or not a number."""


@dataclass(frozen=True, kw_only=True)
class MetaGradient:
    """What an outer loss owes to everything that an inner run started from.

    Args:
        value: the outer loss.
        examples: derivatives by the training examples, shaped like them.
        shared: derivatives by the tensors that all steps share, shaped like them.
        weights: derivative by the weights at the start, ``(size,)``.
        lr: derivative by the learning rate, shaped like it: ``()`` or ``(steps,)``.
        decay: likewise, by the weight decay.
        final: the inner state at the end.
    """

    value: float
    examples: Tensors
    shared: Tensors
    weights: Tensor
    lr: Tensor
    decay: Tensor
    final: State


@dataclass(frozen=True, kw_only=True)
class InnerRun:
    """Training by a pure optimiser on batches of examples, ready to be differentiated.

    Args:
        loss: ``loss(parameters, batch)``, a scalar; deterministic and twice differentiable. A batch holds the chosen
            rows of the examples, and the shared tensors whole.
        layout: names and shapes of the parameters.
        optimizer: the inner optimiser.
        replay: how states are kept for the way back.
        engines: ways to make Hessian-vector products; the first that the loss allows is used.
        execution: how steps, there and back, are executed.

    Raises:
        ValueError: there is no engine.
    """

    loss: Loss
    layout: Layout
    optimizer: Optimizer = field(default_factory=Adam)
    replay: Replay = field(default_factory=StoreAll)
    engines: tuple[Hvp, ...] = (reverse_over_forward, reverse_over_reverse)
    execution: Execution = field(default_factory=Eager)

    def __post_init__(self) -> None:
        if not self.engines:
            raise ValueError("engines is empty; it must name at least one way to make Hessian-vector products")

    def run(
        self,
        start: State,
        examples: Tensors,
        schedule: Tensor,
        lr: float | Tensor,
        *,
        decay: float | Tensor = 0.0,
        shared: Tensors | None = None,
    ) -> State:
        """Train, keeping nothing.

        Args:
            start: state before the first step.
            examples: named tensors whose first axis counts the examples.
            schedule: indices of the examples of each step, ``(steps, batch)``.
            lr: learning rate, or one for each step, ``(steps,)``.
            decay: decoupled weight decay, likewise.
            shared: named tensors that every step sees whole.

        Returns:
            the state after the last step.

        Raises:
            NonFiniteError: a step's gradient is not finite.
        """
        trainer = _Trainer(self, examples, shared or {}, schedule, lr, decay, start.weights.dtype)
        state = start
        for number in range(len(schedule)):
            state = trainer.advance(number, state).after
        return state

    def differentiate(
        self,
        outer: OuterLoss,
        start: State,
        examples: Tensors,
        schedule: Tensor,
        lr: float | Tensor,
        *,
        decay: float | Tensor = 0.0,
        shared: Tensors | None = None,
    ) -> MetaGradient:
        """Train, then carry the outer loss's gradient back through every step exactly (docs/method.md, section 2).

        Args:
            outer: scalar outer loss of the trained parameters.
            start: state before the first step.
            examples: named tensors whose first axis counts the examples; those of a floating type get gradients.
            schedule: indices of the examples of each step, ``(steps, batch)``.
            lr: learning rate, or one for each step, ``(steps,)``.
            decay: decoupled weight decay, likewise.
            shared: named tensors that every step sees whole; those of a floating type get gradients.

        Returns:
            the outer loss and its gradients.

        Raises:
            NonFiniteError: a gradient is not finite, on the way there or back.
            ReplayError: a step came out differently on the way back.
            ValueError: there is not one learning rate or decay for each step.
        """
        trainer = _Trainer(self, examples, shared or {}, schedule, lr, decay, start.weights.dtype)
        final, steps = self.replay.forward(trainer, start, len(schedule))
        value, d_weights = gradient(lambda parameters, _: outer(parameters), self.layout, final.weights, {})
        _check_finite(self.layout, d_weights, "the outer loss")
        d = Cotangent(d_weights, self.optimizer.zero_moments(d_weights))
        d_inputs = {name: torch.zeros_like(part) for name, part in trainer.differentiable.items()}
        d_rates = d_weights.new_zeros(2, len(schedule))
        way_back = _FirstThatWorks(self)
        for step in steps:
            rates, rows = trainer.rates(step.number, step.after.count), trainer.rows(step.number)
            by_rates, d, mixed = way_back(rates, *step.before[1:], step.grad, *step.after[1:], *d, *rows)
            d_rates[:, step.number] = by_rates
            try:
                _check_finite(self.layout, d.weights, f"inner step {step.number}, on the way back", mixed)
            except NonFiniteError as error:
                steps.throw(error)
                raise
            for name, part in mixed.items():
                if name in examples:
                    d_inputs[name].index_add_(0, schedule[step.number], part)
                else:
                    d_inputs[name] += part
        return MetaGradient(
            value=float(value),
            examples={name: part for name, part in d_inputs.items() if name in examples},
            shared={name: part for name, part in d_inputs.items() if name not in examples},
            weights=d.weights,
            lr=d_rates[0] if isinstance(lr, Tensor) and lr.ndim else d_rates[0].sum(),
            decay=d_rates[1] if isinstance(decay, Tensor) and decay.ndim else d_rates[1].sum(),
            final=final,
        )


class _Trainer:
    """The steps of one run."""

    def __init__(
        self,
        run: InnerRun,
        examples: Tensors,
        shared: Tensors,
        schedule: Tensor,
        lr: float | Tensor,
        decay: float | Tensor,
        dtype: torch.dtype,
    ) -> None:
        if both := examples.keys() & shared.keys():
            raise ValueError(f"{sorted(both)} are names of examples and of shared tensors; give them different ones")
        self.run, self.examples, self.shared, self.schedule, self.dtype = run, examples, shared, schedule, dtype
        steps = len(schedule)
        self._rates = list(zip(_each("lr", lr, steps), _each("decay", decay, steps), strict=True))
        self.differentiable = {k: part for k, part in {**examples, **shared}.items() if part.is_floating_point()}

    def rates(self, number: int, count: int) -> Rates:
        """Of step ``number`` of the run, which is number ``count`` since the optimiser began."""
        return self.run.optimizer.rates(count, *self._rates[number])

    def rows(self, number: int) -> tuple[Tensors, Tensors, Tensor]:
        """What a step's batch is picked from, and the rows to pick."""
        return self.examples, self.shared, self.schedule[number]

    def advance(self, number: int, state: State) -> Step:
        grad, weights, moments = self._execute(Forward, number, state.count + 1, state)
        return Step(number, state, grad, State(state.count + 1, weights, moments))

    def retreat(self, number: int, state: State) -> Step:
        grad, weights, moments = self._execute(Undo, number, state.count, state)
        return Step(number, State(state.count - 1, weights, moments), grad, state)

    def _execute(
        self, kind: type[Forward | Undo], number: int, count: int, state: State
    ) -> tuple[Tensor, Tensor, Tensors]:
        run = self.run
        step, tensors = kind(run.optimizer, self.dtype), (*state[1:], *self.rows(number))
        found = run.execution(step, run.loss, run.layout, self.rates(number, count), *tensors)
        _check_finite(run.layout, found[0], f"inner step {number}")
        return found


class _FirstThatWorks:
    """The way back by engines in turn until one can differentiate the loss; by that one from then on."""

    def __init__(self, run: InnerRun) -> None:
        self._run, self._engines = run, list(run.engines)

    def __call__(self, *step: Any) -> tuple[Tensor, Cotangent, Tensors]:
        while len(self._engines) > 1:
            try:
                result = self._by(self._engines[0], step)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:  # NotImplementedError is one
                failed = getattr(self._engines[0], "__name__", self._engines[0])
                logger.info("%s cannot differentiate this loss (%s)", failed, str(error).partition("\n")[0])
                del self._engines[0]
            else:
                self._engines = self._engines[:1]
                return result
        return self._by(self._engines[0], step)

    def _by(self, engine: Hvp, step: tuple[Any, ...]) -> tuple[Tensor, Cotangent, Tensors]:
        run = self._run
        by_rates, d, mixed = run.execution(Backward(run.optimizer, engine), run.loss, run.layout, *step)
        return by_rates, Cotangent(*d), mixed


def _each(name: str, rate: float | Tensor, steps: int) -> list[float]:
    """A rate for each step."""
    if isinstance(rate, Tensor):
        rate = rate.detach()
    values = [float(rate)] * steps if not isinstance(rate, Tensor) or rate.ndim == 0 else rate.tolist()
    if len(values) != steps:
        raise ValueError(f"{name} has {len(values)} values for {steps} steps; give one number, or one for each step")
    return values


def _check_finite(layout: Layout, weights: Tensor, where: str, others: Tensors | None = None) -> None:
    """Name the first tensor that is not finite; sums tell, in one pass, whether it is worth a closer look."""
    others = others or {}
    if all(math.isfinite(float(part.sum())) for part in (weights, *others.values())):
        return
    for name, part in (layout.unflatten(weights) | others).items():
        if bad := int((~part.isfinite()).sum()):
            raise NonFiniteError(f"{where}: the gradient by {name!r} is not finite in {bad} of {part.numel()} entries")
