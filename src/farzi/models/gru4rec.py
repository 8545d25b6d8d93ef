"""GRU4Rec: a recurrent network over a sequence of events."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from farzi.models.base import Parameters
from farzi.models.checks import check_length, check_positive
from farzi.models.initial import Draw
from farzi.models.layers import dropout, linear
from farzi.models.recurrent import gated_recurrence


@dataclass(frozen=True, kw_only=True)
class GRU4Rec:
    """Gated recurrent layers with tied output, after GRU4Rec (Hidasi et al., 2016, arXiv 1511.06939).

    The form is that of RecBole 1.2: event embeddings, recurrent layers that are wider than these, and a linear map back
    to their width.

    Args:
        dim: width of embeddings and hidden states.
        width: of the recurrent layers' states.
        layers: number of recurrent layers.
        max_length: most positions that the model can read.

    Raises:
        ValueError: a size is not positive.
    """

    dim: int = 32
    width: int = 64
    layers: int = 1
    max_length: int = 50

    name = "gru4rec"

    def __post_init__(self) -> None:
        check_positive(self, "dim", "width", "layers", "max_length")

    def init(self, vocab_size: int, seed: int) -> Parameters:
        """See ``SequenceModel.init``."""
        draw = Draw(seed)
        parameters = {"embedding": draw.normal(vocab_size, self.dim)}
        for layer in range(self.layers):
            parameters |= {
                f"{layer}.input": draw.dense(3 * self.width, self.width if layer else self.dim),
                f"{layer}.bias": torch.zeros(3 * self.width),
                f"{layer}.recurrent": draw.dense(3 * self.width, self.width),
            }
        return parameters | {"out": draw.dense(self.dim, self.width), "out_bias": torch.zeros(self.dim)}

    def hidden(
        self, parameters: Parameters, embeddings: Tensor, padding: Tensor | None = None, rate: float = 0.0
    ) -> Tensor:
        """See ``SequenceModel.hidden``."""
        check_length(embeddings, self.max_length)
        x = dropout(embeddings * math.sqrt(self.dim), rate).transpose(0, 1)
        for layer in range(self.layers):
            gates = linear(x, parameters[f"{layer}.input"]) + parameters[f"{layer}.bias"]
            if padding is not None:
                gates = gates.masked_fill(self._kept(padding), torch.inf)
            x = dropout(gated_recurrence(gates, parameters[f"{layer}.recurrent"]), rate)
        return (linear(x, parameters["out"]) + parameters["out_bias"]).transpose(0, 1)

    def _kept(self, padding: Tensor) -> Tensor:
        """The update gates of padding, ``(length, batch, 3 * width)``: closed, they leave the state as it was, zero."""
        update = torch.arange(3 * self.width, device=padding.device).div(self.width, rounding_mode="floor") == 1
        return padding.T[:, :, None] & update
