"""Adam as a pure step, and the exact adjoint of that step."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class AdamState(NamedTuple):
    """What Adam carries from step to step.

    Args:
        count: steps taken.
        weights: parameters as one vector, ``(size,)``.
        first: mean of gradients ``m``, ``(size,)``.
        second: mean of squared gradients ``v``, ``(size,)``.
    """

    count: int  # pyright: ignore[reportIncompatibleMethodOverride]  (hides tuple.count, of no use on a state)
    weights: Tensor
    first: Tensor
    second: Tensor


class Cotangent(NamedTuple):
    """Derivatives of the outer loss by a state's tensors: each ``(size,)``."""

    weights: Tensor
    first: Tensor
    second: Tensor


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam (Kingma and Ba, 2015, arXiv 1412.6980) on one flat vector of parameters.

    The learning rate is passed to each call, because it may be learned.

    Args:
        beta1: decay of the mean of gradients, in [0, 1).
        beta2: decay of the mean of squared gradients, in [0, 1).
        epsilon: added to the root of the second moment, positive.

    Raises:
        ValueError: a value is outside its range.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 0 and below 1")
        if self.epsilon <= 0:
            raise ValueError(f"epsilon is {self.epsilon}; it must be positive")

    def init(self, weights: Tensor) -> AdamState:
        """The state before the first step.

        Args:
            weights: initial parameters, ``(size,)``.

        Returns:
            a state with both moments zero.
        """
        return AdamState(0, weights, torch.zeros_like(weights), torch.zeros_like(weights))

    def step(self, state: AdamState, grad: Tensor, lr: float) -> AdamState:
        """One step.

        Args:
            state: before the step; not changed.
            grad: gradient at ``state.weights``, ``(size,)``.
            lr: learning rate.

        Returns:
            the state after the step.
        """
        count = state.count + 1
        first = torch.lerp(grad, state.first, self.beta1)
        second = (state.second * self.beta2).addcmul_(grad, grad, value=1 - self.beta2)
        rate, denominator = self._rate(count, lr), self._denominator(count, second)
        return AdamState(count, state.weights.addcdiv(first, denominator, value=-rate), first, second)

    def adjoint(self, after: AdamState, grad: Tensor, lr: float, d: Cotangent) -> tuple[Tensor, Cotangent, float]:
        """Carry a cotangent back over one step, all but the part that goes through the gradient.

        The caller adds the Hessian's product with the returned gradient cotangent to the returned weights.
        Where ``v = 0`` nothing flows through the second moment (docs/method.md, section 2).

        Args:
            after: state after the step.
            grad: the gradient that the step used, ``(size,)``.
            lr: learning rate of the step.
            d: cotangent of the state after the step.

        Returns:
            the gradient's cotangent ``(size,)``; the cotangent of the state before the step, but for the path through
            the gradient; the derivative by the learning rate.
        """
        rate, denominator = self._rate(after.count, lr), self._denominator(after.count, after.second)
        direction = after.first / denominator
        d_lr = -float(torch.dot(d.weights, direction)) * self._rate(after.count, 1)
        d_first = d.first.addcdiv(d.weights, denominator, value=-rate)
        root = after.second.sqrt()
        through = (direction * d.weights).div_(root * denominator).mul_(rate / 2)
        d_second = d.second + through.masked_fill_(after.second == 0, 0)
        d_grad = (grad * d_second).mul_(2 * (1 - self.beta2)).add_(d_first, alpha=1 - self.beta1)
        return d_grad, Cotangent(d.weights, d_first.mul_(self.beta1), d_second.mul_(self.beta2)), d_lr

    def _rate(self, count: int, lr: float) -> float:
        return lr * (1 - self.beta2**count) ** 0.5 / (1 - self.beta1**count)

    def _denominator(self, count: int, second: Tensor) -> Tensor:
        return second.sqrt().add_(self.epsilon * (1 - self.beta2**count) ** 0.5)
