"""Who did what, in order: what every reader yields, and what becomes of it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from farzi.errors import InputError
from farzi.events.data import EventData, Vocabulary

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Interactions:
    """Events of users, ordered by user and within a user by time.

    Args:
        users: (num_events,) int32, the number of the user; it never decreases.
        items: (num_events,) int32, the number of the item in ``ids``.
        ids: the items' original ids, in the order that ``renumber`` gives them.
        titles: titles by id, for as many ids as have one.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    ids: pl.Series
    titles: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Which users and items are kept.

    Args:
        min_count: the fewest events of a user that is kept, and of an item, at least 1.
        filter_items: False keeps every item, so that ``min_count`` is asked of users alone.

    Raises:
        InputError: ``min_count`` is less than 1.
    """

    min_count: int = 5
    filter_items: bool = True

    def __post_init__(self) -> None:
        if self.min_count < 1:
            raise InputError(f"min_count must be at least 1, not {self.min_count}")


def order_events(users: pl.Series, items: pl.Series, times: pl.Series) -> Interactions:
    """Order events by user and within a user by time, where ties keep their order, and number users and items.

    Args:
        users: (num_events,) categorical, without nulls.
        items: (num_events,) categorical, without nulls.
        times: (num_events,) numbers, without nulls.
    """
    user_numbers, _ = _numbers(users)
    item_numbers, ids = _numbers(items)
    frame = pl.DataFrame({"user": user_numbers, "item": item_numbers, "time": times})
    ordered = frame.sort("user", "time", maintain_order=True)
    return Interactions(ordered["user"].to_numpy(), ordered["item"].to_numpy(), ids)


def _numbers(column: pl.Series) -> tuple[NDArray[np.int32], pl.Series]:
    distinct = column.unique()
    return renumber(column.to_physical().to_numpy(), distinct.to_physical().to_numpy(), distinct.cast(pl.String))


def renumber(
    codes: NDArray[np.integer], distinct: NDArray[np.integer], ids: pl.Series
) -> tuple[NDArray[np.int32], pl.Series]:
    """Give ids numbers that do not depend on the order of their first appearance.

    Shorter ids come first, and ids of one length as text, so that whole numbers count upwards.

    Args:
        codes: (num_events,) any code, from 0, for the id of each event.
        distinct: (num_ids,) the codes that there are.
        ids: (num_ids,) the id of each of them.

    Returns:
        (num_events,) the number of each event's id, and (num_ids,) the ids in the order of their numbers.
    """
    columns = [ids.str.len_chars().alias("length"), ids.alias("id")]
    order = pl.DataFrame(columns).select(pl.arg_sort_by("length", "id")).to_series().to_numpy()
    number_of_code = np.zeros(int(distinct.max(initial=0)) + 1, dtype=np.int32)
    number_of_code[distinct[order]] = np.arange(len(order), dtype=np.int32)
    return number_of_code[codes], ids.gather(order)


def k_core(
    users: NDArray[np.int32], items: NDArray[np.int32], min_user_events: int, min_item_events: int
) -> NDArray[np.bool_]:
    """Drop users and items with too few events, again and again, until none is left that has too few.

    Args:
        users: (num_events,) numbers of users, from 0.
        items: (num_events,) numbers of items, from 0.
        min_user_events: the fewest events of a user that stays.
        min_item_events: the fewest events of an item that stays.

    Returns:
        (num_events,) which events stay: the largest set in which every user and item has enough.
    """
    keep = np.ones(len(users), dtype=bool)
    num_kept = -1
    while num_kept != (num_kept := int(np.count_nonzero(keep))):
        keep &= (np.bincount(users[keep], minlength=_size(users)) >= min_user_events)[users]
        keep &= (np.bincount(items[keep], minlength=_size(items)) >= min_item_events)[items]
    return keep


def _size(numbers: NDArray[np.int32]) -> int:
    return int(numbers.max(initial=-1)) + 1


def prepare(name: str, interactions: Interactions, preparation: Preparation) -> EventData:
    """Keep the users and items that ``preparation`` asks for, and number what is left without gaps.

    Raises:
        InputError: there are no events, or none is left.
    """
    if not len(interactions.users):
        raise InputError(f"{name} has no events")
    min_item_events = preparation.min_count if preparation.filter_items else 1
    keep = k_core(interactions.users, interactions.items, preparation.min_count, min_item_events)
    users, items = interactions.users[keep], interactions.items[keep]
    if not len(users):
        raise InputError(
            f"none of the {len(keep)} events of {name} is left when users{' and items' * preparation.filter_items} "
            f"need {preparation.min_count} events each; lower min_count or set filter_items=False"
        )
    _log.info("%s: %d of %d events are left with %s", name, len(users), len(keep), preparation)
    present = np.bincount(items, minlength=len(interactions.ids)) > 0
    ids = tuple(interactions.ids.filter(pl.Series(present)).to_list())
    renumbered = np.cumsum(present, dtype=np.int32) - np.int32(1)
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    titles = tuple(interactions.titles.get(id_, id_) for id_ in ids) if interactions.titles else None
    return EventData(name, renumbered[items], np.append(starts, len(users)).astype(np.int64), Vocabulary(ids, titles))
