"""Latents whose distributions come closest to given ones: a convex problem a row, by damped Newton steps."""

from typing import NamedTuple

import torch
from torch import Tensor

from farzi.models import chunks

MOST_STEPS = 40
"""Newton steps at most; ten do for most rows."""

DECREASE = 1e-5
"""Nats by which a row must be expected to come closer for another step."""

_BLOCK = 4096  # events whose products are held at a time, rank * (rank + 1) / 2 numbers each


def closest_latents(means: Tensor, decoder: Tensor, start: Tensor) -> Tensor:
    """Find the latents whose softmax has the least cross-entropy to some distributions, given the decoder.

    ``logsumexp(z M) - <z, M y>`` asks of a distribution only the decoder's mean under it. Its second derivative is the
    covariance of the decoder's columns; a step solves with that, and with a damping that falls where steps succeed and
    rises where they do not (Levenberg and Marquardt's rule).

    Args:
        means: of the decoder's columns under each distribution, ``(rows, rank)``.
        decoder: ``(rank, vocab)``.
        start: where the search begins, ``(rows, rank)``.

    Returns:
        latents, ``(rows, rank)``.
    """
    columns = decoder.T.contiguous()
    found = torch.empty_like(start)
    for part in chunks(len(start), len(columns)):
        found[part] = _search(means[part], columns, start[part])
    return found


class _Look(NamedTuple):
    """What is known of some rows at their latents."""

    latents: Tensor
    loss: Tensor
    gradient: Tensor
    covariance: Tensor


def _search(means: Tensor, columns: Tensor, start: Tensor) -> Tensor:
    found, rows = torch.empty_like(start), torch.arange(len(start), device=start.device)
    now = _look(start, means, columns)
    damping = torch.full_like(now.loss, 10.0)
    for _ in range(MOST_STEPS):
        found[rows] = now.latents
        step = _step(now, damping)
        going = (now.gradient * step).sum(1) > 2 * DECREASE
        if not going.any():
            break
        now, rows, means, damping = _Look(*(part[going] for part in now)), rows[going], means[going], damping[going]
        then = _look(now.latents - step[going], means, columns)
        better = then.loss < now.loss
        now = _Look(*(_where(better, new, old) for new, old in zip(then, now, strict=True)))
        damping = torch.where(better, damping / 3, damping * 3)
    found[rows] = now.latents
    return found


def _look(latents: Tensor, means: Tensor, columns: Tensor) -> _Look:
    logits = latents @ columns.T
    partition = torch.logsumexp(logits, 1)
    p = logits.sub_(partition[:, None]).exp_()
    expected, rank = p @ columns, columns.shape[1]
    upper = latents.new_zeros(len(latents), rank * (rank + 1) // 2)
    for begin in range(0, len(columns), _BLOCK):
        block = columns[begin : begin + _BLOCK]
        products = torch.cat([block[:, row : row + 1] * block[:, row:] for row in range(rank)], 1)
        upper.addmm_(p[:, begin : begin + _BLOCK], products)
    row, column = torch.triu_indices(rank, rank, device=latents.device)
    covariance = latents.new_empty(len(latents), rank, rank)
    covariance[:, row, column] = upper
    covariance[:, column, row] = upper
    covariance -= expected[:, :, None] * expected[:, None]
    return _Look(latents, partition - (latents * means).sum(1), expected - means, covariance)


def _step(look: _Look, damping: Tensor) -> Tensor:
    scale = look.covariance.diagonal(dim1=1, dim2=2).mean(1).clamp_min(torch.finfo(damping.dtype).tiny)
    matrix = look.covariance.double()
    matrix.diagonal(dim1=1, dim2=2).add_((damping * scale)[:, None].double())
    return torch.linalg.solve(matrix, look.gradient.double()).to(damping.dtype)


def _where(better: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(better.view(-1, *(1,) * (new.ndim - 1)), new, old)
