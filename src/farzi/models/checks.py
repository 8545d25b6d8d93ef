"""What all models refuse."""

from typing import Any

import torch
from torch import Tensor

from farzi.errors import InputError
from farzi.models.base import Parameters, SequenceModel, restrict


def check_positive(model: object, *fields: str) -> None:
    """Refuse sizes that are not positive.

    Args:
        model: has the sizes as attributes.
        fields: their names.

    Raises:
        ValueError: one of them is below 1; it is named.
    """
    for field in fields:
        if getattr(model, field) < 1:
            raise ValueError(f"{field} is {getattr(model, field)}; it must be at least 1")


def check_length(embeddings: Tensor, max_length: int) -> None:
    """Refuse sequences that a model cannot read.

    Args:
        embeddings: ``(batch, length, dim)``.
        max_length: most positions that the model reads.

    Raises:
        ValueError: the sequences are longer.
    """
    if embeddings.shape[1] > max_length:
        raise ValueError(f"sequences of {embeddings.shape[1]} positions do not fit max_length = {max_length}")


def check_causal(model: SequenceModel, parameters: Parameters) -> None:
    """Refuse a model that looks ahead, or whose hidden states have another shape than embeddings.

    It reads sequences of ``max_length`` random events whose ends are changed, with parameters moved a little from where
    they start: what begins at zero can look ahead only later.

    Args:
        model: any.
        parameters: fresh ones.

    Raises:
        InputError: states are of a wrong shape, or one depends on an event behind it.
    """
    chance, length, dim = torch.Generator().manual_seed(0), model.max_length, parameters["embedding"].shape[1]
    moved = {
        name: part + 0.3 * torch.randn(part.shape, generator=chance) / max(part.shape, default=1) ** 0.5
        for name, part in restrict(parameters, torch.zeros(1, dtype=torch.long)).items()
    }
    embeddings = torch.randn(2, length, dim, generator=chance) / dim**0.5
    with torch.no_grad():
        before: Any = model.hidden(moved, embeddings)
        if not isinstance(before, Tensor) or before.shape != embeddings.shape:
            found = tuple(before.shape) if isinstance(before, Tensor) else type(before).__name__
            raise InputError(
                f"the model {model.name!r} makes {found} of {tuple(embeddings.shape)}; the shape is to stay"
            )
        for kept in {1, length // 2, length - 1} - {0, length}:
            changed = torch.cat([embeddings[:, :kept], embeddings[:, kept:].flip(0)], 1)
            states = model.hidden(moved, changed)
            if not torch.allclose(before[:, :kept], states[:, :kept], rtol=1e-4, atol=1e-5):
                raise InputError(f"the model {model.name!r} is not causal: a state depends on an event behind it")
