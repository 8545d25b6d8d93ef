"""Real data: readers of event files and of text, the catalogue of named sources, splits and windows."""

from farzi.events.bpe import BPETokenizer
from farzi.events.catalogue import cache_folder, fetch, find_fetched, find_source, list_sources
from farzi.events.corpus import SHARES
from farzi.events.counts import Description, TextDescription, describe
from farzi.events.data import EventData, Vocabulary, encode
from farzi.events.frames import Columns
from farzi.events.interactions import Interactions, Preparation, k_core
from farzi.events.load import load_events
from farzi.events.netflix import Netflix
from farzi.events.origins import Download, Downloads, Origin, OriginError, PackagedFile, PackagedStrings
from farzi.events.readers import Parquet, Reader, Table, find_format
from farzi.events.sequences import PublishedSplits, Sequences
from farzi.events.source import Form, Source, TextSource
from farzi.events.splits import HeldOut, Splits, leave_last_two_out
from farzi.events.text_data import LEAST_TOKENS, TOKENIZERS, TextData, load_text
from farzi.events.tokenizer import END_OF_LINE, LEAST_COUNT, UNKNOWN, CharTokenizer, Tokenizer, WordTokenizer
from farzi.events.windows import PAD, draw_windows, gather, windows

__all__ = [
    "END_OF_LINE",
    "LEAST_COUNT",
    "LEAST_TOKENS",
    "PAD",
    "SHARES",
    "TOKENIZERS",
    "UNKNOWN",
    "BPETokenizer",
    "CharTokenizer",
    "Columns",
    "Description",
    "Download",
    "Downloads",
    "EventData",
    "Form",
    "HeldOut",
    "Interactions",
    "Netflix",
    "Origin",
    "OriginError",
    "PackagedFile",
    "PackagedStrings",
    "Parquet",
    "Preparation",
    "PublishedSplits",
    "Reader",
    "Sequences",
    "Source",
    "Splits",
    "Table",
    "TextData",
    "TextDescription",
    "TextSource",
    "Tokenizer",
    "Vocabulary",
    "WordTokenizer",
    "cache_folder",
    "describe",
    "draw_windows",
    "encode",
    "fetch",
    "find_fetched",
    "find_format",
    "find_source",
    "gather",
    "k_core",
    "leave_last_two_out",
    "list_sources",
    "load_events",
    "load_text",
    "windows",
]
