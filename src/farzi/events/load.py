"""Load a data set by its name in the catalogue, or from a file."""

from dataclasses import replace
from pathlib import Path

from farzi.errors import InputError
from farzi.events.catalogue import SOURCES, fetch, find_source
from farzi.events.data import EventData
from farzi.events.interactions import Preparation, prepare
from farzi.events.readers import READERS, find_format
from farzi.events.source import TextSource


def load_events(
    source: str | Path,
    *,
    format: str | None = None,
    user: int | str | None = None,
    item: int | str | None = None,
    time: int | str | None = None,
    min_count: int | None = None,
    filter_items: bool | None = None,
    path: str | Path | None = None,
    licence: str | None = None,
) -> EventData:
    """Read, order and filter a data set of event sequences.

    A source of the catalogue has its own format, columns and preparation, and what it yields is checked against its
    published counts; a file is read as its name tells and keeps users and items with at least five events. Each can be
    overruled here.

    Args:
        source: a name in the catalogue, such as ``ml-100k``, or the path of a file, or of a folder where the format is
            one of several files.
        format: a key of ``READERS``; None takes the source's, or what the name of the file tells.
        user: the column of the user, by name or, in a file without a header line, by number from 0; None takes the
            format's own.
        item: the same for the item.
        time: the same for the time.
        min_count: the fewest events of a user, and of an item, that is kept, at least 1: the rest is dropped until
            nothing changes (the iterated k-core). None takes the source's own, or 5.
        filter_items: False asks ``min_count`` of users only. None takes the source's own, or True.
        path: a file or folder to read the named source from, in the place of fetching it.
        licence: the terms of the data, which its summaries repeat; None takes the source's own.

    Raises:
        InputError: there is no such name or file, the file cannot be used, or nothing is left of it.
    """
    given = {"user": user, "item": item, "time": time}
    columns = {role: column for role, column in given.items() if column is not None}
    known = None if path is None and str(source) not in SOURCES and Path(source).exists() else find_source(str(source))
    if isinstance(known, TextSource):
        raise InputError(f"{known.name} is a text and has no users; read it with load_text")
    file = Path(source) if known is None else fetch(known.name) if path is None else Path(path)
    if not file.exists():
        raise InputError(f"{file} is missing; give the path of a file with events")
    found = find_format(file, format)
    known = None if known is None else known.in_format(found)
    standard = Preparation() if known is None else known.preparation
    preparation = Preparation(
        min_count=standard.min_count if min_count is None else min_count,
        filter_items=standard.filter_items if filter_items is None else filter_items,
    )
    interactions = READERS[found].read(file, columns if known is None else {**known.columns, **columns})
    data = prepare(file.name if known is None else known.name, interactions, preparation)
    if known is None:
        return replace(data, licence=licence)
    if preparation == known.preparation:
        known.check(data, file)
    return replace(data, licence=licence or known.licence)
