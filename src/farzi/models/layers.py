"""Layers written in operations that every way of differentiating twice can handle.

The fused softmax and layer normalisation of PyTorch decompose, in forward mode, into steps that overwrite what a
reverse pass needs, or have no forward formula at all.
"""

import torch
from torch import Tensor


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor | None = None, epsilon: float = 1e-5) -> Tensor:
    """Normalise the last axis to mean 0 and variance 1, then scale (Ba et al., 2016, arXiv 1607.06450).

    Args:
        x: ``(..., dim)``.
        weight: ``(dim,)``.
        bias: ``(dim,)`` or None for none.
        epsilon: added to the variance.

    Returns:
        a tensor shaped like ``x``.
    """
    centred = x - x.mean(-1, keepdim=True)
    scale = (centred * centred).mean(-1, keepdim=True).add(epsilon).rsqrt()
    out = centred * scale * weight
    return out if bias is None else out + bias


def masked_softmax(scores: Tensor, masked: Tensor) -> Tensor:
    """Softmax over the last axis with weight 0 where ``masked`` is true; a row that is all masked gives zeros.

    Args:
        scores: ``(..., keys)``.
        masked: bool, broadcastable to ``scores``.

    Returns:
        weights shaped like ``scores``.
    """
    scores = scores.masked_fill(masked, -torch.inf)
    peak = scores.detach().amax(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).min)
    weights = (scores - peak).exp()
    return weights / weights.sum(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).tiny)


def dropout(x: Tensor, probability: float) -> Tensor:
    """Drop entries with torch's global random state; a probability of 0 returns ``x`` itself."""
    return torch.nn.functional.dropout(x, probability) if probability else x
