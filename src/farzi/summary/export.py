"""Hard sequences for those who train elsewhere: drawn from a summary, in files that any tool reads."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from farzi.errors import InputError
from farzi.events import Vocabulary
from farzi.files import atomic_write
from farzi.summary.artefact import Summary

Events = NDArray[np.int32]
"""Drawn sequences, ``(draws * sequences, length + 1)``, as numbers of events."""


def export(summary: Summary, path: str | Path, *, draws: int = 1, seed: int = 0) -> Events:
    """Draw hard sequences from a summary and write them to a file.

    Every position is drawn from its distribution on its own, so what is lost is all that a distribution says beyond one
    event; more draws keep more of it (:func:`effective_events` tells how much there is). For ``free`` targets only the
    last position's target is drawn: the others have no place in one sequence of events.

    Args:
        summary: is drawn from.
        path: of the file. ``.csv``, ``.parquet`` and ``.inter`` (RecBole) have a row for each event, with columns
            ``user`` (a number for each drawn sequence), ``item`` (the original id) and ``time`` (the position), in
            RecBole's table under its own names; ``.txt`` has text, a sequence a paragraph, or where the summary is not
            of text ids with spaces between, a sequence a line; ``.npz`` has ``events``, ``(sequences, length + 1)``,
            and ``ids``, the original id of each number.
        draws: how many sequences are drawn from each synthetic one, at least 1.
        seed: of the draw.

    Returns:
        what was drawn.

    Raises:
        InputError: the file's kind is unknown, an id cannot be written in it, it cannot be written, or ``draws`` is not
            positive.
    """
    path = Path(path)
    if path.suffix not in _WRITERS:
        raise InputError(f"{path} has no ending that says how to write it; give one of {', '.join(_WRITERS)}")
    if draws < 1:
        raise InputError(f"draws is {draws}; it must be at least 1")
    generator = torch.Generator().manual_seed(seed)
    events = torch.cat([summary.factors.sample(generator) for _ in range(draws)]).numpy().astype(np.int32)
    with atomic_write(path) as file:
        _WRITERS[path.suffix](file, events, summary)
    return events


def effective_events(summary: Summary) -> float:
    """How many equally likely events the targets are worth: the exponential of their mean entropy.

    Args:
        summary: any.

    Returns:
        a number between 1, where a drawn sequence says all, and the size of the vocabulary.
    """
    factors = summary.factors
    entropies = [
        torch.special.entr(factors.decode(slice(number, number + 1)).targets).sum(-1).mean()
        for number in range(factors.num_sequences)
    ]
    return float(torch.stack(entropies).mean().exp())


def _table(events: Events, vocabulary: Vocabulary) -> pl.DataFrame:
    rows, length = events.shape
    return pl.DataFrame(
        {
            "user": np.repeat(np.arange(rows), length),
            "item": np.array(vocabulary.ids, dtype=object)[events.ravel()],
            "time": np.tile(np.arange(length), rows),
        },
        schema={"user": pl.Int64, "item": pl.String, "time": pl.Int64},
    )


def _write_csv(file: IO[bytes], events: Events, summary: Summary) -> None:
    _table(events, summary.vocabulary).write_csv(file)


def _write_parquet(file: IO[bytes], events: Events, summary: Summary) -> None:
    _table(events, summary.vocabulary).write_parquet(file)


def _write_inter(file: IO[bytes], events: Events, summary: Summary) -> None:
    """RecBole's table: tabs between columns whose names tell their types, and no quotes."""
    if bad := next((id_ for id_ in summary.vocabulary.ids if any(mark in id_ for mark in "\t\r\n")), None):
        raise InputError(f"the id {bad!r} holds a tab or a line's end, which .inter cannot; export to .csv instead")
    named = {"user": "user_id:token", "item": "item_id:token", "time": "timestamp:float"}
    _table(events, summary.vocabulary).rename(named).write_csv(file, separator="\t", quote_style="never")


def _write_txt(file: IO[bytes], events: Events, summary: Summary) -> None:
    if summary.tokenizer is not None:
        texts = [summary.tokenizer.decode(row) for row in events.tolist()]
        file.write("\n\n".join(text.strip("\n") for text in texts).encode() + b"\n")
        return
    ids = summary.vocabulary.ids
    if bad := next((id_ for id_ in ids if not id_ or any(mark.isspace() for mark in id_)), None):
        raise InputError(f"the id {bad!r} is empty or holds a space, which .txt cannot; export to .csv instead")
    file.writelines((" ".join(ids[event] for event in row) + "\n").encode() for row in events.tolist())


def _write_npz(file: IO[bytes], events: Events, summary: Summary) -> None:
    np.savez_compressed(file, events=events, ids=np.array(summary.vocabulary.ids))


_WRITERS: Mapping[str, Callable[[IO[bytes], Events, Summary], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".inter": _write_inter,
    ".txt": _write_txt,
    ".npz": _write_npz,
}
