"""Readers of event files: one value for each format, listed in ``READERS``."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import polars as pl
from polars.exceptions import PolarsError

from farzi.errors import InputError
from farzi.events.frames import Columns, find_columns, frame_to_interactions
from farzi.events.interactions import Interactions
from farzi.events.netflix import Netflix
from farzi.events.sequences import PublishedSplits, Sequences
from farzi.events.text import clear_errors, find_packed, open_text
from farzi.events.titles import movielens_titles, no_titles, recbole_titles


class Reader(Protocol):
    """Reads the events of one format."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The endings of file names that mean this format."""
        ...

    def read(self, path: Path, columns: Mapping[str, int | str]) -> Interactions:
        """Read a file, or a folder where the format is one of several files.

        Args:
            path: the file or folder.
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
        with clear_errors(path):
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
        with open_text(path) as file:
            rows = csv.reader(file, delimiter=self.separator[0], quoting=quoting)
            return next((rows.line_num for row in rows if len(row) > width), None)


@dataclass(frozen=True, kw_only=True)
class Parquet:
    """Parquet with one event a row."""

    suffixes: tuple[str, ...] = (".parquet", ".pq")
    columns: Columns = field(default_factory=Columns)

    def read(self, path: Path, columns: Mapping[str, int | str]) -> Interactions:
        """See ``Reader.read``."""
        with clear_errors(path):
            table = pl.scan_parquet(path, glob=False)
            chosen = replace(self.columns, **columns)
            frame = table.select(*_events(table.collect_schema().names(), chosen, path)).collect()
            return frame_to_interactions(frame, path)


def _events(names: list[str], columns: Columns, path: Path) -> list[pl.Expr]:
    user, item, time = (pl.col(names[k]) for k in find_columns(names, columns, path))
    ids = {"user": user, "item": item}
    return [*(id_.cast(pl.String).cast(pl.Categorical).alias(role) for role, id_ in ids.items()), time.alias("time")]


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
    "netflix": Netflix(),
    "sequences": Sequences(),
    "sasrec": PublishedSplits(),
}
"""The readers by the name of their format: MovieLens' and RecBole's formats are named for their files."""

FOLDERS: Mapping[str, str] = {"combined_data_1.txt": "netflix", "train/input.txt": "sasrec"}
"""The file by which a folder tells its format."""


def find_format(path: Path, format: str | None = None) -> str:
    """Return the format of a file or folder.

    Args:
        path: what is to be read; its name, or what lies in it, tells the format where ``format`` does not.
        format: a key of ``READERS``, or None.

    Returns:
        a key of ``READERS``.

    Raises:
        InputError: there is no such format, or nothing tells it.
    """
    if format is not None and format not in READERS:
        raise InputError(f"format must be one of {', '.join(READERS)}, not {format!r}")
    if path.is_dir():
        told = next((found for file, found in FOLDERS.items() if find_packed(path, file) is not None), None)
        if (format or told) not in FOLDERS.values():
            raise InputError(
                f"{path} is a folder; give the path of a file with events, or of a folder with {' or '.join(FOLDERS)}"
            )
        return format or str(told)
    name = path.name.lower().removesuffix(".gz")
    told = next((found for found, reader in READERS.items() if name.endswith(reader.suffixes)), None)
    if format is None and told is None:
        raise InputError(f"the name of {path} does not tell its format; choose format from {', '.join(READERS)}")
    return format or str(told)
