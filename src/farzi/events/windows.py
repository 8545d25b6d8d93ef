"""Pieces of sequences as rectangular arrays, ready for a model."""

import numpy as np
from numpy.typing import NDArray

PAD = -1
"""Stands on the left of a row where its sequence has no more events."""


def gather(
    events: NDArray[np.int32], starts: NDArray[np.int64], ends: NDArray[np.int64], length: int
) -> NDArray[np.int64]:
    """Cut spans out of a flat array and align them on the right.

    Args:
        events: (num_events,) the sequences one after another.
        starts: (n,) where each span begins.
        ends: (n,) one past each span's last event.
        length: the width of the result, at least 1.

    Returns:
        (n, length): the last ``length`` events of each span, with ``PAD`` on the left of shorter ones.
    """
    positions = ends[:, None] + np.arange(-length, 0)
    inside = positions >= starts[:, None]
    rows = np.full(positions.shape, PAD, dtype=np.int64)
    rows[inside] = events[positions[inside]]
    return rows


def windows(offsets: NDArray[np.int64], length: int, shift: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut every sequence into spans in which each event but a sequence's first is a target exactly once.

    A span of k + 1 events has k inputs and k targets, so a sequence's consecutive spans share one event: the last
    target of one is the first input of the next.

    Args:
        offsets: (num_sequences + 1,) where the sequences begin and end.
        length: the most targets in a span, at least 1.
        shift: how many targets earlier the cuts fall, 0 to length - 1; a new shift each epoch varies the windows.

    Returns:
        starts and ends of the spans, (num_spans,) each, in the order of the sequences; a sequence of fewer than two
        events has none.

    Raises:
        ValueError: ``length`` or ``shift`` is out of its range.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, not {length}")
    if not 0 <= shift < length:
        raise ValueError(f"shift must lie between 0 and {length - 1}, not {shift}")
    num_targets = np.maximum(np.diff(offsets) - 1, 0)
    num_spans = np.where(num_targets > 0, -(-(num_targets + shift) // length), 0)
    firsts = np.cumsum(num_spans) - num_spans
    piece = np.arange(num_spans.sum()) - np.repeat(firsts, num_spans)
    begins = np.repeat(offsets[:-1], num_spans)
    starts = begins + np.maximum(piece * length - shift, 0)
    ends = begins + np.minimum((piece + 1) * length - shift, np.repeat(num_targets, num_spans)) + 1
    return starts, ends


def draw_windows(
    events: NDArray[np.int32], offsets: NDArray[np.int64], count: int, length: int, seed: int
) -> NDArray[np.int64]:
    """Draw random windows of full length; where sequences are too short for that, several are joined end to end.

    Args:
        events: (num_events,) the sequences one after another.
        offsets: (num_sequences + 1,) where the sequences begin and end.
        count: the number of windows, at least 1.
        length: inputs of a window; it holds one event more.
        seed: of the draw.

    Returns:
        (count, length + 1): events, without padding; no window of full length is drawn twice.

    Raises:
        ValueError: there are no events.
    """
    if not len(events):
        raise ValueError("there are no events to draw windows from")
    generator = np.random.default_rng(seed)
    starts, ends = windows(offsets, length, shift=int(generator.integers(length)))
    whole = generator.permutation(np.flatnonzero(ends - starts == length + 1))[:count]
    rows = [gather(events, starts[whole], ends[whole], length + 1)]
    for _ in range(count - len(whole)):
        joined = np.empty(0, dtype=np.int64)
        while len(joined) <= length:
            user = int(generator.integers(len(offsets) - 1))
            joined = np.append(joined, events[offsets[user] : offsets[user + 1]].astype(np.int64))
        rows.append(joined[None, : length + 1])
    return np.concatenate(rows)
