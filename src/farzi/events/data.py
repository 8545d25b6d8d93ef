"""Event sequences in memory: one flat array of events, and where each sequence begins."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from farzi.errors import InputError


@dataclass(frozen=True)
class Vocabulary:
    """The original ids of the events, in the order of their numbers, and titles where the data has them.

    Args:
        ids: one distinct id for each event, as text.
        titles: a title for each id, or None where the data has no titles.

    Raises:
        ValueError: an id appears twice, or there are not as many titles as ids.
    """

    ids: tuple[str, ...]
    titles: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if len(self._numbers) != len(self.ids):
            raise ValueError("ids must be distinct: at least one appears twice in the vocabulary")
        if self.titles is not None and len(self.titles) != len(self.ids):
            raise ValueError(f"titles must be as many as the {len(self.ids)} ids, not {len(self.titles)}")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {id_: number for number, id_ in enumerate(self.ids)}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of the ids in their order as compact JSON (titles do not enter)."""
        text = json.dumps(self.ids, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def title(self, index: int) -> str:
        """Return the title of event ``index`` (0 to vocab - 1), or its id where the data has no titles."""
        return self.ids[index] if self.titles is None else self.titles[index]

    def index(self, id_: str) -> int:
        """Return the number of the event with this id.

        Raises:
            InputError: no event has this id.
        """
        try:
            return self._numbers[id_]
        except KeyError:
            raise InputError(f"the id {id_!r} is not among the {len(self)} events of the vocabulary") from None


@dataclass(frozen=True)
class EventData:
    """A data set of event sequences over one vocabulary, four bytes an event.

    Args:
        name: what the data set is called in tables and files.
        events: (num_events,) int32, the sequences one after another, each in the order of time.
        offsets: (num_sequences + 1,) int64; sequence i is ``events[offsets[i]:offsets[i + 1]]``.
        vocabulary: what the numbers in ``events`` stand for.
        licence: the terms of the data, where they are known.

    Raises:
        ValueError: the arrays have the wrong types, or do not fit one another or the vocabulary.
    """

    name: str
    events: NDArray[np.int32]
    offsets: NDArray[np.int64]
    vocabulary: Vocabulary
    licence: str | None = None

    def __post_init__(self) -> None:
        if self.events.dtype != np.int32 or self.events.ndim != 1:
            raise ValueError(f"events must be a flat int32 array, not {self.events.dtype} {self.events.shape}")
        if self.offsets.dtype != np.int64 or self.offsets.ndim != 1:
            raise ValueError(f"offsets must be a flat int64 array, not {self.offsets.dtype} {self.offsets.shape}")
        if len(self.offsets) == 0 or self.offsets[0] != 0 or self.offsets[-1] != len(self.events):
            raise ValueError(f"offsets must run from 0 to the number of events, {len(self.events)}")
        if np.any(np.diff(self.offsets) < 0):
            raise ValueError("offsets must not decrease")
        if len(self.events) and not 0 <= self.events.min() <= self.events.max() < len(self.vocabulary):
            raise ValueError(f"events must lie between 0 and {len(self.vocabulary) - 1}, the vocabulary's last number")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of the vocabulary, the events and where the sequences begin; not of name and licence."""
        digest = hashlib.sha256(self.vocabulary.fingerprint.encode())
        for array in (self.events, self.offsets):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @property
    def num_sequences(self) -> int:
        """The number of sequences, empty ones included."""
        return len(self.offsets) - 1

    @property
    def num_events(self) -> int:
        """The number of events in all sequences together."""
        return len(self.events)

    @property
    def vocab_size(self) -> int:
        """The number of different events there can be."""
        return len(self.vocabulary)

    def sequence(self, i: int) -> NDArray[np.int32]:
        """Return sequence ``i`` (0 to num_sequences - 1): a view of its events, (length,)."""
        if not 0 <= i < self.num_sequences:
            raise IndexError(f"sequence {i} is not among the {self.num_sequences} of {self.name}")
        return self.events[self.offsets[i] : self.offsets[i + 1]]


def encode(vocabulary: Vocabulary, ids: Iterable[str]) -> NDArray[np.int32]:
    """Return the numbers of the events with these ids, (number of ids,).

    Raises:
        InputError: an id is not in the vocabulary; the message names it.
    """
    return np.fromiter((vocabulary.index(id_) for id_ in ids), dtype=np.int32)
