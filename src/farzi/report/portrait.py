"""What a summary's distributions are like: how spread out, over which events, and how these compare with real ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from farzi.evaluation import task_of
from farzi.events import EventData, TextData
from farzi.report.sequences import likeliest
from farzi.summary import Summary

SHOWN_SEQUENCES, SHOWN_POSITIONS, SHOWN_EVENTS = 3, 10, 3
"""How much of a summary is written out: of so many sequences, the first positions, the likeliest events of each."""

SHOWN_FREQUENT = 10
"""How many events are written out of those that are likeliest on the whole."""

COMPARED_EVENTS = 10**9
"""As many sequences are looked for in the real ones as compare no more pairs of events than this, and at least those
that are written out.
"""

Shares = NDArray[np.float64]
"""How much of everything each event is, ``(vocab,)``, which sums to 1."""


class Side(NamedTuple):
    """All inputs of a summary, or all targets: entropies in nats, ``(sequences, length)``, and each event's share."""

    entropies: NDArray[np.float64]
    shares: Shares


class Likely(NamedTuple):
    """A distribution: its likeliest events with their probabilities, and how many equally likely ones it is worth."""

    events: list[tuple[str, float]]
    worth: float


class Frequent(NamedTuple):
    """An event with its share of all targets, of all inputs, and of the training events, where these are at hand."""

    title: str
    target: float
    input: float
    real: float | None


@dataclass(frozen=True, kw_only=True)
class Portrait:
    """A summary in numbers.

    Args:
        inputs: all of them.
        targets: all of them.
        real: shares of the training events, where they are at hand.
        found: how much of each of the first sequences is a real one, ``(sequences,)``, see :func:`found_in`; None where
            the training events are not at hand.
        alike: how much of as many real sequences stands elsewhere in the data, likewise, for comparison; None too
            where no real sequence is as long.
        frequent: the events that are likeliest as targets on the whole.
        sequences: the first sequences, by position an input and its target.
    """

    inputs: Side
    targets: Side
    real: Shares | None
    found: Shares | None
    alike: Shares | None
    frequent: list[Frequent]
    sequences: list[list[tuple[Likely, Likely]]]


def portray(summary: Summary, data: EventData | TextData | None = None) -> Portrait:
    """Measure a summary, a sequence at a time.

    Args:
        summary: any.
        data: what it was distilled from, where that is at hand.
    """
    factors, sequences = summary.factors, list[list[tuple[Likely, Likely]]]()
    entropies = torch.empty(2, factors.num_sequences, factors.length, dtype=torch.float64)
    shares = torch.zeros(2, factors.vocab_size, dtype=torch.float64)
    for number in range(factors.num_sequences):
        parts = torch.cat(factors.decode(torch.tensor([number]))).double()
        entropies[:, number] = torch.special.entr(parts).sum(-1)
        shares += parts.sum(1)
        if number < SHOWN_SEQUENCES:
            positions = parts[:, :SHOWN_POSITIONS].transpose(0, 1)
            sequences.append([(_likely(given, summary), _likely(target, summary)) for given, target in positions])
    shares /= shares.sum(-1, keepdim=True)
    train = None if data is None else task_of(data).train_data
    real = None if train is None else np.bincount(train.events, minlength=train.vocab_size) / train.num_events

    found, others = None, None
    if train is not None:
        wanted = _likeliest_inputs(summary, train.num_events)
        found, others = found_in(train, wanted), alike(train, *wanted.shape)

    def real_share(event: int) -> float | None:
        return None if real is None else float(real[event])

    return Portrait(
        inputs=Side(entropies[0].numpy(), shares[0].numpy()),
        targets=Side(entropies[1].numpy(), shares[1].numpy()),
        real=real,
        found=found,
        alike=others,
        frequent=[
            Frequent(summary.title(event), float(shares[1, event]), float(shares[0, event]), real_share(event))
            for event in shares[1].topk(min(SHOWN_FREQUENT, factors.vocab_size)).indices.tolist()
        ],
        sequences=sequences,
    )


