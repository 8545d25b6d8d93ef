"""What every sequence model offers, and the loss that all of them share."""

from typing import Protocol

from torch import Tensor

Parameters = dict[str, Tensor]
"""Named tensors. ``embedding`` is ``(vocab, dim)`` and is the output matrix as well."""


class SequenceModel(Protocol):
    """A causal model as a value: it holds sizes, never tensors."""

    @property
    def name(self) -> str:
        """Lower-case name, as in result files."""
        ...

    @property
    def max_length(self) -> int:
        """Most positions that the model can read."""
        ...

    def init(self, vocab_size: int, seed: int) -> Parameters:
        """Draw fresh parameters."""
        ...

    def hidden(
        self, parameters: Parameters, embeddings: Tensor, padding: Tensor | None = None, rate: float = 0.0
    ) -> Tensor:
        """Map expected embeddings ``(batch, length, dim)`` to hidden states of the same shape, causally."""
        ...
