"""The output head: softmax cross-entropy over the whole vocabulary in closed form, a chunk of rows at a time.

For a vocabulary of ordinary size nearly all time of a small sequence model goes into arrays of shape
``(positions, vocab)``. Here value, gradient and tangent of the loss come out of one pass over chunks of rows that stay
in cache, and no such array outlives its chunk (docs/method.md, section 5).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable

from farzi.models.dual import has_tangent, unpack

CHUNK_ROWS = 512
"""Most positions whose distributions over the whole vocabulary are held at a time."""

CHUNK_ENTRIES = 2**20
"""Most probabilities that are held at a time: what stays in cache (4 MiB in float32)."""

LEAST_ROWS = 64
"""Positions that are held at a time however large the vocabulary: with fewer, reading the weights takes longest."""


def chunks(rows: int, vocab: int) -> Iterator[slice]:
    """Cut positions into chunks whose distributions may be held.

    Args:
        rows: number of positions.
        vocab: number of events.

    Yields:
        slices of the positions, in order.
    """
    size = min(CHUNK_ROWS, max(LEAST_ROWS, CHUNK_ENTRIES // vocab))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def softmax_cross_entropy(hidden: Tensor, weight: Tensor, target: Tensor, bias: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of ``softmax(hidden @ weight.T + bias)`` against hard or soft targets.

    Twice differentiable, in reverse and in forward mode.

    Args:
        hidden: hidden states, ``(positions, dim)``.
        weight: output vectors, ``(vocab, dim)``; for tied models the embedding.
        target: event ids ``(positions,)``, or distributions ``(positions, vocab)`` whose rows sum to one.
        bias: added to the scores, ``(vocab,)``, or None for none.

    Returns:
        a scalar: nats per position.

    Raises:
        ValueError: the shapes do not fit each other, or there are no positions.
    """
    if hidden.ndim != 2 or hidden.shape[1] != weight.shape[1] or target.shape[0] != hidden.shape[0]:
        raise ValueError(
            f"hidden {tuple(hidden.shape)}, weight {tuple(weight.shape)} and target {tuple(target.shape)} differ"
        )
    if target.ndim == 2 and target.shape[1] != weight.shape[0]:
        raise ValueError(f"target has {target.shape[1]} columns, the vocabulary {weight.shape[0]} events")
    if bias is not None:
        if bias.shape != weight.shape[:1]:
            raise ValueError(f"bias is {tuple(bias.shape)}; it must be ({weight.shape[0]},), a number for each event")
        hidden = torch.cat([hidden, torch.ones_like(hidden[:, :1])], 1)
        weight = torch.cat([weight, bias[:, None]], 1)
    return _mean_loss(hidden, weight, target)


def log_partition(hidden: Tensor, weight: Tensor) -> Tensor:
    """Mean of ``logsumexp(hidden @ weight.T)``: cross-entropy but for the score of the target.

    Twice differentiable, in reverse and in forward mode.

    Args:
        hidden: hidden states, ``(positions, dim)``.
        weight: output vectors, ``(vocab, dim)``.

    Returns:
        a scalar.
    """
    return _mean_loss(hidden, weight, None)


def _mean_loss(hidden: Tensor, weight: Tensor, target: Tensor | None) -> Tensor:
    if not len(hidden):
        raise ValueError("there are no positions to predict at")
    if has_tangent(hidden, weight):
        return _with_tangent(hidden, weight, target)
    rows = len(hidden)
    value, *grads = _Gradient.apply(hidden, weight, target)  # pyright: ignore[reportGeneralTypeIssues]
    return _Known.apply(value / rows, 1 / rows, hidden, weight, target, *grads)  # pyright: ignore[reportReturnType]


def _with_tangent(hidden: Tensor, weight: Tensor, target: Tensor | None) -> Tensor:
    """The loss with its directional derivative as tangent; the tangent can be differentiated once more in reverse."""
    (h, h_dot), (w, w_dot) = unpack(hidden), unpack(weight)
    wanted = target is not None and target.requires_grad, h_dot.requires_grad, w_dot.requires_grad
    share = 1 / len(h)
    with torch.no_grad():  # a share of the directions gives that of all that is linear in them
        first, second = _tangents(h, w, target, h_dot * share, w_dot * share, *wanted)
        by_dots = [None if g is None else g * share for g in (first.hidden, first.weight)]
    grads = second.hidden, second.weight, second.target, *by_dots
    slope = _Known.apply(second.value, 1.0, h, w, target, h_dot, w_dot, *grads)
    value: Tensor = _Value.apply(first.value / len(h), h, w, target)  # pyright: ignore[reportAssignmentType]
    return forward_ad.make_dual(value, slope)


@dataclass(slots=True)
class _Sums:
    """Loss and gradients, or their tangents, summed over positions as the chunks fill them; None what is not wanted."""

    value: Tensor
    hidden: Tensor | None
    weight: Tensor | None
    target: Tensor | None


def _gradients(h: Tensor, w: Tensor, y: Tensor | None, want_target: bool) -> _Sums:
    """Loss and gradient, chunk by chunk: with ``R = softmax(Z) - y``, ``dH = R W``, ``dW = R^T H``, ``dy = -Z``."""
    hidden, weight, value = torch.empty_like(h), torch.zeros_like(w), h.new_zeros(())
    d_target = torch.empty_like(y) if y is not None and y.ndim == 2 and want_target else None
    for part in chunks(len(h), len(w)):
        logits = h[part] @ w.T
        if d_target is not None:
            torch.neg(logits, out=d_target[part])
        target = None if y is None else y[part]
        p, loss = _probabilities(logits, target)
        value += loss
        residual = _less_target(p, target)
        torch.mm(residual, w, out=hidden[part])
        weight.addmm_(residual.T, h[part])
    return _Sums(value, hidden, weight, d_target)


