"""What models are fitted to: windows of real sequences, and sequences held as tensors."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from farzi.devices import CPU
from farzi.errors import InputError
from farzi.events import EventData, gather, windows
from farzi.models import Batch, Factored
from farzi.summary import Factors

USUAL_EVENTS = 640
"""Events that a batch of real sequences is to predict, where nobody says how large it is."""

MOST_WINDOWS = 64
"""Sequences that such a batch has at most, where they are short."""


@dataclass(frozen=True, kw_only=True)
class RealSequences:
    """All windows of real sequences, cut anew at random in every epoch.

    Args:
        data: the training sequences.
        length: positions in a window.
        device: where batches are made.

    Raises:
        InputError: no sequence has two events, so there is nothing to predict.
    """

    data: EventData
    length: int
    device: torch.device = CPU

    def __post_init__(self) -> None:
        if np.diff(self.data.offsets).max(initial=0) < 2:
            raise InputError(
                f"no training sequence of {self.data.name} has two events, so there is nothing to learn from; "
                "give data with longer sequences"
            )

    @property
    def vocab_size(self) -> int:
        """Number of events in the vocabulary."""
        return self.data.vocab_size

    @property
    def identity(self) -> dict[str, Any]:
        """What tells it from any other, as JSON holds it."""
        return {"data": self.data.fingerprint, "length": self.length}

    @property
    def usual_batch_size(self) -> int:
        """As many windows as have :data:`USUAL_EVENTS` to predict, :data:`MOST_WINDOWS` at most."""
        starts, ends = windows(self.data.offsets, self.length)
        return min(MOST_WINDOWS, math.ceil(USUAL_EVENTS / float((ends - starts - 1).mean())))

    def batches_per_pass(self, batch_size: int) -> int:
        """How many batches show everything once, up to where the windows happen to be cut.

        Args:
            batch_size: windows a batch.

        Returns:
            a number, at least 1.
        """
        return -(-len(windows(self.data.offsets, self.length)[0]) // batch_size)

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Yield shuffled batches for ever; in each epoch every event but a user's first is a target once.

        Args:
            batch_size: windows a batch.
            generator: source of randomness.

        Yields:
            hard batches, ``(batch, longest)``: no wider than the longest of their windows, at most ``length``.
        """
        while True:
            shift = int(torch.randint(self.length, (), generator=generator))
            starts, ends = windows(self.data.offsets, self.length, shift)
            for part in torch.randperm(len(starts), generator=generator).split(batch_size):
                begin, end = starts[part.numpy()], ends[part.numpy()]
                rows = gather(self.data.events, begin, end, int((end - begin).max()))
                tokens = torch.from_numpy(rows).to(self.device)
                yield Batch(tokens[:, :-1], tokens[:, 1:].masked_fill(tokens[:, :-1] < 0, -1))


