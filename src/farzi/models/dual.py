"""Functions that carry a direction along, for differentiating twice: reverse over forward.

PyTorch breaks a function of dual numbers into a dozen small operations, each with a tangent and a node of the graph of
its own. The functions built on this page have value and tangent in closed form, and one node.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad


def has_tangent(*tensors: Tensor | None) -> bool:
    """Whether a direction is attached to any of some tensors.

    Args:
        tensors: None counts as a constant.

    Returns:
        true within ``forward_ad.dual_level`` for tensors that depend on one that was made dual there.
    """
    if forward_ad._current_level < 0:  # pyright: ignore[reportPrivateUsage]
        return False
    return any(tensor is not None and forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors)


def unpack(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """A tensor and its direction, zero where it has none."""
    primal, tangent = forward_ad.unpack_dual(tensor)
    return primal, torch.zeros_like(primal) if tangent is None else tangent


def apply_dual(function: Callable[..., tuple[Tensor, Tensor]], *tensors: Tensor) -> Tensor:
    """Call a function of primals and tangents that gives a primal and a tangent.

    Args:
        function: takes all primals, then all tangents.
        tensors: its inputs, dual or not.

    Returns:
        a dual tensor.
    """
    primals, tangents = zip(*(unpack(tensor) for tensor in tensors), strict=True)
    return forward_ad.make_dual(*function(*primals, *tangents))
