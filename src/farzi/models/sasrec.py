"""SASRec: self-attention over a sequence of events."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from farzi.models.base import Parameters
from farzi.models.blocks import draw_mlp, mlp
from farzi.models.checks import check_length, check_positive
from farzi.models.initial import Draw
from farzi.models.layers import attention, causal_mask, dropout, layer_norm, linear


@dataclass(frozen=True, kw_only=True)
class SASRec:
    """A causal self-attention model with tied output, after SASRec (Kang and McAuley, 2018, arXiv 1808.09781).

    What it reads is normalised, as in BERT (Devlin et al., 2018, arXiv 1810.04805) and in RecBole's SASRec, and blocks
    are pre-normalised, which needs no warm-up of the learning rate.

    Args:
        dim: width of embeddings and hidden states.
        blocks: number of attention blocks.
        heads: attention heads a block; divides ``dim``.
        max_length: most positions that the model can read.

    Raises:
        ValueError: a size is not positive, or ``heads`` does not divide ``dim``.
    """

    dim: int = 32
    blocks: int = 1
    heads: int = 1
    max_length: int = 50

    name = "sasrec"

    normalises_input: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive(self, "dim", "blocks", "heads", "max_length")
        if self.dim % self.heads:
            raise ValueError(f"heads is {self.heads}; it must divide dim = {self.dim}")

    def init(self, vocab_size: int, seed: int) -> Parameters:
        """See ``SequenceModel.init``."""
        draw, d = Draw(seed), self.dim
        parameters = {"embedding": draw.normal(vocab_size, d), "position": draw.normal(self.max_length, d)}
        if self.normalises_input:
            parameters |= {"input.norm": torch.ones(d), "input.norm_bias": torch.zeros(d)}
        for block in range(self.blocks):
            parameters |= {
                f"{block}.attention.norm": torch.ones(d),
                f"{block}.attention.qkv": draw.dense(3 * d, d),
                f"{block}.attention.out": draw.dense(d, d) / math.sqrt(2 * self.blocks),
            }
            parameters |= draw_mlp(draw, f"{block}.mlp", d, self.blocks)
        return parameters | {"norm": torch.ones(d), "norm_bias": torch.zeros(d)}

    def hidden(
        self, parameters: Parameters, embeddings: Tensor, padding: Tensor | None = None, rate: float = 0.0
    ) -> Tensor:
        """See ``SequenceModel.hidden``; positions count from the right: the last event has the last position vector."""
        check_length(embeddings, self.max_length)
        length = embeddings.shape[1]
        positions = parameters["position"][self.max_length - length :]
        if self.normalises_input:
            x = layer_norm(embeddings + positions, parameters["input.norm"], parameters["input.norm_bias"])
        else:
            x = embeddings * math.sqrt(self.dim) + positions
        x = dropout(x, rate)
        masked = causal_mask(length, padding, x.device)
        for block in range(self.blocks):
            x = x + self._attention(parameters, f"{block}.attention", x, masked, rate)
            x = x + mlp(parameters, f"{block}.mlp", x, rate)
        return layer_norm(x, parameters["norm"], parameters["norm_bias"])

    def _attention(self, parameters: Parameters, at: str, x: Tensor, masked: Tensor, rate: float) -> Tensor:
        batch, length, dim = x.shape
        qkv = linear(layer_norm(x, parameters[f"{at}.norm"]), parameters[f"{at}.qkv"])
        q, k, v = qkv.view(batch, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        mixed = attention(q, k, v, masked, rate).transpose(1, 2).reshape(batch, length, dim)
        return dropout(linear(mixed, parameters[f"{at}.out"]), rate)
