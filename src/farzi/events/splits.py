"""Who sees what: training, validation and test parts of a data set."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from farzi.errors import InputError
from farzi.events.data import EventData


@dataclass(frozen=True)
class HeldOut:
    """Histories, each with the one event that follows it and is to be predicted.

    Args:
        events: (num_events,) int32, shared with the data set it came from, not copied.
        starts: (num_rows,) int64; the history of row i is ``events[starts[i]:ends[i]]``.
        ends: (num_rows,) int64.
        targets: (num_rows,) int32, the held-out event of each row.
    """

    events: NDArray[np.int32]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    targets: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Splits:
    """A data set in three parts: what a model is fitted to, chosen by, and judged by."""

    train: EventData
    valid: HeldOut
    test: HeldOut


def leave_last_two_out(data: EventData) -> Splits:
    """Hold out each sequence's last event for testing and the one before it for validation.

    The history of a test event includes the validation event; training sees neither.

    Args:
        data: sequences of at least three events each.

    Returns:
        the training data, with the same vocabulary and sequences two events shorter, and one validation and one test
        row for each sequence, in the order of the sequences.

    Raises:
        InputError: there are no sequences, or some have fewer than three events.
    """
    lengths = np.diff(data.offsets)
    if not len(lengths):
        raise InputError(f"{data.name} has no sequences to split; at least one of three events is needed")
    if num_short := int(np.count_nonzero(lengths < 3)):
        raise InputError(
            f"{num_short} of the {data.num_sequences} users of {data.name} have fewer than 3 events, but training, "
            "validation and test take one each; leave such users out with min_count=3 or more"
        )
    starts, ends = data.offsets[:-1], data.offsets[1:]
    keep = np.ones(data.num_events, dtype=bool)
    keep[ends - 1] = keep[ends - 2] = False
    offsets = data.offsets - 2 * np.arange(data.num_sequences + 1)
    return Splits(
        train=EventData(data.name, data.events[keep], offsets, data.vocabulary),
        valid=HeldOut(data.events, starts, ends - 2, data.events[ends - 2]),
        test=HeldOut(data.events, starts, ends - 1, data.events[ends - 1]),
    )
