"""FMLP-Rec: learnable filters over a sequence of events."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from farzi.models.base import Parameters
from farzi.models.blocks import draw_mlp, mlp
from farzi.models.checks import check_length, check_positive
from farzi.models.initial import Draw
from farzi.models.layers import dropout, layer_norm


@dataclass(frozen=True, kw_only=True)
class FMLP:
    """Filters and MLPs with tied output, after FMLP-Rec (Zhou et al., 2022, arXiv 2202.13556).

    The original multiplies in the frequency domain, where every position sees all others. Here each channel has a
    causal filter, held by its impulse response; it is learned just as freely. Blocks are pre-normalised, and there are
    no position vectors, since a filter knows how far back an event is.

    Args:
        dim: width of embeddings and hidden states.
        blocks: number of blocks, each a filter and an MLP.
        max_length: most positions that the model can read, and the reach of its filters.

    Raises:
        ValueError: a size is not positive.
    """

    dim: int = 32
    blocks: int = 2
    max_length: int = 50

    name = "fmlp"

    def __post_init__(self) -> None:
        check_positive(self, "dim", "blocks", "max_length")

    def init(self, vocab_size: int, seed: int) -> Parameters:
        """See ``SequenceModel.init``."""
        draw, d = Draw(seed), self.dim
        parameters = {"embedding": draw.normal(vocab_size, d)}
        for block in range(self.blocks):
            parameters |= {
                f"{block}.filter.norm": torch.ones(d),
                f"{block}.filter.response": draw.dense(d, self.max_length),
            }
            parameters |= draw_mlp(draw, f"{block}.mlp", d, self.blocks)
        return parameters | {"norm": torch.ones(d), "norm_bias": torch.zeros(d)}

    def hidden(
        self, parameters: Parameters, embeddings: Tensor, padding: Tensor | None = None, rate: float = 0.0
    ) -> Tensor:
        """See ``SequenceModel.hidden``."""
        check_length(embeddings, self.max_length)
        x = dropout(embeddings * math.sqrt(self.dim), rate)
        for block in range(self.blocks):
            x = x + self._filter(parameters, f"{block}.filter", x, padding, rate)
            x = x + mlp(parameters, f"{block}.mlp", x, rate)
        return layer_norm(x, parameters["norm"], parameters["norm_bias"])

    def _filter(self, parameters: Parameters, at: str, x: Tensor, padding: Tensor | None, rate: float) -> Tensor:
        seen = layer_norm(x, parameters[f"{at}.norm"])
        if padding is not None:
            seen = seen.masked_fill(padding[..., None], 0)
        return dropout(causal_filter(seen, parameters[f"{at}.response"]), rate)


def causal_filter(x: Tensor, response: Tensor) -> Tensor:
    """Filter each channel of a sequence: ``y_t = sum over s <= t of response_{t - s} x_s``.

    Args:
        x: ``(batch, length, dim)``.
        response: impulse responses, ``(dim, at least length)``.

    Returns:
        a tensor shaped like ``x``.
    """
    length = x.shape[1]
    # Windows of the reversed response, zeros behind it, are the rows of a Toeplitz matrix from the last to the first.
    # At these lengths it is about as fast as Fourier transforms, and unlike theirs no rounding tells of the future.
    rows = functional.pad(response[:, :length].flip(1), (0, length - 1)).unfold(1, length, 1)
    return (rows @ x.permute(2, 1, 0)).permute(2, 1, 0).flip(1)
