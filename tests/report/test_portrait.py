"""What a page measures of a summary, beside the same by plain loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from farzi.events import EventData, Vocabulary
from farzi.report.portrait import alike, by_rank, found_in, portray
from farzi.summary import Advice, Card, Factors, Summary

VOCAB = 5
NAMES = Vocabulary(tuple("abcde"), tuple("ABCDE"))


def real_data(sequences: list[list[int]]) -> EventData:
    events = np.array([event for one in sequences for event in one], dtype=np.int32)
    return EventData("toy", events, np.cumsum([0, *map(len, sequences)]), NAMES)


def by_loops(sequences: list[list[int]], wanted: list[int]) -> float:
    """Every place of every real sequence, also where the wanted one begins before it or ends after it."""
    best = 0
    for real in sequences:
        for place in range(-len(wanted), len(real) + 1):
            inside = [(real[place + i], event) for i, event in enumerate(wanted) if 0 <= place + i < len(real)]
            best = max(best, sum(a == b for a, b in inside))
    return best / len(wanted)


EVENTS = st.integers(0, VOCAB - 1)


@given(st.lists(st.lists(EVENTS, max_size=6), min_size=1, max_size=4), st.lists(EVENTS, min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_a_sequence_is_found_where_most_of_it_stands(sequences, wanted):
    found = found_in(real_data(sequences), np.array([wanted, wanted[::-1]]))
    assert found == pytest.approx([by_loops(sequences, wanted), by_loops(sequences, wanted[::-1])])


def elsewhere(sequences: list[list[int]], number: int, start: int, length: int) -> float:
    """The same for a piece of a real sequence, where the places that share an event with it do not count."""
    wanted, best = sequences[number][start : start + length], 0
    for other, real in enumerate(sequences):
        for place in range(-length, len(real) + 1):
            if other == number and abs(place - start) < length:
                continue
            inside = [(real[place + i], event) for i, event in enumerate(wanted) if 0 <= place + i < len(real)]
            best = max(best, sum(a == b for a, b in inside))
    return best / length


@given(st.lists(st.lists(EVENTS, max_size=7), min_size=1, max_size=4), st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_real_sequences_are_looked_for_elsewhere(sequences, length):
    found = alike(real_data(sequences), 40, length)
    possible = [
        elsewhere(sequences, number, start, length)
        for number, one in enumerate(sequences)
        for start in range(len(one) - length + 1)
    ]
    if found is None:
        assert not possible
    else:
        assert {round(share, 9) for share in found} <= {round(share, 9) for share in possible}
        assert found.mean() == pytest.approx(np.mean(possible), abs=0.4)


def test_a_sequence_that_stands_twice_is_found_once_more():
    twice = [0, 1, 2, 3, 4]
    assert alike(real_data([twice, [], twice]), 10, 5) == pytest.approx(np.ones(10))
    assert alike(real_data([twice, [4, 3, 2, 1, 0]]), 10, 5) == pytest.approx(np.full(10, 0.2))


def test_a_summary_is_measured_as_it_decodes():
    torch.manual_seed(0)
    inputs = torch.randn(4, 3, 2)
    factors = Factors(latents=inputs, decoder=torch.randn(2, VOCAB), targets=torch.randn(4, 3, 2), temperature=0.3)
    advice = Advice(lr=0.01, batch_size=2, steps=4)
    card = Card(data="toy", data_fingerprint="0" * 64, num_events=9, model={"name": "sasrec"}, advice=advice)
    portrait = portray(Summary(factors=factors, vocabulary=NAMES, card=card))
    given_, target = factors.decode(torch.arange(4))
    for side, parts in ((portrait.inputs, given_), (portrait.targets, target)):
        entropies = [[-sum(p * math.log(p) for p in position) for position in one] for one in parts.tolist()]
        assert side.entropies == pytest.approx(np.array(entropies), rel=1e-4)
        assert side.shares == pytest.approx(parts.mean((0, 1)).numpy(), rel=1e-4)
    first, expected = portrait.sequences[0][0]
    assert first.events[0] == (NAMES.title(int(given_[0, 0].argmax())), pytest.approx(float(given_[0, 0].max())))
    assert first.worth == pytest.approx(math.exp(portrait.inputs.entropies[0, 0]))
    assert [event for event, _ in expected.events] == [NAMES.title(i) for i in target[0, 0].topk(3).indices.tolist()]
    shares = [one.target for one in portrait.frequent]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    assert (portrait.real, portrait.found, portrait.alike) == (None, None, None)


def test_popularity_follows_the_real_ranks():
    real, other = np.array([0.1, 0.6, 0.0, 0.3]), np.array([0.4, 0.3, 0.2, 0.1])
    ranks, (mine, theirs) = by_rank(real, [other])
    assert list(ranks) == [1, 2, 3, 4]
    assert list(mine) == [0.6, 0.3, 0.1, 0.0]
    assert list(theirs) == [0.3, 0.1, 0.4, 0.2]
