"""Layers that can be differentiated twice: PyTorch's own, and closed forms where a direction is carried along.

PyTorch's forward mode takes softmax, layer normalisation and GELU apart, in ways that are slow or overwrite what the
reverse pass needs; its fused attention has no second derivative at all.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable
from torch.nn import functional

from farzi.models.dual import apply_dual, has_tangent, unpack

LAYER_NORM_EPSILON = 1e-5


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Normalise the last axis to mean 0 and variance 1, then scale (Ba et al., 2016, arXiv 1607.06450).

    Args:
        x: ``(..., dim)``.
        weight: ``(dim,)``.
        bias: ``(dim,)`` or None for none.

    Returns:
        a tensor shaped like ``x``.
    """
    if has_tangent(x, weight, bias):
        normal = apply_dual(_Normalise.apply, x) * weight
        return normal if bias is None else normal + bias
    return functional.layer_norm(x, weight.shape, weight, bias, LAYER_NORM_EPSILON)


def mix(weights: Tensor, rows: Tensor) -> Tensor:
    """Weighted sums of the rows of a matrix: what a model reads of a distribution over events.

    Args:
        weights: ``(..., vocab)``; no direction is carried along them.
        rows: ``(vocab, dim)``.

    Returns:
        ``weights @ rows``, ``(..., dim)``.
    """
    if has_tangent(rows):
        return forward_ad.make_dual(*_Mix.apply(weights, *unpack(rows)))  # pyright: ignore[reportGeneralTypeIssues]
    return weights @ rows


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """``x @ weight.T``.

    Args:
        x: ``(..., inputs)``.
        weight: ``(outputs, inputs)``.

    Returns:
        a tensor ``(..., outputs)``.
    """
    return apply_dual(_Linear.apply, x, weight) if has_tangent(x, weight) else functional.linear(x, weight)


def gelu(x: Tensor) -> Tensor:
    """Multiply by the normal distribution's cumulative probability (Hendrycks and Gimpel, 2016, arXiv 1606.08415)."""
    return apply_dual(_Gelu.apply, x) if has_tangent(x) else functional.gelu(x)


def attention(q: Tensor, k: Tensor, v: Tensor, masked: Tensor, rate: float = 0.0) -> Tensor:
    """Scaled dot-product attention (Vaswani et al., 2017, arXiv 1706.03762).

    Args:
        q: queries, ``(..., length, dim)``.
        k: keys, likewise.
        v: values, likewise.
        masked: true where a query may not look at a key, broadcastable to ``(..., length, length)``; each query needs
            a key to look at.
        rate: of dropout on the weights.

    Returns:
        a tensor shaped like ``v``.
    """
    if has_tangent(q, k, v) and not rate:
        return apply_dual(_Attention.apply, q, k, v, masked)
    return dropout(_weights(q, k, masked), rate) @ v


def causal_mask(length: int, padding: Tensor | None, device: torch.device) -> Tensor:
    """What :func:`attention` may not look at: the future and padding, but at itself a position always may.

    Args:
        length: of the sequences.
        padding: true where a position is padding, ``(batch, length)``, or None for none.
        device: of the mask.

    Returns:
        true where a position may not look, ``(batch or 1, 1, length, length)``.
    """
    future = torch.ones(length, length, dtype=torch.bool, device=device).triu(1)
    if padding is None:
        return future[None, None]
    others = ~torch.eye(length, dtype=torch.bool, device=device)
    return (future | (padding[:, None, :] & others))[:, None]


def dropout(x: Tensor, probability: float) -> Tensor:
    """Drop entries with torch's global random state; a probability of 0 returns ``x`` itself."""
    return functional.dropout(x, probability) if probability else x


def _weights(q: Tensor, k: Tensor, masked: Tensor) -> Tensor:
    scores = (q @ k.transpose(-1, -2)).mul_(1 / math.sqrt(q.shape[-1]))
    return scores.masked_fill_(masked, -torch.inf).softmax(-1)


