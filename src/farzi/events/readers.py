"""Readers of event files: one value for each format, listed in ``READERS``."""

import csv
import gzip
import io
import zlib
from array import array
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from polars.exceptions import NoDataError, PanicException, PolarsError

from farzi.errors import InputError
from farzi.events.frames import Columns, find_columns, frame_to_interactions
from farzi.events.interactions import Interactions, renumber
from farzi.events.titles import movielens_titles, no_titles, recbole_titles


class Reader(Protocol):
    """Reads event files of one format."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The endings of file names that mean this format."""
        ...

    def read(self, path: Path, columns: Mapping[str, int | str]) -> Interactions:
        """Read a file.

        Args:
            path: the file.
            columns: for any of user, item and time, the column to take in the place of the format's own.

        Raises:
            InputError: the file cannot be read as this format; the message says where.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Table:
    """Delimited text with one event a row, gzip-compressed or not.

    Args:
        suffixes: the endings of file names that mean this format.
        separator: what stands between columns: one character, or one character doubled.
        columns: where the format keeps user, item and time.
        quote: what may stand around a value, or None.
        width: how many columns there must be, or None where any number will do.
        titles: finds the items' titles, given the path of the events.
    """

    suffixes: tuple[str, ...]
    separator: str
    columns: Columns = field(default_factory=Columns)
    quote: str | None = None
    width: int | None = None
    titles: Callable[[Path], Mapping[str, str]] = no_titles

    def read(self, path: Path, columns: Mapping[str, int | str]) -> Interactions:
        """See ``Reader.read``."""
        chosen = replace(self.columns, **columns)
        step = len(self.separator)
        with _clear_errors(path):
            table = pl.scan_csv(
                path,
                separator=self.separator[0],
                quote_char=self.quote,
                has_header=chosen.named,
                infer_schema=False,
                glob=False,
            )
            names = table.collect_schema().names()
            shown = names[::step]
            if self.width is not None and len(shown) != self.width:
                raise InputError(f"{path} should have {self.width} columns, but its first line has {len(shown)}")
            # Blank lines are left out. That this looks at every column also makes polars refuse rows with too many,
            # which it passes over otherwise.
            table = table.filter(pl.any_horizontal(pl.all().is_not_null()))
            try:
                frame = table.select(*_events(shown, chosen, path)).collect()
            except PolarsError as error:
                if (row := self._too_wide_row(path, len(names))) is None:
                    raise
                raise InputError(f"line {row} of {path} has more columns than the first") from error
            return replace(frame_to_interactions(frame, path), titles=self.titles(path))

    def _too_wide_row(self, path: Path, width: int) -> int | None:
        quoting = csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL
        with _open_text(path) as file:
            rows = csv.reader(file, delimiter=self.separator[0], quoting=quoting)
            return next((rows.line_num for row in rows if len(row) > width), None)


@dataclass(frozen=True, kw_only=True)
class Parquet:
    """Parquet with one event a row."""

    suffixes: tuple[str, ...] = (".parquet", ".pq")
    columns: Columns = field(default_factory=Columns)

    def read(self, path: Path, columns: Mapping[str, int | str]) -> Interactions:
        """See ``Reader.read``."""
        with _clear_errors(path):
            table = pl.scan_parquet(path, glob=False)
            chosen = replace(self.columns, **columns)
            frame = table.select(*_events(table.collect_schema().names(), chosen, path)).collect()
            return frame_to_interactions(frame, path)


@dataclass(frozen=True, kw_only=True)
class Sequences:
    """Text with one user a line: the ids of the items, already in order, with spaces between; gzip or not."""

    suffixes: tuple[str, ...] = (".txt",)

    def read(self, path: Path, columns: Mapping[str, int | str]) -> Interactions:
        """See ``Reader.read``."""
        if columns:
            raise InputError(f"{path} has one user a line and no columns, so {', '.join(columns)} cannot be chosen")
        number_of_id, events, lengths = dict[str, int](), array("i"), array("q")
        with _clear_errors(path), _open_text(path) as file:
            for line in file:
                ids = line.split()
                events.extend(number_of_id.setdefault(id_, len(number_of_id)) for id_ in ids)
                lengths.append(len(ids))
        users = np.repeat(np.arange(len(lengths), dtype=np.int32), np.frombuffer(lengths, np.int64))
        codes = np.frombuffer(events, np.int32)
        items, ids = renumber(codes, np.arange(len(number_of_id)), pl.Series(list(number_of_id), dtype=pl.String))
        return Interactions(users, items, ids)


def _events(names: list[str], columns: Columns, path: Path) -> list[pl.Expr]:
    user, item, time = (pl.col(names[k]) for k in find_columns(names, columns, path))
    ids = {"user": user, "item": item}
    return [*(id_.cast(pl.String).cast(pl.Categorical).alias(role) for role, id_ in ids.items()), time.alias("time")]


def _open_text(path: Path) -> io.TextIOWrapper:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return io.TextIOWrapper(gzip.open(path) if compressed else path.open("rb"), encoding="utf-8")


@contextmanager
def _clear_errors(path: Path) -> Generator[None, None, None]:
    """Turn what a damaged or foreign file raises into the user's error."""
    try:
        yield
    except NoDataError as error:
        raise InputError(f"{path} is empty") from error
    except (PolarsError, PanicException, UnicodeDecodeError, OSError, EOFError, zlib.error, csv.Error) as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise InputError(f"{path} is damaged or of another format ({reason}); text must be UTF-8") from error


_MOVIELENS = Columns(0, 1, 3)

READERS: Mapping[str, Reader] = {
    "csv": Table(suffixes=(".csv",), separator=",", quote='"'),
    "tsv": Table(suffixes=(".tsv",), separator="\t", quote='"'),
    "parquet": Parquet(),
    "u.data": Table(
        suffixes=(".data",),
        separator="\t",
        columns=_MOVIELENS,
        width=4,
        titles=partial(movielens_titles, "u.item", "|"),
    ),
    "ratings.dat": Table(
        suffixes=(".dat",),
        separator="::",
        columns=_MOVIELENS,
        width=4,
        titles=partial(movielens_titles, "movies.dat", "::"),
    ),
    "inter": Table(
        suffixes=(".inter",),
        separator="\t",
        columns=Columns("user_id", "item_id", "timestamp"),
        titles=recbole_titles,
    ),
    "sequences": Sequences(),
}
"""The readers by the name of their format: MovieLens' and RecBole's formats are named for their files."""


def find_reader(path: Path, format: str | None = None) -> Reader:
    """Return the reader of a format.

    Args:
        path: the file to be read; its name tells the format where ``format`` does not.
        format: a key of ``READERS``, or None.

    Raises:
        InputError: there is no such format, or the file's name tells none.
    """
    if format is not None:
        if format not in READERS:
            raise InputError(f"format must be one of {', '.join(READERS)}, not {format!r}")
        return READERS[format]
    name = path.name.lower().removesuffix(".gz")
    for reader in READERS.values():
        if name.endswith(reader.suffixes):
            return reader
    raise InputError(f"the name of {path} does not tell its format; choose format from {', '.join(READERS)}")
