"""How large a summary is to be."""

from dataclasses import dataclass

import torch

from farzi.errors import InputError
from farzi.summary import Factors


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a summary is.

    Args:
        sequences: number of synthetic sequences.
        length: positions of each that have a target.
        rank: of the factors.
        targets: ``free`` (targets of their own) or ``next`` (the next position, the paper's form).
        start: ``real`` (sequences that stand for all others) or ``generated`` (such as the teachers write, of which
            none need stand in the data but for its first event).

    Raises:
        ValueError: a number is not positive, or the kind of targets or of start is unknown.
    """

    sequences: int = 50
    length: int = 10
    rank: int = 32
    targets: str = "free"
    start: str = "real"

    def __post_init__(self) -> None:
        for name in ("sequences", "length", "rank"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.targets not in ("free", "next"):
            raise ValueError(f"targets is {self.targets!r}; it must be 'free' or 'next'")
        if self.start not in ("real", "generated"):
            raise ValueError(f"start is {self.start!r}; it must be 'real' or 'generated'")

    def empty(self, vocab_size: int) -> Factors:
        """Factors of this size that say nothing: what they cost is what any would.

        Args:
            vocab_size: number of events in the vocabulary.

        Returns:
            zeros.
        """
        latents = torch.zeros(self.sequences, self.length + (self.targets == "next"), self.rank)
        targets = torch.zeros_like(latents) if self.targets == "free" else None
        return Factors(latents=latents, decoder=torch.zeros(self.rank, vocab_size), targets=targets)

    def check(self, max_length: int, num_events: int) -> None:
        """Refuse a size that does not fit.

        Args:
            max_length: most positions that the model reads.
            num_events: of the training data.

        Raises:
            InputError: the sequences are too long for the model, or there are more positions than events.
        """
        if self.length > max_length:
            raise InputError(
                f"length is {self.length}, but the model's max_length is {max_length}; raise one or lower the other"
            )
        positions = self.sequences * self.length
        if positions > num_events:
            raise InputError(
                f"{self.sequences} sequences of {self.length} are {positions:,} positions, but the training data has "
                f"{num_events:,} events; ask for fewer"
            )
