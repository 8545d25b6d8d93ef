"""Real data: readers of event files, the catalogue of named sources, splits and windows."""

from farzi.events.catalogue import Source, cache_folder, fetch, find_source, list_sources
from farzi.events.counts import Description, describe
from farzi.events.data import EventData, Vocabulary, encode
from farzi.events.frames import Columns
from farzi.events.interactions import Interactions, Preparation, k_core
from farzi.events.load import load_events
from farzi.events.origins import Download, Origin, OriginError, PackagedFile
from farzi.events.readers import Parquet, Reader, Sequences, Table, find_reader
from farzi.events.splits import HeldOut, Splits, leave_last_two_out
from farzi.events.windows import PAD, draw_windows, gather, windows

__all__ = [
    "PAD",
    "Columns",
    "Description",
    "Download",
    "EventData",
    "HeldOut",
    "Interactions",
    "Origin",
    "OriginError",
    "PackagedFile",
    "Parquet",
    "Preparation",
    "Reader",
    "Sequences",
    "Source",
    "Splits",
    "Table",
    "Vocabulary",
    "cache_folder",
    "describe",
    "draw_windows",
    "encode",
    "fetch",
    "find_reader",
    "find_source",
    "gather",
    "k_core",
    "leave_last_two_out",
    "list_sources",
    "load_events",
    "windows",
]
