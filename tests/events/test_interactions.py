import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farzi.errors import InputError
from farzi.events import Interactions, Preparation, k_core
from farzi.events.interactions import order_events, prepare

LOG = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=40)


def arrays(log):
    pairs = np.array(sorted(log, key=lambda pair: pair[0]), np.int32).reshape(-1, 2)
    return pairs[:, 0].copy(), pairs[:, 1].copy()


def core_one_by_one(users, items, min_user_events, min_item_events):
    """The same by dropping one event at a time, as slowly and plainly as it can be said."""
    left = list(range(len(users)))
    while True:
        for k in left:
            of_user = sum(users[j] == users[k] for j in left)
            of_item = sum(items[j] == items[k] for j in left)
            if of_user < min_user_events or of_item < min_item_events:
                left.remove(k)
                break
        else:
            return left


@given(LOG, st.integers(1, 4), st.integers(1, 4))
def test_k_core_is_a_fixed_point_and_the_largest_one(log, min_user_events, min_item_events):
    users, items = arrays(log)
    keep = k_core(users, items, min_user_events, min_item_events)
    assert np.all(np.bincount(users[keep])[users[keep]] >= min_user_events)
    assert np.all(np.bincount(items[keep])[items[keep]] >= min_item_events)
    assert k_core(users[keep], items[keep], min_user_events, min_item_events).all()
    # Every set with enough of everyone survives whatever order events are dropped in, so this is the largest.
    assert np.flatnonzero(keep).tolist() == core_one_by_one(users, items, min_user_events, min_item_events)


def test_k_core_goes_on_until_nothing_changes():
    chain = [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 3), (3, 3)]  # each round uncovers the next link
    assert not k_core(*arrays(chain), 2, 2).any()
    ring = [*chain, (3, 0)]
    assert k_core(*arrays(ring), 2, 2).all()


def interactions(log, titles=None):
    users, items = arrays(log)
    return Interactions(users, items, pl.Series([f"i{k}" for k in range(7)]), titles or {})


@given(LOG, st.integers(1, 3), st.booleans())
def test_prepare_renumbers_without_gaps(log, min_count, filter_items):
    given_ = interactions(log)
    keep = k_core(given_.users, given_.items, min_count, min_count if filter_items else 1)
    if not keep.any():
        with pytest.raises(InputError, match="no events" if not log else "is left"):
            prepare("mine", given_, Preparation(min_count=min_count, filter_items=filter_items))
        return
    data = prepare("mine", given_, Preparation(min_count=min_count, filter_items=filter_items))
    assert data.events.dtype == np.int32
    assert set(data.events.tolist()) == set(range(data.vocab_size))
    found = [[data.vocabulary.ids[k] for k in data.sequence(i)] for i in range(data.num_sequences)]
    users, items = given_.users[keep], given_.items[keep]
    assert found == [[f"i{k}" for k in items[users == user]] for user in np.unique(users)]


def test_titles_follow_their_ids_and_the_rest_keeps_its_id():
    data = prepare("mine", interactions([(0, 5), (0, 2), (1, 2)], {"i5": "Five"}), Preparation(min_count=1))
    assert data.vocabulary.ids == ("i2", "i5")
    assert data.vocabulary.titles == ("i2", "Five")


def test_everything_filtered_away_names_the_remedy():
    log = [(0, 0), (1, 1)]
    with pytest.raises(InputError, match=r"none of the 2 events .* users and items need 2 .* lower min_count"):
        prepare("mine", interactions(log), Preparation(min_count=2))
    with pytest.raises(InputError, match="when users need 2 events"):
        prepare("mine", interactions(log), Preparation(min_count=2, filter_items=False))


def test_min_count_must_be_positive():
    with pytest.raises(InputError, match="min_count must be at least 1, not 0"):
        Preparation(min_count=0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=30))
def test_order_is_by_user_then_time_and_ties_stay(rows):
    users = pl.Series([user for user, _ in rows]).cast(pl.Categorical)
    items = pl.Series([str(row) for row in range(len(rows))]).cast(pl.Categorical)
    ordered = order_events(users, items, pl.Series([time for _, time in rows]))
    expected = sorted(range(len(rows)), key=lambda row: rows[row])  # Python's sort is stable
    assert [int(ordered.ids[int(k)]) for k in ordered.items] == expected
    assert ordered.ids.to_list() == [str(row) for row in range(len(rows))], "whole numbers count upwards"
    assert np.all(np.diff(ordered.users) >= 0)


def test_ties_stay_in_a_log_too_long_for_simple_sorts():
    num_events = 50_000
    rows = np.random.default_rng(0).integers(0, 3, (2, num_events))
    users, times = pl.Series(rows[0].astype(str)).cast(pl.Categorical), pl.Series(rows[1])
    ordered = order_events(users, pl.Series(np.arange(num_events).astype(str)).cast(pl.Categorical), times)
    assert np.array_equal(ordered.items, np.lexsort((rows[1], rows[0])))
