"""Layers of later transformers; like those of ``layers`` they can be differentiated twice."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from farzi.models.dual import apply_dual, has_tangent

RMS_NORM_EPSILON = 1e-5
ROTARY_BASE = 10_000.0


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    """Bring the last axis to a mean square of 1, then scale (Zhang and Sennrich, 2019, arXiv 1910.07467).

    Args:
        x: ``(..., dim)``.
        weight: ``(dim,)``.

    Returns:
        a tensor shaped like ``x``.
    """
    if has_tangent(x, weight):
        return apply_dual(_Normalise.apply, x) * weight
    return x * (x.square().mean(-1, keepdim=True) + RMS_NORM_EPSILON).rsqrt() * weight


def swiglu(x: Tensor) -> Tensor:
    """``silu(gate) * up``, where gate and up are the two halves of the last axis (Shazeer, 2020, arXiv 2002.05202).

    Args:
        x: ``(..., 2 * width)``.

    Returns:
        a tensor ``(..., width)``.
    """
    if has_tangent(x):
        return apply_dual(_SwiGLU.apply, x)
    gate, up = x.chunk(2, -1)
    return functional.silu(gate) * up


def rotary(x: Tensor) -> Tensor:
    """Rotate pairs of entries by angles that grow with the position (Su et al., 2021, arXiv 2104.09864).

    What two rotated vectors have in common depends on how far they are apart, not on where they are. Positions count
    from the last, so that padding on the left does not move the others.

    Args:
        x: ``(..., length, dim)``, ``dim`` even; entry ``i`` of its first half is paired with that of its second.

    Returns:
        a tensor shaped like ``x``.
    """
    length, half = x.shape[-2], x.shape[-1] // 2
    speeds = ROTARY_BASE ** -(torch.arange(half, device=x.device, dtype=x.dtype) / half)
    angles = torch.arange(1 - length, 1, device=x.device, dtype=x.dtype)[:, None] * speeds
    cos, sin = angles.cos().repeat(1, 2), torch.cat([-angles.sin(), angles.sin()], 1)
    return torch.addcmul(x * cos, x.roll(half, -1), sin)


class _Normalise(torch.autograd.Function):
    """``n = r x``, ``r`` one over the root of the mean square, and its tangent ``n' = r (x' - n mean(n x'))``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, x_dot: Tensor) -> tuple[Tensor, Tensor]:
        scale = x.square().mean(-1, keepdim=True).add_(RMS_NORM_EPSILON).rsqrt_()
        n = x * scale
        along = (n * x_dot).mean(-1, keepdim=True)
        n_dot = torch.addcmul(x_dot, n, along, value=-1).mul_(scale)
        ctx.save_for_backward(n, scale, x_dot, along, n_dot)
        return n, n_dot

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_n: Tensor, d_n_dot: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        n, scale, x_dot, along, n_dot = ctx.saved_tensors

        def project(d: Tensor, inner: Tensor) -> Tensor:
            return torch.addcmul(d, n, inner, value=-1).mul_(scale)

        common = (n * d_n_dot).mean(-1, keepdim=True)
        by_n = torch.addcmul(along * d_n_dot, x_dot, common).mul_(-scale).add_(d_n)
        d_scale = (d_n_dot * n_dot).mean(-1, keepdim=True).mul_(scale)  # by the logarithm of the scale, over the width
        d_x = project(by_n, (n * by_n).mean(-1, keepdim=True)).addcmul_(n, d_scale, value=-1)
        return d_x, project(d_n_dot, common)


class _SwiGLU(torch.autograd.Function):
    """``y = s(g) u`` with ``s(g) = g / (1 + exp(-g))``, and its tangent ``s' g' u + s u'``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, x_dot: Tensor) -> tuple[Tensor, Tensor]:
        (gate, up), (gate_dot, up_dot) = x.chunk(2, -1), x_dot.chunk(2, -1)
        sigmoid = gate.sigmoid()
        silu = gate * sigmoid
        slope = torch.addcmul(sigmoid, silu, 1 - sigmoid)
        ctx.save_for_backward(x, x_dot, sigmoid, silu, slope)
        return silu * up, (slope * gate_dot).mul_(up).addcmul_(silu, up_dot)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor, d_y_dot: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, x_dot, sigmoid, silu, slope = ctx.saved_tensors
        (gate, up), (gate_dot, up_dot) = x.chunk(2, -1), x_dot.chunk(2, -1)
        bend = (sigmoid * (1 - sigmoid)).mul_(2 + gate * (1 - 2 * sigmoid))
        moved = slope * d_y_dot
        d_gate = (slope * d_y).addcmul_(bend * gate_dot, d_y_dot).mul_(up).addcmul_(moved, up_dot)
        d_up = (silu * d_y).addcmul_(moved, gate_dot)
        return torch.cat([d_gate, d_up], -1), torch.cat([moved * up, silu * d_y_dot], -1)
