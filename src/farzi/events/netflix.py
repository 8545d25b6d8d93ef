"""Reader of the Netflix Prize's files, a hundred million events, in blocks and whole numbers only."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from farzi.errors import InputError
from farzi.events.interactions import Interactions, renumber
from farzi.events.text import clear_errors, find_packed, open_bytes
from farzi.events.titles import netflix_titles

BLOCK = 2**25
"""Bytes that are read at once."""

_FILES = tuple(f"combined_data_{number}.txt" for number in range(1, 5))
_RETURN, _COMMA, _DASH, _COLON = b"\r,-:"
_USER, _DAY, _MOVIE = 32, 16, 0xFFFF  # an event in one number: user, then day, then movie in 16 bits each

_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class Netflix:
    """The files ``combined_data_1.txt`` to ``4``, one of them or the folder that has them; each gzip or not.

    A line ``MovieID:`` stands above the lines ``CustomerID,Rating,YYYY-MM-DD`` of the movie. A user's events are in the
    order of their dates; those of one day are in the order of the movies' numbers, as in the published files.
    """

    suffixes: tuple[str, ...] = _FILES

    def read(self, path: Path, columns: Mapping[str, int | str]) -> Interactions:
        """See ``Reader.read``."""
        if columns:
            raise InputError(f"{path} has the columns of the Netflix Prize, so {', '.join(columns)} cannot be chosen")
        found = [find_packed(path, name) for name in _FILES] if path.is_dir() else [path]
        folder = path if path.is_dir() else path.parent
        keys = np.concatenate([_NONE, *(part for file in found if file is not None for part in _read(file))])
        if not len(keys):
            raise InputError(f"{path} has no events")
        keys.sort()  # in place, and equal keys are the same event, so the order needs no index
        users = np.cumsum(np.diff(keys >> _USER, prepend=keys[:1] >> _USER) != 0, dtype=np.int32)
        movies = (keys & _MOVIE).astype(np.int32)
        distinct = np.flatnonzero(np.bincount(movies))
        items, ids = renumber(movies, distinct, pl.Series(distinct).cast(pl.String))
        return Interactions(users, items, ids, netflix_titles(folder))


def _read(path: Path) -> Generator[NDArray[np.int64], None, None]:
    line, movie = 0, 0
    for block in _blocks(path):
        keys, num_lines, movie = _parse(block, movie, line, path)
        line += num_lines
        yield keys


def _blocks(path: Path) -> Generator[bytes, None, None]:
    """Whole lines, some megabytes of them at a time."""
    with clear_errors(path), open_bytes(path) as file:
        for number in count():
            block = file.read(BLOCK) + file.readline()
            if not block:
                return
            block = block.removeprefix(b"\xef\xbb\xbf") if number == 0 else block
            yield block if block.endswith(b"\n") else block + b"\n"


def _parse(block: bytes, movie: int, line: int, path: Path) -> tuple[NDArray[np.int64], int, int]:
    """Read whole lines: their events as sortable numbers, how many lines there are, and the movie of the last."""
    text = np.frombuffer(block, np.uint8)
    breaks = np.flatnonzero(text == ord("\n"))
    starts = np.append(0, breaks[:-1] + 1)
    ends = breaks - ((text[breaks - 1] == _RETURN) & (breaks > starts))
    heads = (text[ends - 1] == _COLON) & (ends > starts)
    titled = _numbers(text, starts[heads], ends[heads] - 1)
    wrong = np.zeros(len(starts), dtype=bool)
    wrong[heads] = (titled < 1) | (titled > _MOVIE)
    rows = np.flatnonzero(~heads & (ends > starts))
    movies = np.append(movie, titled)[np.cumsum(heads)[rows]]
    users, days = _events(text, starts[rows], ends[rows])
    wrong[rows] = (users < 0) | (days < 0) | (movies == 0)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        shown = block[starts[at] : ends[at]][:40].decode("utf-8", "replace")
        raise InputError(
            f"line {line + at + 1} of {path} is {shown!r}; it must be a movie's number, 1 to {_MOVIE}, with a colon, "
            "or, below such a line, a customer's number, a rating and a date, as in 1488844,3,2005-09-06"
        )
    return users << _USER | days << _DAY | movies, len(starts), int(np.append(movie, titled)[-1])


def _events(
    text: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the users of lines, and the days since 1970; -1 where a line is of another form."""
    users = _numbers(text, starts, ends - 13)
    year, month, day = (_numbers(text, ends - first, ends - last) for first, last in ((10, 6), (5, 3), (2, 0)))
    marks = ((13, _COMMA), (11, _COMMA), (6, _DASH), (3, _DASH))
    formed = np.all([_characters(text, ends - place) == mark for place, mark in marks], axis=0)
    formed &= (_numbers(text, ends - 12, ends - 11) >= 0) & (month >= 1) & (month <= 12)
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    first, following = (start.astype("datetime64[D]").astype(np.int64) for start in (months, months + 1))
    days = first + day - 1
    return users, np.where(formed & (first <= days) & (days < following) & (days < 2**16), days, -1)


def _numbers(text: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the whole numbers of up to nine digits that stand between places; -1 where something else does."""
    widths = ends - starts
    good = (widths >= 1) & (widths <= 9)
    total = np.zeros(len(starts), np.int64)
    for place in range(int(widths.max(initial=0, where=good))):
        digits = _characters(text, ends - 1 - place).astype(np.int64) - ord("0")
        inside = place < widths
        good &= ~inside | ((digits >= 0) & (digits <= 9))
        total += np.where(inside, digits * 10**place, 0)
    return np.where(good, total, -1)


def _characters(text: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.uint8]:
    return text[np.maximum(places, 0)]  # a line that is too short is found out by its user's width
