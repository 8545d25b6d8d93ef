"""SASRec with what transformers have learned since."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from farzi.models.base import Parameters
from farzi.models.checks import check_length, check_positive
from farzi.models.initial import Draw
from farzi.models.layers import attention, causal_mask, dropout, linear
from farzi.models.layers_modern import rms_norm, rotary, swiglu


@dataclass(frozen=True, kw_only=True)
class ModernSASRec:
    """SASRec in the manner of today's language models, with tied output.

    How far two events are apart is told by rotations of queries and keys (RoPE, Su et al., 2021, arXiv 2104.09864),
    beside the vectors that SASRec learns for places before the end. Normalisation is by the root mean square (Zhang and
    Sennrich, 2019, arXiv 1910.07467), of what is read and before each half of a block, and the MLP is gated (SwiGLU,
    Shazeer, 2020, arXiv 2002.05202), as large as one of four times the width without.

    Args:
        dim: width of embeddings and hidden states.
        blocks: number of attention blocks.
        heads: attention heads a block; ``dim / heads`` is whole and even.
        max_length: most positions that the model can read.

    Raises:
        ValueError: a size is not positive, or ``heads`` does not divide ``dim`` into even parts.
    """

    dim: int = 32
    blocks: int = 1
    heads: int = 1
    max_length: int = 50

    name = "sasrec-modern"

    def __post_init__(self) -> None:
        check_positive(self, "dim", "blocks", "heads", "max_length")
        if self.dim % (2 * self.heads):
            raise ValueError(f"heads is {self.heads}; it must divide dim = {self.dim} into even parts")

    def init(self, vocab_size: int, seed: int) -> Parameters:
        """See ``SequenceModel.init``."""
        draw, d, inner = Draw(seed), self.dim, 8 * self.dim // 3
        parameters = {
            "embedding": draw.normal(vocab_size, d),
            "position": draw.normal(self.max_length, d),
            "input.norm": torch.ones(d),
        }
        for block in range(self.blocks):
            parameters |= {
                f"{block}.attention.norm": torch.ones(d),
                f"{block}.attention.qkv": draw.dense(3 * d, d),
                f"{block}.attention.out": draw.dense(d, d) / math.sqrt(2 * self.blocks),
                f"{block}.mlp.norm": torch.ones(d),
                f"{block}.mlp.up": draw.dense(2 * inner, d),
                f"{block}.mlp.down": draw.dense(d, inner) / math.sqrt(2 * self.blocks),
            }
        return parameters | {"norm": torch.ones(d)}

    def hidden(
        self, parameters: Parameters, embeddings: Tensor, padding: Tensor | None = None, rate: float = 0.0
    ) -> Tensor:
        """See ``SequenceModel.hidden``; the last event has the last position vector."""
        check_length(embeddings, self.max_length)
        length = embeddings.shape[1]
        positions = parameters["position"][self.max_length - length :]
        x = dropout(rms_norm(embeddings + positions, parameters["input.norm"]), rate)
        masked = causal_mask(length, padding, x.device)
        for block in range(self.blocks):
            x = x + self._attention(parameters, f"{block}.attention", x, masked, rate)
            x = x + self._mlp(parameters, f"{block}.mlp", x, rate)
        return rms_norm(x, parameters["norm"])

    def _attention(self, parameters: Parameters, at: str, x: Tensor, masked: Tensor, rate: float) -> Tensor:
        batch, length, dim = x.shape
        qkv = linear(rms_norm(x, parameters[f"{at}.norm"]), parameters[f"{at}.qkv"])
        qkv = qkv.view(batch, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        q, k = rotary(qkv[:2])
        mixed = attention(q, k, qkv[2], masked, rate).transpose(1, 2).reshape(batch, length, dim)
        return dropout(linear(mixed, parameters[f"{at}.out"]), rate)

    def _mlp(self, parameters: Parameters, at: str, x: Tensor, rate: float) -> Tensor:
        inner = linear(rms_norm(x, parameters[f"{at}.norm"]), parameters[f"{at}.up"])
        return dropout(linear(swiglu(inner), parameters[f"{at}.down"]), rate)
