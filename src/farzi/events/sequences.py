"""Readers of text with one user a line, whose events are in order already and have no times."""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl

from farzi.errors import InputError
from farzi.events.interactions import Interactions, renumber
from farzi.events.text import clear_errors, find_packed, open_text


@dataclass(frozen=True, kw_only=True)
class Sequences:
    """Text with one user a line: the ids of the items, already in order, with spaces between; gzip or not."""

    suffixes: tuple[str, ...] = (".txt",)

    def read(self, path: Path, columns: Mapping[str, int | str]) -> Interactions:
        """See ``Reader.read``."""
        _refuse_columns(path, columns)
        with clear_errors(path), open_text(path) as file:
            return _interactions(line.split() for line in file)


@dataclass(frozen=True, kw_only=True)
class PublishedSplits:
    """A folder in which gSASRec's authors publish sequences, cut for training, validation and testing already.

    Line i of ``train/input.txt`` and of ``test/output.txt`` are the first events of a user and the last one. Lines of
    ``val/input.txt`` and ``val/output.txt`` add two events between them for a sample of the users, whose training line
    is recognised by being the same; the second-to-last event of the others is not published (Petrov and Macdonald,
    2023, arXiv 2308.07192). Each file may be compressed with gzip.
    """

    suffixes: tuple[str, ...] = ()

    def read(self, path: Path, columns: Mapping[str, int | str]) -> Interactions:
        """See ``Reader.read``."""
        _refuse_columns(path, columns)
        train, test, inputs, outputs = (
            _lines(path, name) for name in ("train/input.txt", "test/output.txt", "val/input.txt", "val/output.txt")
        )
        for these, name, those, other in (
            (train, "train/input.txt", test, "test/output.txt"),
            (inputs, "val/input.txt", outputs, "val/output.txt"),
        ):
            if len(these) != len(those):
                raise InputError(
                    f"{path}: {name} has {len(these)} lines and {other} {len(those)}; they must be as many, one a user"
                )
        user_of_line = {tuple(line): user for user, line in enumerate(train)}
        for row, (history, following) in enumerate(zip(inputs, outputs, strict=True), start=1):
            user = user_of_line.get(tuple(history[:-1]))
            if user is None:
                raise InputError(
                    f"line {row} of val/input.txt in {path}, less its last event, is no line of train/input.txt; "
                    "the files must be of one publication"
                )
            train[user] = [*history, *following]
        return _interactions(chain(*parts) for parts in zip(train, test, strict=True))


def _lines(folder: Path, name: str) -> list[list[str]]:
    path = find_packed(folder, name)
    if path is None:
        raise InputError(f"{folder} has no {name} (or {name}.gz); give the folder that has it")
    with clear_errors(path), open_text(path) as file:
        return [line.split() for line in file]


def _refuse_columns(path: Path, columns: Mapping[str, int | str]) -> None:
    if columns:
        raise InputError(f"{path} has one user a line and no columns, so {', '.join(columns)} cannot be chosen")


def _interactions(sequences: Iterable[Iterable[str]]) -> Interactions:
    number_of_id, events, lengths = dict[str, int](), array("i"), array("q")
    for ids in sequences:
        before = len(events)
        events.extend(number_of_id.setdefault(id_, len(number_of_id)) for id_ in ids)
        lengths.append(len(events) - before)
    users = np.repeat(np.arange(len(lengths), dtype=np.int32), np.frombuffer(lengths, np.int64))
    codes = np.frombuffer(events, np.int32)
    items, ids = renumber(codes, np.arange(len(number_of_id)), pl.Series(list(number_of_id), dtype=pl.String))
    return Interactions(users, items, ids)
