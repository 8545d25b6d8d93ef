"""What an inner optimiser is: a rule that turns gradients into directions, and the adjoint of that rule."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from farzi.metagrad.tensors import Tensors


class State(NamedTuple):
    """What training carries from step to step.

    Args:
        count: steps taken.
        weights: parameters as one vector, ``(size,)``.
        moments: what the optimiser remembers, by name, each ``(size,)``.
    """

    count: int  # pyright: ignore[reportIncompatibleMethodOverride]  (hides tuple.count, of no use on a state)
    weights: Tensor
    moments: Tensors


def map_state(state: State, change: Callable[[Tensor], Tensor]) -> State:
    """A state with every tensor changed."""
    moments = {name: change(part) for name, part in state.moments.items()}
    return State(state.count, change(state.weights), moments)


class Cotangent(NamedTuple):
    """Derivatives of the outer loss by a state's weights and moments, shaped like these."""

    weights: Tensor
    moments: Tensors


class Rates(NamedTuple):
    """The numbers of one step; see :meth:`Optimizer.rates`.

    Args:
        lr: learning rate.
        decay: decoupled weight decay (Loshchilov and Hutter, 2019, arXiv 1711.05101): weights shrink by ``lr * decay``.
        corrections: what the rule takes from the number of the step.
    """

    lr: float
    decay: float
    corrections: tuple[float, ...]


class Optimizer(ABC):
    """A pure update rule with a hand-written adjoint, on one flat vector of parameters.

    A step is ``w <- (1 - lr * decay) w - lr * direction``. A member of the family says which moments it keeps, how they
    and the gradient give the direction, and how derivatives go back through that; the rest is shared.
    """

    reversible: bool = True
    """Whether the direction follows from the moments after the step alone, so that the step can be undone."""

    @abstractmethod
    def zero_moments(self, weights: Tensor) -> Tensors:
        """The moments before the first step."""

    @abstractmethod
    def corrections(self, count: int) -> tuple[float, ...]:
        """What the rule takes from the number of a step, counted from 1."""

    @abstractmethod
    def update(self, moments: Tensors, grad: Tensor) -> Tensors:
        """The moments after a step."""

    @abstractmethod
    def direction(self, corrections: tuple[float, ...], moments: Tensors, grad: Tensor | None) -> Tensor:
        """The direction of a step, from the moments after it and its gradient; reversible rules need no gradient."""

    @abstractmethod
    def direction_adjoint(
        self, corrections: tuple[float, ...], moments: Tensors, grad: Tensor, d_direction: Tensor, d_moments: Tensors
    ) -> tuple[Tensor, Tensors]:
        """Derivatives by gradient and moments before a step, from those by direction and moments after it."""

    @abstractmethod
    def undo(self, moments: Tensors, grad: Tensor) -> Tensors:
        """The moments before a step, from those after it and its gradient; reversible rules only."""

    def init(self, weights: Tensor) -> State:
        """The state before the first step.

        Args:
            weights: initial parameters, ``(size,)``.

        Returns:
            a state with all moments zero.
        """
        return State(0, weights, self.zero_moments(weights))

    def rates(self, count: int, lr: float, decay: float = 0.0) -> Rates:
        """The numbers of a step.

        Args:
            count: number of the step, counted from 1.
            lr: learning rate.
            decay: decoupled weight decay.

        Returns:
            both, with what the rule takes from the number.
        """
        return Rates(lr, decay, self.corrections(count))

    def step(self, state: State, grad: Tensor, rates: Rates) -> State:
        """One step.

        Args:
            state: before the step; not changed.
            grad: gradient at ``state.weights``, ``(size,)``.
            rates: of the step.

        Returns:
            the state after the step.
        """
        moments = self.update(state.moments, grad)
        direction = self.direction(rates.corrections, moments, grad)
        kept = state.weights * (1 - rates.lr * rates.decay)
        return State(state.count + 1, kept - direction * rates.lr, moments)

    def weights_before(self, after: State, rates: Rates) -> Tensor:
        """Undo a step's change of the weights.

        Args:
            after: state after the step.
            rates: of the step.

        Returns:
            the weights before it, ``(size,)``, up to rounding.

        Raises:
            ValueError: the rule is not reversible.
        """
        if not self.reversible:
            raise ValueError(f"{self} cannot be undone; replay with StoreAll(), Segments() or Tree() instead")
        moved = self.direction(rates.corrections, after.moments, None)
        return (after.weights + moved * rates.lr) / (1 - rates.lr * rates.decay)

    def adjoint(
        self, before: State, grad: Tensor, after: State, rates: Rates, d: Cotangent
    ) -> tuple[Tensor, Cotangent, tuple[Tensor, Tensor]]:
        """Carry a cotangent back over one step, all but the part that goes through the gradient.

        The caller adds the Hessian's product with the returned gradient cotangent to the returned weights
        (docs/method.md, section 2).

        Args:
            before: state before the step.
            grad: the gradient that the step used, ``(size,)``.
            after: state after the step.
            rates: of the step.
            d: cotangent of the state after the step.

        Returns:
            the gradient's cotangent ``(size,)``; the cotangent of the state before the step, but for the path through
            the gradient; the derivatives by learning rate and decay, scalars.
        """
        direction = self.direction(rates.corrections, after.moments, grad)
        shrunk = torch.dot(d.weights, before.weights)
        d_lr = -torch.dot(d.weights, direction) - rates.decay * shrunk
        d_direction = d.weights * -rates.lr
        d_grad, moments = self.direction_adjoint(rates.corrections, after.moments, grad, d_direction, d.moments)
        weights = d.weights * (1 - rates.lr * rates.decay)
        return d_grad, Cotangent(weights, moments), (d_lr, -rates.lr * shrunk)
