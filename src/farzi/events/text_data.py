"""A text as tokens: what it is called, its three parts, and what cut it."""

import hashlib
import logging
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from farzi.errors import InputError
from farzi.events.bpe import BPETokenizer
from farzi.events.catalogue import SOURCES, fetch, find_source
from farzi.events.corpus import Parts, read_parts
from farzi.events.data import EventData, Vocabulary
from farzi.events.source import TextSource
from farzi.events.tokenizer import END_OF_LINE, UNKNOWN, CharTokenizer, Tokenizer, WordTokenizer

TOKENIZERS: dict[str, type[Tokenizer]] = {
    "word": WordTokenizer,
    "char": CharTokenizer,
    "bpe": BPETokenizer,
}
"""What cuts text, by its name."""

MOST_UNKNOWN = 0.2
"""Share of the training tokens that may stand for words which are not known, before that is remarked on."""

LEAST_TOKENS = 1000
"""Tokens that a text is made of at least, all parts together."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextData:
    """A text of tokens over one vocabulary, in three parts that follow one another.

    Args:
        name: what the text is called in tables and files.
        train: (num_events,) int32, what models are fitted to.
        valid: int32, what they are chosen by.
        test: int32, what they are judged by.
        tokenizer: what the numbers stand for.
        licence: the terms of the text, where they are known.

    Raises:
        ValueError: an array is not flat int32, has fewer than two tokens, or does not fit the vocabulary.
    """

    name: str
    train: NDArray[np.int32]
    valid: NDArray[np.int32]
    test: NDArray[np.int32]
    tokenizer: Tokenizer
    licence: str | None = None

    def __post_init__(self) -> None:
        for name in ("train", "valid", "test"):
            part: NDArray[np.int32] = getattr(self, name)
            if part.dtype != np.int32 or part.ndim != 1:
                raise ValueError(f"{name} must be a flat int32 array, not {part.dtype} {part.shape}")
            if len(part) < 2:
                raise ValueError(f"{name} must have at least 2 tokens, not {len(part)}")
            if not 0 <= part.min() <= part.max() < self.vocab_size:
                raise ValueError(f"{name} must lie between 0 and {self.vocab_size - 1}, the vocabulary's last number")

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens, in the order of their numbers."""
        return self.tokenizer.vocabulary

    @property
    def vocab_size(self) -> int:
        """The number of different tokens there can be."""
        return len(self.vocabulary)

    @property
    def num_events(self) -> int:
        """The number of tokens for training."""
        return len(self.train)

    @cached_property
    def stream(self) -> EventData:
        """The training part as one long sequence."""
        return EventData(self.name, self.train, np.array([0, len(self.train)], dtype=np.int64), self.vocabulary)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of the vocabulary and the parts; not of name and licence."""
        digest = hashlib.sha256(self.vocabulary.fingerprint.encode())
        for part in (self.train, self.valid, self.test):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()


def load_text(
    source: str | Path,
    *,
    tokenizer: str | Tokenizer | None = None,
    vocab: int | None = None,
    path: str | Path | None = None,
    licence: str | None = None,
) -> TextData:
    """Read a text and cut it into tokens.

    A text of the catalogue has its own tokenizer, parts and counts, which are checked; any other is one file in UTF-8,
    or a folder of ``.txt`` files. Where its files do not say otherwise the first 90 % of its characters are for
    training, the next 5 % for validation and the last 5 % for testing. The vocabulary is that of the training part.

    Args:
        source: a name in the catalogue, such as ``ptb``, or the path of a file or folder.
        tokenizer: ``word``, ``char`` or ``bpe``, or what a summary was made with (``summary.tokenizer``); None takes
            the source's own, or ``word``.
        vocab: most tokens of the vocabulary, special ones included; None takes 10,000 words, all characters, or 8,000
            byte pairs.
        path: a file or folder to read the named source from, in the place of fetching it.
        licence: the terms of the text, which its summaries repeat; None takes the source's own.

    Raises:
        InputError: there is no such name or file, it is no text, or too short to learn from.
    """
    named = path is not None or (str(source) in SOURCES)
    known = find_text(str(source)) if named else None
    place = Path(path) if path is not None else Path(source) if known is None else fetch(known.name)
    parts = read_parts(place, () if known is None else known.files)
    chosen = tokenizer if tokenizer is not None else "word" if known is None else known.tokenizer
    if not isinstance(chosen, str) and vocab is not None:
        raise InputError(f"vocab is {vocab}, but the tokenizer has a vocabulary already; leave one of them out")
    cutter = _train(chosen, parts, vocab) if isinstance(chosen, str) else chosen
    name = place.name or place.resolve().name
    data = _cut(name if known is None else known.name, parts, cutter, place)
    if known is not None:
        licence = licence or known.licence
        standard = chosen == known.tokenizer and vocab is None
        num_tokens = [len(part) for part in (data.train, data.valid, data.test)] if standard else []
        known.check(place, sum(map(len, parts)), num_tokens, data.vocab_size)
    return replace(data, licence=licence)


def find_text(name: str) -> TextSource:
    """Return the text of this name in the catalogue.

    Raises:
        InputError: there is none.
    """
    source = find_source(name)
    if not isinstance(source, TextSource):
        raise InputError(f"{name} is no text but a data set of events; give a text's name or its file")
    return source


def _train(kind: str, parts: Parts, vocab: int | None) -> Tokenizer:
    if kind not in TOKENIZERS:
        raise InputError(f"tokenizer must be one of {', '.join(TOKENIZERS)}, not {kind!r}")
    return TOKENIZERS[kind].train(parts.train, vocab)


def _cut(name: str, parts: Parts, tokenizer: Tokenizer, path: Path) -> TextData:
    train, valid, test = (tokenizer.encode(part) for part in parts)
    count = len(train) + len(valid) + len(test)
    if count < LEAST_TOKENS or min(len(valid), len(test)) < 2:
        raise InputError(
            f"{path} is too short: it has {count:,} tokens ({tokenizer.kind}), {len(valid)} of them for validation and "
            f"{len(test)} for testing; give a text of at least {LEAST_TOKENS:,} tokens"
        )
    special = {UNKNOWN, END_OF_LINE}
    if sum(tokenizer.vocabulary.ids[token] not in special for token in np.unique(train).tolist()) < 2:
        raise InputError(
            f"{path}, cut by {tokenizer.kind}, has fewer than two tokens that are seen twice, so there is nothing "
            "to predict; choose another tokenizer (word, char, bpe) or another text"
        )
    ids = tokenizer.vocabulary.ids
    unknown = float((train == ids.index(UNKNOWN)).mean()) if UNKNOWN in ids else 0.0
    if unknown > MOST_UNKNOWN:
        logger.warning(
            "%s, cut by %s, is %s in %.0f %% of its tokens; take another (word, char, bpe) or a larger vocab",
            *(path, tokenizer.kind, UNKNOWN, 100 * unknown),
        )
    return TextData(name, train, valid, test, tokenizer)