def by_rank(real: Shares, others: Sequence[Shares]) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """Follow popularity down the ranks of the real events, the most frequent first, in groups of ranks.

    Args:
        real: shares of the real events.
        others: shares of the same events elsewhere.

    Returns:
        the middle rank of each group, from 1, and the mean share of its events, of the real ones and of each of the
        others; ``(groups,)`` each. The groups, 40 at most, are the wider the farther down they are.
    """
    order = np.argsort(-real, kind="stable")
    bounds = np.unique(np.geomspace(1, len(real) + 1, 41).round().astype(int))
    starts, counts = bounds[:-1] - 1, np.diff(bounds)
    return starts + (counts + 1) / 2, [np.add.reduceat(one[order], starts) / counts for one in (real, *others)]


def found_in(real: EventData, sequences: NDArray[np.int64]) -> Shares:
    """How much of each sequence stands in one place of the real ones.

    Args:
        real: the real sequences.
        sequences: events, ``(sequences, length)``.

    Returns:
        the share of the positions whose event is the real one, where most of them are, ``(sequences,)``. A real
        sequence may begin and end anywhere beside it.
    """
    length = sequences.shape[1]
    apart = _set_apart(real, length)
    return np.array([_agreeing(apart, one).max() for one in sequences]) / length


def alike(real: EventData, count: int, length: int) -> Shares | None:
    """How much of some real sequences stands in one other place of the real ones.

    Args:
        real: the real sequences.
        count: how many are drawn.
        length: of each, which may begin anywhere in a real sequence.

    Returns:
        as :func:`found_in`, ``(count,)``, but for the places that share an event with the drawn one; None if no real
        sequence is as long.
    """
    begins = np.clip(np.diff(real.offsets) - length + 1, 0, None)  # places to begin at, in each sequence
    until = begins.cumsum()
    if not until.size or not until[-1]:
        return None
    apart, shares = _set_apart(real, length), np.empty(count)
    for number, drawn in enumerate(np.random.default_rng(0).integers(until[-1], size=count)):
        sequence = np.searchsorted(until, drawn, side="right")
        start = real.offsets[sequence + 1] - length - (until[sequence] - 1 - drawn)
        counts = _agreeing(apart, real.events[start : start + length])
        own = start + length * (sequence + 1)
        counts[own - length + 1 : own + length] = 0
        shares[number] = counts.max() / length
    return shares


def _set_apart(real: EventData, length: int) -> NDArray[np.int32]:
    """All events in a row, with room for a sequence before, between and after the real ones."""
    bounds = np.repeat(real.offsets[:-1], length)
    return np.concatenate([np.insert(real.events, bounds, -1), np.full(length, -1, real.events.dtype)])


def _agreeing(apart: NDArray[np.int32], sequence: NDArray[np.integer]) -> NDArray[np.int32]:
    """By the place where it is laid beside the real events, how many of a sequence are the real ones."""
    places = len(apart) - len(sequence) + 1
    counts = np.zeros(places, np.int32)
    for i, event in enumerate(sequence):
        counts += apart[i : i + places] == event
    return counts


def _likely(distribution: torch.Tensor, summary: Summary) -> Likely:
    entropy = float(torch.special.entr(distribution).sum())
    return Likely(likeliest(distribution, summary, SHOWN_EVENTS), math.exp(entropy))


def _likeliest_inputs(summary: Summary, num_events: int) -> NDArray[np.int64]:
    """The likeliest input of each position of the first sequences, ``(sequences, length)``."""
    factors = summary.factors
    count = max(COMPARED_EVENTS // (num_events * factors.length), SHOWN_SEQUENCES)
    each = (factors.decode(torch.tensor([one]))[0].argmax(-1) for one in range(min(count, factors.num_sequences)))
    return torch.cat(list(each)).numpy()
