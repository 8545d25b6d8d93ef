"""Adam, its exact adjoint, and the adjoint as the paper has it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from farzi.metagrad.optimizer import Optimizer
from farzi.metagrad.tensors import Tensors


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015, arXiv 1412.6980); with a decay, AdamW.

    Args:
        beta1: decay of the mean of gradients, in [0, 1).
        beta2: decay of the mean of squared gradients, in [0, 1).
        epsilon: added to the root of the second moment, positive.
        epsilon_root: added under the root, not negative. The root has no derivative where the second moment is 0, and
            there none is passed on; a positive value makes it smooth.

    Raises:
        ValueError: a value is outside its range.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    epsilon_root: float = 0.0

    def __post_init__(self) -> None:
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 0 and below 1")
        if not self.epsilon > 0:
            raise ValueError(f"epsilon is {self.epsilon}; it must be positive")
        if not self.epsilon_root >= 0:
            raise ValueError(f"epsilon_root is {self.epsilon_root}; it must not be negative")

    @property
    def reversible(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Unless a mean forgets at once what it was."""
        return self.beta1 > 0 and self.beta2 > 0

    def zero_moments(self, weights: Tensor) -> Tensors:
        """``first`` and ``second``, the means of gradients and of their squares."""
        return {"first": torch.zeros_like(weights), "second": torch.zeros_like(weights)}

    def corrections(self, count: int) -> tuple[float, ...]:
        """For the bias of both means: of their quotient; of ``epsilon_root`` and ``epsilon``, beside what is biased."""
        bias = 1 - self.beta2**count
        return bias**0.5 / (1 - self.beta1**count), self.epsilon_root * bias, self.epsilon * bias**0.5

    def update(self, moments: Tensors, grad: Tensor) -> Tensors:
        """Move both means towards the gradient and its square."""
        second = (moments["second"] * self.beta2).addcmul_(grad, grad, value=1 - self.beta2)
        return {"first": torch.lerp(grad, moments["first"], self.beta1), "second": second}

    def direction(self, corrections: tuple[float, ...], moments: Tensors, grad: Tensor | None) -> Tensor:  # noqa: ARG002
        """The first mean over the root of the second, both without their bias."""
        _, denominator = self._roots(corrections, moments["second"])
        return (moments["first"] / denominator).mul_(corrections[0])

    def direction_adjoint(
        self, corrections: tuple[float, ...], moments: Tensors, grad: Tensor, d_direction: Tensor, d_moments: Tensors
    ) -> tuple[Tensor, Tensors]:
        """docs/method.md, section 2; where ``v = 0`` nothing flows through the second moment."""
        d_first, through_second = self._through(corrections, moments, d_direction)
        d_first += d_moments["first"]
        d_second = through_second.add_(d_moments["second"])
        d_grad = (grad * d_second).mul_(2 * (1 - self.beta2)).add_(d_first, alpha=1 - self.beta1)
        return d_grad, {"first": d_first.mul_(self.beta1), "second": d_second.mul_(self.beta2)}

    def undo(self, moments: Tensors, grad: Tensor) -> Tensors:
        """Both means before the gradient entered them."""
        first = moments["first"].sub(grad, alpha=1 - self.beta1).div_(self.beta1)
        second = moments["second"].addcmul(grad, grad, value=self.beta2 - 1).div_(self.beta2)
        second.clamp_min_(0)  # rounding may leave a little less than the nothing that there was
        return {"first": first, "second": second}

    def _through(self, corrections: tuple[float, ...], moments: Tensors, d_direction: Tensor) -> tuple[Tensor, Tensor]:
        """What a direction's cotangent adds to those of the two moments after the step."""
        root, denominator = self._roots(corrections, moments["second"])
        d_first = (d_direction / denominator).mul_(corrections[0])
        d_second = (d_first * moments["first"]).div_(root * denominator).mul_(-0.5)
        return d_first, d_second.masked_fill_(root == 0, 0)

    def _roots(self, corrections: tuple[float, ...], second: Tensor) -> tuple[Tensor, Tensor]:
        """The second moment's root, and the denominator: both still biased, which the correction mends."""
        _, under_root, beside_root = corrections
        root = (second + under_root if self.epsilon_root else second).sqrt()
        return root, root + beside_root


@dataclass(frozen=True, kw_only=True)
class FoldedAdam(Adam):
    """Adam with the adjoint of Farzi Data's Algorithm 1 (Sachdeva et al., 2023), which is not exact.

    It steps as Adam does, but on the way back the effect through the second moment is folded into the first one's
    cotangent, where it decays with ``beta1`` instead of ``beta2``. It is here to be compared with
    (docs/adjoint.md tells how far off it is).
    """

    def direction_adjoint(
        self, corrections: tuple[float, ...], moments: Tensors, grad: Tensor, d_direction: Tensor, d_moments: Tensors
    ) -> tuple[Tensor, Tensors]:
        """Both effects in the first moment's cotangent; the second one's stays zero."""
        d_first, through_second = self._through(corrections, moments, d_direction)
        folded = d_first.addcmul_(through_second, grad, value=2 * (1 - self.beta2) / (1 - self.beta1))
        folded += d_moments["first"]
        return folded * (1 - self.beta1), {"first": folded.mul_(self.beta1), "second": d_moments["second"]}