def _tangents(
    h: Tensor,
    w: Tensor,
    y: Tensor | None,
    h_dot: Tensor,
    w_dot: Tensor,
    want_target: bool,
    want_hidden: bool,
    want_weight: bool,
) -> tuple[_Sums, _Sums]:
    """Tangents of loss and gradient, chunk by chunk; and beside them of the loss and its gradient what is wanted.

    ``Z' = H' W^T + H W'^T``, ``R' = P (Z' - rowsum(P Z'))``, ``dH' = R' W + R W'``, ``dW' = R'^T H + R^T H'``,
    ``dy' = -Z'``. Pairs of products with a common factor are one product of twice the width.
    """
    first = _Sums(h.new_zeros(()), torch.empty_like(h) if want_hidden else None, None, None)
    first.weight = torch.zeros_like(w) if want_weight else None
    hidden, weight = torch.empty_like(h), torch.zeros_like(w)
    value, dim = h.new_zeros(()), h.shape[1]
    w_two = w_dot if first.hidden is None else torch.cat([w_dot, w], 1)
    h_two, w_minus = torch.cat([h, h_dot], 1), torch.cat([w_dot, w], 1).neg_()
    d_target = h_two @ w_minus.T if y is not None and y.ndim == 2 and want_target else None
    for part in chunks(len(h), len(w)):
        target = None if y is None else y[part]
        p, loss = _probabilities(h[part] @ w.T, target)
        first.value += loss
        fall = h_two[part] @ w_minus.T if d_target is None else d_target[part]  # -Z'
        turn = p * fall
        turn.addcmul_(p, turn.sum(1, keepdim=True), value=-1)  # -R'
        residual = _less_target(p, target)
        value -= torch.vdot(residual.view(-1), fall.view(-1))
        wide = residual @ w_two
        hidden[part] = wide[:, :dim]
        if first.hidden is not None:
            first.hidden[part] = wide[:, dim:]
        if first.weight is not None:
            first.weight.addmm_(residual.T, h[part])
        weight.addmm_(residual.T, h_dot[part])
        hidden[part].addmm_(turn, w, alpha=-1)
        weight.addmm_(turn.T, h[part], alpha=-1)
    return first, _Sums(value, hidden, weight, d_target)


def _probabilities(logits: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
    """``softmax(logits)``, in the memory of ``logits``, and the summed loss."""
    if y is None:
        picked = logits.new_zeros(())
    else:
        picked = torch.vdot(logits.view(-1), y.reshape(-1)) if y.ndim == 2 else logits.gather(1, y[:, None]).sum()
    peak = logits.amax(1)
    p = torch.softmax(logits, 1, out=logits)
    return p, (peak - p.amax(1).log()).sum() - picked  # the largest probability is one over the sum of exponentials


def _less_target(p: Tensor, y: Tensor | None) -> Tensor:
    """``p - y``, in the memory of ``p``."""
    if y is None:
        return p
    return p.sub_(y) if y.ndim == 2 else p.scatter_add_(1, y[:, None], torch.full_like(p[:, :1], -1))


class _Known(torch.autograd.Function):
    """A scalar whose gradient is known: the value, a factor, then the inputs, then what for each is to be scaled."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, factor: float, *tensors: Tensor | None) -> Tensor:
        ctx.save_for_backward(*tensors[len(tensors) // 2 :])
        ctx.factor = factor
        return value.clone()

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        scale = scale * ctx.factor
        grads = [None if g is None else g * scale for g in ctx.saved_tensors]
        return None, None, *grads, *(None for _ in grads)


class _Value(torch.autograd.Function):
    """The loss beside its tangent, whose gradient is seldom asked for: only where a function of the loss bends."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, hidden: Tensor, weight: Tensor, target: Tensor | None) -> Tensor:
        ctx.save_for_backward(hidden, weight, target)
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        hidden, weight, target = ctx.saved_tensors
        first = _gradients(hidden, weight, target, ctx.needs_input_grad[3])
        scale = scale / len(hidden)
        return None, *(None if g is None else g * scale for g in (first.hidden, first.weight, first.target))


class _Gradient(torch.autograd.Function):
    """Summed loss and gradient as one function whose own derivative is the Hessian's product with the cotangents."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, target: Tensor | None) -> tuple[Tensor | None, ...]:
        ctx.save_for_backward(hidden, weight, target)
        ctx.set_materialize_grads(False)
        first = _gradients(hidden, weight, target, ctx.needs_input_grad[2])
        ctx.mark_non_differentiable(first.value)
        return first.value, first.hidden, first.weight, first.target

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *scales: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        _, h_dot, w_dot, y_dot = scales
        if h_dot is None and w_dot is None and y_dot is None:  # the engine passes here on every plain gradient
            return None, None, None
        hidden, weight, target = ctx.saved_tensors
        h_dot = torch.zeros_like(hidden) if h_dot is None else h_dot
        w_dot = torch.zeros_like(weight) if w_dot is None else w_dot
        _, second = _tangents(hidden, weight, target, h_dot, w_dot, ctx.needs_input_grad[2], False, False)
        assert second.hidden is not None
        assert second.weight is not None
        if y_dot is not None:
            second.hidden.addmm_(y_dot, weight, alpha=-1)
            second.weight.addmm_(y_dot.T, hidden, alpha=-1)
        return second.hidden, second.weight, second.target
