"""Stochastic gradient descent with momentum, and its adjoint."""

from dataclasses import dataclass

import torch
from torch import Tensor

from farzi.metagrad.optimizer import Optimizer
from farzi.metagrad.tensors import Tensors


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Gradient descent with momentum, in torch's form: ``v <- momentum v + g``, and the direction is ``v``.

    Args:
        momentum: in [0, 1); 0 follows the gradient itself.
        nesterov: take ``g + momentum v`` as direction (Sutskever et al., 2013).

    Raises:
        ValueError: the momentum is outside its range, or Nesterov's direction is asked for without any.
    """

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum is {self.momentum}; it must be at least 0 and below 1")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov is true, but momentum is 0; it must be positive")

    @property
    def reversible(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Only where the velocity alone is the direction."""
        return self.momentum > 0 and not self.nesterov

    def zero_moments(self, weights: Tensor) -> Tensors:
        """``velocity``, or nothing without momentum."""
        return {"velocity": torch.zeros_like(weights)} if self.momentum else {}

    def corrections(self, count: int) -> tuple[float, ...]:  # noqa: ARG002
        """None: all steps are alike."""
        return ()

    def update(self, moments: Tensors, grad: Tensor) -> Tensors:
        """Slow down, and add the gradient."""
        return {name: grad.add(velocity, alpha=self.momentum) for name, velocity in moments.items()}

    def direction(self, corrections: tuple[float, ...], moments: Tensors, grad: Tensor | None) -> Tensor:  # noqa: ARG002
        """The velocity, Nesterov's look ahead of it, or the gradient."""
        if self.reversible:
            return moments["velocity"]
        assert grad is not None, "this direction depends on the gradient itself"
        return grad.add(moments["velocity"], alpha=self.momentum) if self.nesterov else grad

    def direction_adjoint(
        self,
        corrections: tuple[float, ...],  # noqa: ARG002
        moments: Tensors,
        grad: Tensor,  # noqa: ARG002
        d_direction: Tensor,
        d_moments: Tensors,
    ) -> tuple[Tensor, Tensors]:
        """Linear: nothing depends on the gradient's value."""
        if not moments:
            return d_direction, {}
        d_velocity = d_moments["velocity"].add(d_direction, alpha=self.momentum if self.nesterov else 1)
        d_grad = d_velocity + d_direction if self.nesterov else d_velocity
        return d_grad, {"velocity": d_velocity * self.momentum}

    def undo(self, moments: Tensors, grad: Tensor) -> Tensors:
        """The velocity before the gradient entered it."""
        return {"velocity": (moments["velocity"] - grad) / self.momentum}