@dataclass(frozen=True, kw_only=True)
class TensorSequences:
    """A few sequences held whole: those of a summary, or hard ones.

    Args:
        inputs: ``(sequences, length)`` ids or ``(sequences, length, vocab)`` distributions.
        targets: likewise.
        vocab_size: number of events in the vocabulary.
        factors: what they were decoded from, if anything.
    """

    inputs: Tensor
    targets: Tensor
    vocab_size: int
    factors: Factors | None = None

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.inputs.device

    @property
    def identity(self) -> dict[str, Any]:
        """What tells it from any other, as JSON holds it."""
        if self.factors is not None:  # decoding may round otherwise with other threads
            return identity_of(self.factors)
        return {"sequences": digest_of(self.inputs, self.targets), "vocabulary": self.vocab_size}

    @property
    def usual_batch_size(self) -> int:
        """All sequences, if they are few."""
        return min(len(self.inputs), MOST_WINDOWS)

    def batches_per_pass(self, batch_size: int) -> int:
        """How many batches show everything once, but for an incomplete one.

        Args:
            batch_size: sequences a batch.

        Returns:
            a number, at least 1.
        """
        return max(len(self.inputs) // batch_size, 1)

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Yield batches for ever, in the order of :func:`draw_schedule`.

        Args:
            batch_size: sequences a batch.
            generator: source of randomness.

        Yields:
            batches of ``batch_size`` sequences, or all of them where there are fewer.
        """
        for indices in endless_schedule(len(self.inputs), batch_size, generator):
            indices = indices.to(self.device)
            yield Batch(self.inputs.index_select(0, indices), self.targets.index_select(0, indices))


@dataclass(frozen=True, kw_only=True)
class OfFactors:
    """What training sets have in common that come from the factors of a summary.

    Args:
        factors: of the summary.
    """

    factors: Factors

    @property
    def vocab_size(self) -> int:
        """Number of events in the vocabulary."""
        return self.factors.vocab_size

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.factors.decoder.device

    @property
    def usual_batch_size(self) -> int:
        """All sequences, if they are few."""
        return min(self.factors.num_sequences, MOST_WINDOWS)

    def batches_per_pass(self, batch_size: int) -> int:
        """How many batches show everything once, but for an incomplete one.

        Args:
            batch_size: sequences a batch.

        Returns:
            a number, at least 1.
        """
        return max(self.factors.num_sequences // batch_size, 1)


@dataclass(frozen=True, kw_only=True)
class FactoredSequences(OfFactors):
    """The sequences of a summary, decoded a chunk at a time by whoever reads them.

    Args:
        factors: of the summary.
    """

    @property
    def identity(self) -> dict[str, Any]:
        """What tells it from any other, as JSON holds it."""
        return identity_of(self.factors)

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Factored]:
        """Yield batches for ever, in the order of :func:`draw_schedule`.

        Args:
            batch_size: sequences a batch.
            generator: source of randomness.

        Yields:
            batches of ``batch_size`` sequences, or all of them where there are fewer.
        """
        for indices in endless_schedule(self.factors.num_sequences, batch_size, generator):
            yield self.factors.factored(indices.to(self.device))


MOST_DECODED_BYTES = 2**32
"""A summary whose distributions take more than this in float32 is trained on in factors, which takes twice the time."""


def as_training_set(factors: Factors) -> TensorSequences | FactoredSequences:
    """Make something of factors that a model can be fitted to.

    Args:
        factors: of a summary.

    Returns:
        soft sequences, ``(sequences, length, vocab)``; in factors where these would be very large.
    """
    if factors.decoded_bytes > MOST_DECODED_BYTES:
        return FactoredSequences(factors=factors)
    batch = factors.decode()
    return TensorSequences(inputs=batch.inputs, targets=batch.targets, vocab_size=factors.vocab_size, factors=factors)


def identity_of(factors: Factors) -> dict[str, Any]:
    """What tells the sequences of a summary from any others, as JSON holds it."""
    return {"factors": digest_of(*factors.tensors().values()), "temperature": factors.temperature}


def digest_of(*tensors: Tensor) -> str:
    """SHA-256, in hex, of tensors with their shapes."""
    digest = hashlib.sha256()
    for part in tensors:
        digest.update(f"{part.dtype} {tuple(part.shape)}".encode())
        digest.update(part.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def draw_schedule(count: int, batch_size: int, steps: int, generator: torch.Generator) -> Tensor:
    """Draw which sequences each training step sees: shuffled passes, without the incomplete batch at a pass's end.

    Args:
        count: number of sequences.
        batch_size: sequences a step, at most ``count``.
        steps: number of steps.
        generator: source of randomness.

    Returns:
        indices, ``(steps, batch_size)``.
    """
    per_pass = count // batch_size
    passes = [
        torch.randperm(count, generator=generator)[: per_pass * batch_size]
        for _ in range(max(-(-steps // per_pass), 1))
    ]
    return torch.cat(passes).view(-1, batch_size)[:steps]


def endless_schedule(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The schedule of :func:`draw_schedule`, pass after pass for ever."""
    size = min(batch_size, count)
    while True:
        yield from draw_schedule(count, size, max(count // size, 1), generator)
