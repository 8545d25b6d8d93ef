"""From a table of any origin to interactions: which columns, and whether every row can be used."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import polars as pl

from farzi.errors import InputError
from farzi.events.interactions import Interactions, order_events

_DATES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f%#z")


@dataclass(frozen=True)
class Columns:
    """Where a table keeps the user, item and time of an event.

    Args:
        user: the name of the column, or its number counted from 0 in a file without a header line.
        item: the same for the item.
        time: the same for the time, which orders a user's events: any number, or a date.

    Raises:
        InputError: some are names and others numbers.
    """

    user: int | str = "user"
    item: int | str = "item"
    time: int | str = "time"

    def __post_init__(self) -> None:
        if len({isinstance(column, int) for column in astuple(self)}) > 1:
            given = ", ".join(map(repr, astuple(self)))
            raise InputError(f"user, item and time must be three names of columns or three numbers, not {given}")

    @property
    def named(self) -> bool:
        """Whether the file has a header line with the names."""
        return isinstance(self.user, str)


def find_columns(names: Sequence[str], columns: Columns, path: Path) -> list[int]:
    """Return the positions of user, item and time among a table's columns.

    A column of RecBole's is also found by its name without its type (``user_id`` for ``user_id:token``).

    Args:
        names: the names of the table's columns; only their number matters where ``columns`` holds numbers.
        columns: what to find.
        path: the file, for the message.

    Raises:
        InputError: a column is missing; the message lists those that are there.
    """
    positions = list[int]()
    for role, column in zip(("user", "item", "time"), astuple(columns), strict=True):
        if isinstance(column, int):
            found = [column] if 0 <= column < len(names) else []
            there = f"only 0 to {len(names) - 1}"
        else:
            found = [k for k, name in enumerate(names) if column in (name, name.split(":")[0])]
            there = "only " + ", ".join(repr(name[:40]) for name in names[:20])
        if not found:
            raise InputError(f"{path} has no column {column!r}, {there}; name the right one with the option {role}")
        positions.append(found[0])
    return positions


def frame_to_interactions(frame: pl.DataFrame, path: Path) -> Interactions:
    """Check the rows of a table and put them in order.

    Args:
        frame: the columns ``user`` and ``item`` (categorical) and ``time`` (numbers, dates, or either as text).
        path: the file, for the message.

    Raises:
        InputError: there are no rows, or one has no user, item or time, or a time that is neither a number nor a date.
    """
    if frame.is_empty():
        raise InputError(f"{path} has no events")
    for role in ("user", "item", "time"):
        missing = frame[role].is_null()
        if frame[role].dtype == pl.Categorical:
            missing |= frame[role] == ""
        if missing.any():
            raise InputError(f"{_first_row(missing, path)} has no {role}")
    return order_events(frame["user"], frame["item"], _numeric(frame["time"], path))


def _numeric(times: pl.Series, path: Path) -> pl.Series:
    if times.dtype.is_temporal():
        return times.to_physical()
    if times.dtype.is_integer():
        return times
    if times.dtype == pl.String:
        whole = times.cast(pl.Int64, strict=False)
        if not whole.has_nulls():
            return whole
    numbers = times.cast(pl.Float64, strict=False)
    readings = [numbers.set(~numbers.is_finite().fill_null(False), None)]
    if times.dtype == pl.String and readings[0].has_nulls():
        readings += [_dates(times, form) for form in _DATES]
    best = min(readings, key=lambda reading: reading.null_count())  # most rows are right, so the others are to be named
    if best.has_nulls():
        wrong = best.is_null()
        raise InputError(
            f"{_first_row(wrong, path)} has the time {times.filter(wrong)[0]!r}; it must be a number, or a date in the "
            "form of the other rows: 2020-01-31, 2020-01-31T09:30, 2020-01-31T09:30:00 or 2020-01-31T09:30:00+01:00"
        )
    return best


def _dates(times: pl.Series, form: str) -> pl.Series:
    text = times.str.replace(" ", "T", literal=True)
    return text.str.to_datetime(form, strict=False, time_unit="us").to_physical()


def _first_row(rows: pl.Series, path: Path) -> str:
    return f"row {int(rows.arg_true()[0]) + 1} of {path} (header and blank lines not counted)"
