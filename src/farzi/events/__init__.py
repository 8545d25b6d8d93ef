"""Real data: readers of event files, the catalogue of named sources, splits and windows."""

from farzi.events.catalogue import cache_folder, fetch, find_source, list_sources
from farzi.events.counts import Description, describe
from farzi.events.data import EventData, Vocabulary, encode
from farzi.events.frames import Columns
from farzi.events.interactions import Interactions, Preparation, k_core
from farzi.events.load import load_events
from farzi.events.netflix import Netflix
from farzi.events.origins import Download, Origin, OriginError, PackagedFile
from farzi.events.readers import Parquet, Reader, Table, find_format
from farzi.events.sequences import PublishedSplits, Sequences
from farzi.events.source import Form, Source
from farzi.events.splits import HeldOut, Splits, leave_last_two_out
from farzi.events.windows import PAD, draw_windows, gather, windows

__all__ = [
    "PAD",
    "Columns",
    "Description",
    "Download",
    "EventData",
    "Form",
    "HeldOut",
    "Interactions",
    "Netflix",
    "Origin",
    "OriginError",
    "PackagedFile",
    "Parquet",
    "Preparation",
    "PublishedSplits",
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
    "find_format",
    "find_source",
    "gather",
    "k_core",
    "leave_last_two_out",
    "list_sources",
    "load_events",
    "windows",
]
