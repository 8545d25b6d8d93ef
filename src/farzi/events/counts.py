"""What a data set looks like in numbers."""

from dataclasses import dataclass

import numpy as np

from farzi.errors import InputError
from farzi.events.data import EventData


@dataclass(frozen=True, kw_only=True)
class Description:
    """Counts of a data set.

    Args:
        name: the data set.
        num_users: its sequences.
        num_items: its vocabulary.
        num_events: its events.
        min_length: events of the shortest sequence.
        median_length: of the middle one.
        mean_length: of all on average.
        max_length: of the longest.
        density: events for each pair of a user and an item; 1 if everyone had everything once.
        head_share: the share of the events that fall on the most popular tenth of the items, 0 to 1.
    """

    name: str
    num_users: int
    num_items: int
    num_events: int
    min_length: int
    median_length: float
    mean_length: float
    max_length: int
    density: float
    head_share: float


def describe(data: EventData) -> Description:
    """Count what is in a data set.

    Raises:
        InputError: there are no events.
    """
    if not data.num_events:
        raise InputError(f"{data.name} has no events to describe")
    lengths = np.diff(data.offsets)
    popularity = np.sort(np.bincount(data.events, minlength=data.vocab_size))
    num_head = -(-data.vocab_size // 10)
    return Description(
        name=data.name,
        num_users=data.num_sequences,
        num_items=data.vocab_size,
        num_events=data.num_events,
        min_length=int(lengths.min()),
        median_length=float(np.median(lengths)),
        mean_length=float(lengths.mean()),
        max_length=int(lengths.max()),
        density=data.num_events / (data.num_sequences * data.vocab_size),
        head_share=float(popularity[-num_head:].sum() / data.num_events),
    )
