"""What a data set looks like in numbers."""

from dataclasses import dataclass

import numpy as np

from farzi.errors import InputError
from farzi.events.data import EventData
from farzi.events.text_data import TextData
from farzi.events.tokenizer import UNKNOWN


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


@dataclass(frozen=True, kw_only=True)
class TextDescription:
    """Counts of a text.

    Args:
        name: the text.
        tokenizer: what cut it.
        vocab_size: its vocabulary.
        num_train: tokens for training.
        num_valid: tokens for validation.
        num_test: tokens for testing.
        unknown_share: the share of the test's tokens that have no place in the vocabulary, 0 to 1.
    """

    name: str
    tokenizer: str
    vocab_size: int
    num_train: int
    num_valid: int
    num_test: int
    unknown_share: float


def describe(data: EventData | TextData) -> Description | TextDescription:
    """Count what is in a data set, or in a text.

    Raises:
        InputError: there are no events.
    """
    return _describe_text(data) if isinstance(data, TextData) else _describe_events(data)


def _describe_text(data: TextData) -> TextDescription:
    ids = data.vocabulary.ids
    unknown = data.vocabulary.index(UNKNOWN) if UNKNOWN in ids else -1
    return TextDescription(
        name=data.name,
        tokenizer=data.tokenizer.kind,
        vocab_size=data.vocab_size,
        num_train=len(data.train),
        num_valid=len(data.valid),
        num_test=len(data.test),
        unknown_share=float((data.test == unknown).mean()),
    )


def _describe_events(data: EventData) -> Description:
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
