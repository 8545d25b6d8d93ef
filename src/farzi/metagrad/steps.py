"""A step of an inner run, there or back, as one function of numbers and tensors: what is executed, or compiled."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from farzi.metagrad.hvp import Hvp, gradient
from farzi.metagrad.optimizer import Cotangent, Optimizer, Rates, State
from farzi.metagrad.tensors import Layout, Loss, Tensors


def _batch(examples: Tensors, shared: Tensors, indices: Tensor) -> Tensors:
    """Picked where it is used, so that a program need not copy the rows."""
    return {name: part.index_select(0, indices) for name, part in examples.items()} | shared


@dataclass(frozen=True)
class _WithGradient:
    """What steps to either side share.

    Args:
        optimizer: whose step it is.
        dtype: the model's own; states may be finer.
    """

    optimizer: Optimizer
    dtype: torch.dtype

    def gradient(self, loss: Loss, layout: Layout, weights: Tensor, rows: tuple[Any, ...]) -> Tensor:
        """The gradient of a batch, as fine as the weights."""
        return gradient(loss, layout, weights.to(self.dtype), _batch(*rows))[1].to(weights.dtype)


class Forward(_WithGradient):
    """A step from its beginning."""

    __name__ = "a gradient step"

    def __call__(
        self, loss: Loss, layout: Layout, rates: Rates, weights: Tensor, moments: Tensors, *rows: Any
    ) -> tuple[Tensor, Tensor, Tensors]:
        """From weights and moments before the step to its gradient, and weights and moments after it."""
        grad = self.gradient(loss, layout, weights, rows)
        after = self.optimizer.step(State(0, weights, moments), grad, rates)
        return grad, after.weights, after.moments


class Undo(_WithGradient):
    """A step from its end."""

    __name__ = "an undone step"

    def __call__(
        self, loss: Loss, layout: Layout, rates: Rates, weights: Tensor, moments: Tensors, *rows: Any
    ) -> tuple[Tensor, Tensor, Tensors]:
        """From weights and moments after the step to its gradient, and weights and moments before it."""
        before = self.optimizer.weights_before(State(0, weights, moments), rates)
        grad = self.gradient(loss, layout, before, rows)
        return grad, before, self.optimizer.undo(moments, grad)


@dataclass(frozen=True)
class Backward:
    """The way back over a step.

    Args:
        optimizer: took the step.
        engine: makes the Hessian-vector product.
    """

    optimizer: Optimizer
    engine: Hvp

    @property
    def __name__(self) -> str:
        return f"a step back by {getattr(self.engine, '__name__', self.engine)}"

    def __call__(
        self,
        loss: Loss,
        layout: Layout,
        rates: Rates,
        weights: Tensor,
        moments: Tensors,
        grad: Tensor,
        weights_after: Tensor,
        moments_after: Tensors,
        d_weights: Tensor,
        d_moments: Tensors,
        *rows: Any,
    ) -> tuple[Tensor, tuple[Tensor, Tensors], Tensors]:
        """Derivatives by learning rate and decay ``(2,)``, by the state before the step, and by its batch."""
        before, after = State(0, weights, moments), State(1, weights_after, moments_after)
        d = Cotangent(d_weights, d_moments)
        d_grad, d, by_rates = self.optimizer.adjoint(before, grad, after, rates, d)
        product, mixed = self.engine(loss, layout, weights, _batch(*rows), d_grad)
        return torch.stack(by_rates), (d.weights + product, d.moments), mixed
