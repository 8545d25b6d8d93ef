import dataclasses
import hashlib

import numpy as np
import pytest

from farzi.errors import InputError
from farzi.events import EventData, Vocabulary, describe, encode

TEA = Vocabulary(("tea", "milk", "bread"), ("Tea", "Milk", "Bread"))


def test_vocabulary_finds_ids_and_titles():
    assert len(TEA) == 3
    assert [TEA.index(id_) for id_ in TEA.ids] == [0, 1, 2]
    assert TEA.title(1) == "Milk"
    assert Vocabulary(("tea", "milk")).title(1) == "milk"


def test_fingerprint_is_of_the_ids_in_their_order():
    assert TEA.fingerprint == hashlib.sha256(b'["tea","milk","bread"]').hexdigest()
    assert Vocabulary(TEA.ids).fingerprint == TEA.fingerprint
    assert Vocabulary(("milk", "tea", "bread")).fingerprint != TEA.fingerprint
    assert Vocabulary(("a", "b,c")).fingerprint != Vocabulary(("a,b", "c")).fingerprint


def test_vocabulary_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="distinct"):
        Vocabulary(("a", "a"))
    with pytest.raises(ValueError, match="as many as the 2 ids, not 1"):
        Vocabulary(("a", "b"), ("A",))


def test_encode_numbers_ids_and_names_the_unseen_one():
    numbers = encode(TEA, ["bread", "tea", "bread"])
    assert numbers.dtype == np.int32
    assert numbers.tolist() == [2, 0, 2]
    assert encode(TEA, []).tolist() == []
    with pytest.raises(InputError, match="'beer' is not among the 3 events"):
        encode(TEA, ["tea", "beer"])


def data(events=(0, 2, 1, 1, 2), offsets=(0, 3, 3, 5), dtype=np.int32, offsets_dtype=np.int64):
    return EventData("mine", np.array(events, dtype), np.array(offsets, offsets_dtype), TEA)


def test_sequences_are_views():
    mine = data()
    assert (mine.num_sequences, mine.num_events, mine.vocab_size) == (3, 5, 3)
    assert [mine.sequence(i).tolist() for i in range(3)] == [[0, 2, 1], [], [1, 2]]
    assert np.shares_memory(mine.sequence(2), mine.events)
    assert mine.events.nbytes == 4 * mine.num_events
    for outside in (-1, 3):
        with pytest.raises(IndexError):
            mine.sequence(outside)
    with pytest.raises(dataclasses.FrozenInstanceError):
        mine.name = "yours"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dtype": np.int64}, "events must be a flat int32 array"),
        ({"offsets_dtype": np.int32}, "offsets must be a flat int64 array"),
        ({"offsets": ()}, "run from 0"),
        ({"offsets": (1, 5)}, "run from 0"),
        ({"offsets": (0, 4)}, "number of events, 5"),
        ({"offsets": (0, 4, 3, 5)}, "not decrease"),
        ({"events": (0, 1, 2, 3, 0)}, "between 0 and 2"),
        ({"events": (0, 1, 2, -1, 0)}, "between 0 and 2"),
    ],
)
def test_event_data_refuses_what_does_not_fit(wrong, message):
    with pytest.raises(ValueError, match=message):
        data(**wrong)


def test_describe_counts():
    vocabulary = Vocabulary(tuple(map(str, range(20))))
    events = np.array([0, 0, 0, 1, 1, 2, 3, 4, 5, 6], np.int32)
    counts = describe(EventData("mine", events, np.array([0, 2, 3, 10]), vocabulary))
    assert (counts.name, counts.num_users, counts.num_items, counts.num_events) == ("mine", 3, 20, 10)
    assert (counts.min_length, counts.median_length, counts.max_length) == (1, 2.0, 7)
    assert counts.mean_length == pytest.approx(10 / 3)
    assert counts.density == pytest.approx(10 / 60)
    assert counts.head_share == pytest.approx(0.5)  # the two most popular of twenty have 3 + 2 of 10 events


def test_describe_refuses_no_events():
    with pytest.raises(InputError, match="mine has no events"):
        describe(data(events=(), offsets=(0,)))
