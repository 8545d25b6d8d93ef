from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farzi.errors import InputError
from farzi.events import PAD, EventData, Vocabulary, draw_windows, gather, leave_last_two_out, windows

LENGTHS = st.lists(st.integers(0, 12), max_size=8)


def distinct_events(lengths):
    """Data in which every event is another item, so that places can be told apart."""
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    events = np.random.default_rng(0).permutation(offsets[-1]).astype(np.int32)
    return EventData("mine", events, offsets, Vocabulary(tuple(map(str, range(len(events))))))


@given(st.lists(st.integers(3, 9), min_size=1, max_size=8))
def test_each_event_is_in_exactly_one_part(lengths):
    data = distinct_events(lengths)
    splits = leave_last_two_out(data)
    assert splits.train.vocabulary is data.vocabulary
    for i in range(data.num_sequences):
        *history, valid, test = data.sequence(i).tolist()
        assert splits.train.sequence(i).tolist() == history
        assert splits.valid.targets[i] == valid
        assert splits.test.targets[i] == test
        assert splits.valid.events[splits.valid.starts[i] : splits.valid.ends[i]].tolist() == history
        assert splits.test.events[splits.test.starts[i] : splits.test.ends[i]].tolist() == [*history, valid]
    parts = [splits.train.events, splits.valid.targets, splits.test.targets]
    assert Counter(np.concatenate(parts).tolist()) == Counter(data.events.tolist())
    assert len(splits.valid) == len(splits.test) == splits.train.num_sequences == data.num_sequences
    assert splits.valid.events is data.events
    assert splits.test.events is data.events


def test_short_sequences_are_counted_and_the_remedy_named():
    with pytest.raises(InputError, match=r"2 of the 4 users of mine have fewer than 3 events.*min_count=3"):
        leave_last_two_out(distinct_events([3, 2, 5, 0]))
    with pytest.raises(InputError, match="no sequences"):
        leave_last_two_out(distinct_events([]))


@given(LENGTHS, st.integers(1, 6), st.data())
def test_windows_make_every_event_but_the_first_a_target_once(lengths, length, draw):
    shift = draw.draw(st.integers(0, length - 1))
    offsets = distinct_events(lengths).offsets
    starts, ends = windows(offsets, length, shift)
    targets = Counter(place for start, end in zip(starts, ends, strict=True) for place in range(start + 1, end))
    expected = [place for a, b in pairwise(offsets) for place in range(a + 1, b)]
    assert targets == Counter(expected)
    sizes = ends - starts
    assert np.all((sizes >= 2) & (sizes <= length + 1))
    for start, end in zip(starts, ends, strict=True):
        owner = np.searchsorted(offsets, start, side="right") - 1
        assert end <= offsets[owner + 1], "a window must not run into the next sequence"
        # a cut falls where the shift says: all windows of a sequence but its last end at a multiple of the length
        assert end == offsets[owner + 1] or (end - 1 - offsets[owner] + shift) % length == 0


def test_windows_by_hand():
    offsets = np.array([0, 7, 8, 10])
    starts, ends = windows(offsets, 3)
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == [(0, 4), (3, 7), (8, 10)]
    starts, ends = windows(offsets, 3, shift=1)
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == [(0, 3), (2, 6), (5, 7), (8, 10)]


@pytest.mark.parametrize(("length", "shift", "message"), [(0, 0, "length"), (3, 3, "shift"), (3, -1, "shift")])
def test_windows_refuse_what_is_out_of_range(length, shift, message):
    with pytest.raises(ValueError, match=message):
        windows(np.array([0, 5]), length, shift)


@given(LENGTHS, st.integers(1, 6), st.data())
def test_gather_is_the_slow_loop(lengths, length, draw):
    data = distinct_events(lengths)
    places = st.integers(0, data.num_events)
    spans = draw.draw(st.lists(st.tuples(places, places).map(sorted), max_size=6))
    starts, ends = np.array(spans, np.int64).reshape(-1, 2).T
    rows = gather(data.events, starts, ends, length)
    assert rows.dtype == np.int64
    assert rows.shape == (len(spans), length)
    for row, (start, end) in zip(rows.tolist(), spans, strict=True):
        tail = data.events[start:end].tolist()[-length:]
        assert row == [PAD] * (length - len(tail)) + tail


@given(LENGTHS.filter(sum), st.integers(1, 20), st.integers(1, 6), st.integers(0, 99))
def test_drawn_windows_are_pieces_of_sequences_or_short_sequences_joined(lengths, count, length, seed):
    data = distinct_events(lengths)
    drawn = draw_windows(data.events, data.offsets, count, length, seed)
    assert drawn.shape == (count, length + 1), "without padding, however short the sequences are"
    assert np.array_equal(drawn, draw_windows(data.events, data.offsets, count, length, seed))
    place = np.argsort(data.events)
    for row in place[drawn]:
        ends = set(data.offsets[1:] - 1)
        assert all(after == before + 1 or (before in ends and after in data.offsets) for before, after in pairwise(row))