class _Mix(torch.autograd.Function):
    """``X E`` and ``X E'``, each way as one product of twice the width."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, rows: Tensor, rows_dot: Tensor) -> tuple[Tensor, Tensor]:
        both = torch.cat([rows, rows_dot], 1)
        ctx.save_for_backward(weights, both)
        mixed, mixed_dot = (weights @ both).chunk(2, -1)
        return mixed.contiguous(), mixed_dot.contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor, d_dot: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        weights, both = ctx.saved_tensors
        d_weights = torch.cat([d, d_dot], -1) @ both.T if ctx.needs_input_grad[0] else None
        flat = weights.flatten(0, -2).T
        return d_weights, flat @ d.flatten(0, -2), flat @ d_dot.flatten(0, -2) if ctx.needs_input_grad[2] else None


class _Linear(torch.autograd.Function):
    """``x W^T`` and its tangent; primal and tangent lie below each other in one product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, x_dot: Tensor, w_dot: Tensor) -> tuple[Tensor, Tensor]:
        both = torch.cat([x.flatten(0, -2), x_dot.flatten(0, -2)])
        ctx.save_for_backward(both, weight, w_dot)
        ctx.shape, rows = x.shape[:-1], len(both) // 2
        y = both @ weight.T
        y[rows:].addmm_(both[:rows], w_dot.T)
        return y[:rows].unflatten(0, ctx.shape), y[rows:].unflatten(0, ctx.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor, d_y_dot: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        both, weight, w_dot = ctx.saved_tensors
        d_both = torch.cat([d_y.flatten(0, -2), d_y_dot.flatten(0, -2)])
        rows = len(d_both) // 2
        d_x = d_both @ weight
        d_x[:rows].addmm_(d_both[rows:], w_dot)
        d_w_dot = d_both[rows:].T @ both[:rows] if ctx.needs_input_grad[3] else None
        return d_x[:rows].unflatten(0, ctx.shape), d_both.T @ both, d_x[rows:].unflatten(0, ctx.shape), d_w_dot


class _Normalise(torch.autograd.Function):
    """``n = r (x - mean x)``, ``r`` one over the spread, and its tangent ``n' = r (x' - mean x' - n mean(n x'))``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, x_dot: Tensor) -> tuple[Tensor, Tensor]:
        centred = x - x.mean(-1, keepdim=True)
        scale = centred.square().mean(-1, keepdim=True).add_(LAYER_NORM_EPSILON).rsqrt_()
        n = centred.mul_(scale)
        moved = x_dot - x_dot.mean(-1, keepdim=True)
        along = (n * moved).mean(-1, keepdim=True)
        n_dot = torch.addcmul(moved, n, along, value=-1).mul_(scale)
        ctx.save_for_backward(n, scale, moved, along, n_dot)
        ctx.set_materialize_grads(False)
        return n, n_dot

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_n: Tensor | None, d_n_dot: Tensor | None) -> tuple[Tensor | None, Tensor | None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        n, scale, moved, along, n_dot = ctx.saved_tensors

        def project(d: Tensor, inner: Tensor) -> Tensor:
            return (d - d.mean(-1, keepdim=True)).addcmul_(n, inner, value=-1).mul_(scale)

        def inner(d: Tensor) -> Tensor:
            return (n * d).mean(-1, keepdim=True)

        if d_n_dot is None:
            return (None if d_n is None else project(d_n, inner(d_n))), None
        common = inner(d_n_dot)
        by_n = torch.addcmul(along * d_n_dot, moved, common).mul_(-scale)
        by_n = by_n if d_n is None else by_n.add_(d_n)
        d_scale = (d_n_dot * n_dot).mean(-1, keepdim=True).mul_(scale)  # by the logarithm of the scale, over the width
        return project(by_n, inner(by_n)).addcmul_(n, d_scale, value=-1), project(d_n_dot, common)


class _Gelu(torch.autograd.Function):
    """``x P(x)`` and its tangent ``(P + x p) x'``, with ``p`` and ``P`` the normal density and its integral."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, x_dot: Tensor) -> tuple[Tensor, Tensor]:
        density = torch.exp(x.square().mul_(-0.5)).mul_(1 / math.sqrt(2 * math.pi))
        cumulative = torch.erf(x * math.sqrt(0.5)).add_(1).mul_(0.5)
        y = x * cumulative
        slope = cumulative.addcmul_(x, density)
        ctx.save_for_backward(x, x_dot, density, slope)
        ctx.set_materialize_grads(False)
        return y, slope * x_dot

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor | None, d_y_dot: Tensor | None) -> tuple[Tensor | None, Tensor | None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, x_dot, density, slope = ctx.saved_tensors
        if d_y_dot is None:
            return (None if d_y is None else d_y * slope), None
        d_x = (2 - x.square()).mul_(density).mul_(x_dot).mul_(d_y_dot)
        return (d_x if d_y is None else d_x.addcmul_(d_y, slope)), d_y_dot * slope


class _Attention(torch.autograd.Function):
    """``O = P v`` with ``P = softmax(c q k^T)``, and its tangent."""

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        masked: Tensor,
        q_dot: Tensor,
        k_dot: Tensor,
        v_dot: Tensor,
        _: Tensor,
    ) -> tuple[Tensor, Tensor]:
        scale = 1 / math.sqrt(q.shape[-1])
        p = _weights(q, k, masked)
        s_dot = (q_dot @ k.mT).add_(q @ k_dot.mT).mul_(scale)
        s_dot -= (p * s_dot).sum(-1, keepdim=True)
        p_dot = p * s_dot
        ctx.save_for_backward(q, k, v, q_dot, k_dot, v_dot, p, s_dot, p_dot)
        return p @ v, (p_dot @ v).add_(p @ v_dot)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_o: Tensor, d_o_dot: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        q, k, v, q_dot, k_dot, v_dot, p, s_dot, p_dot = ctx.saved_tensors
        scale = 1 / math.sqrt(q.shape[-1])
        d_p_dot = d_o_dot @ v.mT
        along = (p * d_p_dot).sum(-1, keepdim=True)
        d_s_dot = (d_p_dot - along).mul_(p).mul_(scale)
        # The row sums within s_dot leave a constant that the softmax does not feel.
        d_p = (d_o @ v.mT).add_(d_o_dot @ v_dot.mT).addcmul_(d_p_dot - along, s_dot)
        d_s = (d_p - (p * d_p).sum(-1, keepdim=True)).mul_(p).mul_(scale)
        return (
            (d_s @ k).add_(d_s_dot @ k_dot),
            (d_s.mT @ q).add_(d_s_dot.mT @ q_dot),
            (p.mT @ d_o).add_(p_dot.mT @ d_o_dot),
            None,
            d_s_dot @ k,
            d_s_dot.mT @ q,
            p.mT @ d_o_dot,
            None,
        )
