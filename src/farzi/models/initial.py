"""How initial parameters are drawn."""

import math

import torch
from torch import Tensor


class Draw:
    """Draws one tensor after another, in float32 and without the global random state.

    Args:
        seed: of the random draw.
    """

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int) -> Tensor:
        """Draw small numbers, for embeddings: of mean 0 and deviation 0.02."""
        return torch.randn(*shape, generator=self._generator) * 0.02

    def dense(self, outputs: int, inputs: int) -> Tensor:
        """Draw a matrix ``(outputs, inputs)`` that keeps the size of what it is multiplied with."""
        return torch.randn(outputs, inputs, generator=self._generator) / math.sqrt(inputs)
