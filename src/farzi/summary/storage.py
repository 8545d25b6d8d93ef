"""Factors as a summary's file holds them: latents in eight bits and with scales, the decoder in half precision."""

from collections.abc import Mapping

import torch
from torch import Tensor

from farzi.summary.factors import Factors

_MOST = 127  # of a signed number of eight bits


def to_stored(factors: Factors) -> dict[str, Tensor]:
    """The tensors of a file.

    A position's latent vector takes its scale from its largest entry. What is read from a file comes out as it was,
    but for vectors that are all but zero.

    Args:
        factors: of any precision.

    Returns:
        the decoder, in half precision; ``latents`` and, where there are any, ``targets`` as whole numbers, and for each
        the scales ``(sequences, positions)`` in half precision, with ``_scale`` in their names.
    """
    stored = dict[str, Tensor]()
    for name, part in factors.tensors().items():
        part = part.detach()
        if name == "decoder":
            stored[name] = part.half()
            continue
        scale = (part.abs().amax(-1) / _MOST).half()
        by = scale.float().unsqueeze(-1)
        numbers = torch.where(by > 0, part / by, 0.0).round().clamp(-_MOST, _MOST)
        stored |= {name: numbers.to(torch.int8), f"{name}_scale": scale}
    return stored


def from_stored(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of factors, out of those of a file.

    Args:
        stored: as :func:`to_stored` gave them, or in half precision without scales, as files had them before version 3.

    Returns:
        latents, decoder and targets, in float32.
    """
    tensors = dict[str, Tensor]()
    for name, part in stored.items():
        if not name.endswith("_scale"):
            scale = stored.get(f"{name}_scale")
            tensors[name] = part.float() if scale is None else part.float() * scale.float().unsqueeze(-1)
    return tensors
