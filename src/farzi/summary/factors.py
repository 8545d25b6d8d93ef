"""Farzi Data: a handful of synthetic sequences held as latents times a decoder."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farzi.models import Batch, Factored


@dataclass(frozen=True, kw_only=True)
class Factors:
    """Synthetic sequences ``softmax(latents @ decoder / temperature)`` (Sachdeva et al., 2023, arXiv 2310.09983).

    With ``targets`` (kind ``free``) a position's target distribution has a latent vector of its own; without (kind
    ``next``, the paper's form) it is the distribution at the next position, and one position more is stored.

    Args:
        latents: ``(sequences, length, rank)``, or ``(sequences, length + 1, rank)`` for ``next``.
        decoder: ``(rank, vocab)``.
        targets: ``(sequences, length, rank)`` or None.
        temperature: positive; divides the logits.

    Raises:
        ValueError: shapes do not fit each other, or the temperature is not positive and finite.
    """

    latents: Tensor
    decoder: Tensor
    targets: Tensor | None = None
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.latents.ndim != 3 or self.decoder.ndim != 2 or self.latents.shape[2] != self.decoder.shape[0]:
            raise ValueError(
                f"latents {tuple(self.latents.shape)} and decoder {tuple(self.decoder.shape)} differ in rank"
            )
        if self.targets is not None and self.targets.shape != self.latents.shape:
            raise ValueError(f"targets {tuple(self.targets.shape)} and latents {tuple(self.latents.shape)} differ")
        if self.targets is None and self.latents.shape[1] < 2:
            raise ValueError("latents without targets need at least 2 positions, the last of them a target only")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}; it must be positive and finite")

    @property
    def kind(self) -> str:
        """``free`` or ``next``."""
        return "next" if self.targets is None else "free"

    @property
    def num_sequences(self) -> int:
        """Number of synthetic sequences."""
        return self.latents.shape[0]

    @property
    def length(self) -> int:
        """Positions of a sequence that have a target."""
        return self.latents.shape[1] - (self.targets is None)

    @property
    def vocab_size(self) -> int:
        """Number of events in the vocabulary."""
        return self.decoder.shape[1]

    @property
    def decoded_bytes(self) -> int:
        """What its distributions, inputs and targets, would take in float32."""
        return 2 * 4 * self.num_sequences * self.length * self.vocab_size

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that are learned, by name."""
        named = {"latents": self.latents, "decoder": self.decoder}
        return named if self.targets is None else {**named, "targets": self.targets}

    def with_tensors(self, tensors: dict[str, Tensor]) -> "Factors":
        """The same kind of factors with other tensors.

        Args:
            tensors: as :meth:`tensors` gives them.

        Returns:
            new factors.
        """
        return replace(self, **tensors)

    def to(self, device: torch.device) -> "Factors":
        """The same factors elsewhere.

        Args:
            device: where to.

        Returns:
            factors whose tensors are there.
        """
        return self.with_tensors({name: part.to(device) for name, part in self.tensors().items()})

    def decode(self, indices: Tensor | slice = slice(None)) -> Batch:
        """Turn some sequences into distributions.

        Differentiable by the factors; only the chosen sequences take ``(length, vocab)`` memory.

        Args:
            indices: which sequences; all by default.

        Returns:
            soft inputs and targets, ``(batch, length, vocab)`` each.
        """
        inputs = self._distributions(self.latents[indices])
        if self.targets is None:
            return Batch(inputs[:, :-1], inputs[:, 1:])
        return Batch(inputs, self._distributions(self.targets[indices]))

    def factored(self, indices: Tensor | slice = slice(None)) -> Factored:
        """Some sequences as they are: what a model can be trained on without their distributions being held.

        Args:
            indices: which sequences; all by default.

        Returns:
            soft sequences in factors.
        """
        targets = None if self.targets is None else self.targets[indices]
        return Factored(self.latents[indices], self.decoder, targets, self.temperature)

    def _distributions(self, latents: Tensor) -> Tensor:
        return (latents @ self.decoder / self.temperature).softmax(-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw a hard sequence from each synthetic one, position by position, each on its own.

        Args:
            generator: source of randomness.

        Returns:
            event ids, ``(sequences, length + 1)``; the last one is drawn from the last target.
        """
        rows: list[Tensor] = []
        for number in range(self.num_sequences):
            inputs, targets = (part[0].cpu() for part in self.decode(slice(number, number + 1)))
            rows.append(torch.multinomial(torch.cat([inputs, targets[-1:]]), 1, generator=generator)[:, 0])
        return torch.stack(rows)
