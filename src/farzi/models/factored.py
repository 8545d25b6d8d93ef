"""Soft sequences that stay in factors: what a model reads of them, a chunk of positions at a time.

The distributions of a summary with many events take far more memory than its factors. All that a model asks of them are
expected rows of its own matrices, and these come out of one pass over chunks (docs/method.md, section 5).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable
from torch.nn import functional

from farzi.models.dual import has_tangent, unpack
from farzi.models.head import chunks


class Factored(NamedTuple):
    """Soft sequences to train on: the distribution at a position is ``softmax(latents @ decoder / temperature)``.

    Args:
        latents: of the inputs, ``(batch, length, rank)``; without targets of ``length + 1`` positions.
        decoder: ``(rank, vocab)``.
        targets: latents of the distributions to be predicted, ``(batch, length, rank)``; None for the inputs of the
            next position.
        temperature: positive.
    """

    latents: Tensor
    decoder: Tensor
    targets: Tensor | None = None
    temperature: float = 1.0


def expected(latents: Tensor, decoder: Tensor, rows: Tensor) -> Tensor:
    """Expected rows of a matrix under distributions in factors, ``softmax(latents @ decoder) @ rows``.

    No array of size ``(positions, vocab)`` outlives its chunk, neither here nor in the derivatives.

    Args:
        latents: ``(..., rank)``; no direction is carried along them.
        decoder: ``(rank, vocab)``; nor along it.
        rows: ``(vocab, dim)``; the gradient by them can be differentiated once more.

    Returns:
        a tensor ``(..., dim)``.

    Raises:
        NotImplementedError: a second derivative by latents or decoder is asked for; it has no formula here.
    """
    z, leading = latents.flatten(0, -2), latents.shape[:-1]
    if not has_tangent(rows):
        return _expected(z, decoder, rows, None).unflatten(0, leading)
    primal, tangent = _expected(z, decoder, *unpack(rows)).chunk(2, -1)
    return forward_ad.make_dual(primal.unflatten(0, leading), tangent.unflatten(0, leading))


def _expected(z: Tensor, m: Tensor, rows: Tensor, rows_dot: Tensor | None) -> Tensor:
    return _Expected.apply(z, m, rows, rows_dot)  # pyright: ignore[reportReturnType]


def _probabilities(z: Tensor, m: Tensor) -> Tensor:
    logits = z @ m
    return torch.softmax(logits, 1, out=logits)


def _expect(z: Tensor, m: Tensor, rows: Tensor) -> Tensor:
    """``P rows`` with ``P = softmax(z m)``."""
    mean = rows.new_empty(len(z), rows.shape[1])
    for part in chunks(len(z), len(rows)):
        torch.mm(_probabilities(z[part], m), rows, out=mean[part])
    return mean


class _Expected(torch.autograd.Function):
    """``P E``, with ``P E'`` beside it where there is a direction: one product of twice the width."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, m: Tensor, rows: Tensor, rows_dot: Tensor | None) -> Tensor:
        both = rows if rows_dot is None else torch.cat([rows, rows_dot], 1)
        mean = _expect(z, m, both)
        ctx.save_for_backward(z, m, both, mean)
        ctx.dim = rows.shape[1]
        return mean

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        by_z, by_m, _, by_dot = ctx.needs_input_grad
        width = d.shape[1] if by_dot else ctx.dim
        d_z, d_m, d_both = _Pull.apply(*ctx.saved_tensors, d, width, by_z or by_m)  # pyright: ignore[reportGeneralTypeIssues]
        return d_z, d_m, d_both[:, : ctx.dim], d_both[:, ctx.dim :] if by_dot else None


class _Pull(torch.autograd.Function):
    """The gradient of ``<d, P E>``: ``dE = P^T d``, and by the logits ``dL = P * (d E^T - rowsum(d * P E))``.

    It can be differentiated through ``dE``, for reverse over reverse: ``<a, P^T d> = <d, P a>`` is of the same form.
    """

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, m: Tensor, rows: Tensor, mean: Tensor, d: Tensor, width: int, by_logits: bool
    ) -> tuple[Tensor | None, ...]:
        ctx.save_for_backward(z, m, d)
        ctx.set_materialize_grads(False)
        return _pull(z, m, rows, mean, d, width, by_logits)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *along: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        along_z, along_m, a = along
        if along_z is not None or along_m is not None:
            raise NotImplementedError("expected rows have no second derivative by latents and decoder")
        if a is None:
            return (None,) * 7
        z, m, d = ctx.saved_tensors
        d_d = _expect(z, m, a)
        width = a.shape[1]
        d_z, d_m, _ = _pull(z, m, a, d_d, d[:, :width], 0, ctx.needs_input_grad[0] or ctx.needs_input_grad[1])
        return d_z, d_m, None, None, functional.pad(d_d, (0, d.shape[1] - width)), None, None


def _pull(
    z: Tensor, m: Tensor, rows: Tensor, mean: Tensor, d: Tensor, width: int, by_logits: bool
) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """``dz``, ``dm`` if they are wanted, and the first columns of ``dE``."""
    d_rows = rows.new_zeros(len(rows), width)
    d_z, d_m = (torch.empty_like(z), torch.zeros_like(m)) if by_logits else (None, None)
    along = (d * mean).sum(1, keepdim=True).neg_()
    for part in chunks(len(z), len(rows)):
        p = _probabilities(z[part], m)
        d_rows.addmm_(p.T, d[part, :width])
        if d_z is not None and d_m is not None:
            d_logits = torch.addmm(along[part], d[part], rows.T).mul_(p)
            torch.mm(d_logits, m.T, out=d_z[part])
            d_m.addmm_(z[part].T, d_logits)
    return d_z, d_m, d_rows
