"""Titles of items, from the file that a publisher puts beside the events."""

from collections.abc import Mapping
from pathlib import Path

from farzi.errors import InputError


def no_titles(_: Path) -> Mapping[str, str]:
    """Find no titles."""
    return {}


def movielens_titles(name: str, separator: str, path: Path) -> Mapping[str, str]:
    """Read titles by id from the file beside MovieLens' events, in ISO-8859-1; none if it is not there.

    Args:
        name: what the file is called, ``u.item`` or ``movies.dat``.
        separator: what stands between its columns.
        path: the file of the events.

    Raises:
        InputError: the file cannot be read, or its lines differ in their number of columns.
    """
    return {row[0]: row[1].strip() for row in _rows(path.with_name(name), separator, "iso-8859-1")}


def recbole_titles(path: Path) -> Mapping[str, str]:
    """Read titles by id, with the year where one is known, from RecBole's ``.item`` beside its ``.inter``.

    There are none if the file is not there or has no column whose name ends in ``title``.

    Args:
        path: the file of the events.

    Raises:
        InputError: the file cannot be read, or its lines differ in their number of columns.
    """
    rows = _rows(path.with_name(path.name.removesuffix(".gz")).with_suffix(".item"), "\t", "utf-8-sig")
    columns = {name.split(":")[0]: column for column, name in enumerate(rows[0] if rows else [])}
    title = next((name for name in columns if name.endswith("title")), None)
    if title is None or "item_id" not in columns:
        return {}
    titles = dict[str, str]()
    for row in rows[1:]:
        name, year = row[columns[title]], row[columns["release_year"]] if "release_year" in columns else ""
        titles[row[columns["item_id"]]] = name if year in ("", name) else f"{name} ({year})"
    return titles


def netflix_titles(folder: Path) -> Mapping[str, str]:
    """Read titles by id, with the year where one is known, from the Netflix Prize's ``movie_titles.csv``.

    Its lines are ``id,year,title`` in ISO-8859-1; a title may have commas. There are none if the file is not there.

    Args:
        folder: of the events.

    Raises:
        InputError: the file cannot be read, or a line has fewer than three columns.
    """
    rows = _rows(folder / "movie_titles.csv", ",", "iso-8859-1", 2)
    return {id_: title.strip() if year == "NULL" else f"{title.strip()} ({year})" for id_, year, title in rows}


def _rows(path: Path, separator: str, encoding: str, most_splits: int = -1) -> list[list[str]]:
    if not path.exists():
        return []
    try:
        rows = [line.split(separator, most_splits) for line in path.read_text(encoding=encoding).split("\n") if line]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}, the file of titles, cannot be read: {error}") from error
    width = max(len(rows[0]), 2) if rows else 0
    for number, row in enumerate(rows, start=1):
        if len(row) != width:
            raise InputError(f"line {number} of {path}, the file of titles, has {len(row)} columns, not {width}")
    return rows
