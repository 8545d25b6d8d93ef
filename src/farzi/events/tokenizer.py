"""What cuts text into tokens: words, characters, or byte pairs (``bpe.py``)."""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from farzi.errors import InputError
from farzi.events.data import Vocabulary

UNKNOWN = "<unk>"
"""Stands for every word or character that has no place in the vocabulary."""

END_OF_LINE = "<eos>"
"""Stands for the end of a line where text is cut into words."""

LEAST_COUNT = 2
"""How often a word or a character is seen at least to have a place in the vocabulary.

What is seen once in training is as rare as what is seen in the test alone: it teaches what unknown words are like.
"""

_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*|[^\w\s]")
_VISIBLE = str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥"})


class Tokenizer(Protocol):
    """Turns text into numbers of tokens and back."""

    @property
    def kind(self) -> str:
        """Its key in ``TOKENIZERS``."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens, in the order of their numbers."""
        ...

    @classmethod
    def train(cls, text: str, vocab_size: int | None) -> Self:
        """Find the tokens of a text.

        Args:
            text: to learn from, with line feeds at the ends of lines.
            vocab_size: most tokens, special ones included; None for the default of the kind.

        Raises:
            InputError: the vocabulary is too small to be one, or the text has nothing to put into it.
        """
        ...

    @classmethod
    def restore(cls, state: Mapping[str, Any], vocabulary: Vocabulary) -> Self:
        """Make again what :meth:`state` described.

        Raises:
            ValueError: the description lacks something, or does not fit the vocabulary.
        """
        ...

    def state(self) -> dict[str, Any]:
        """What a file holds of it beside the vocabulary, fit for JSON."""
        ...

    def encode(self, text: str) -> NDArray[np.int32]:
        """Return the tokens of a text, (num_tokens,)."""
        ...

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens, as far as it can be told."""
        ...

    def show(self, token: int) -> str:
        """Return one token as people read it, spaces and line ends made visible."""
        ...


@dataclass(frozen=True)
class WordTokenizer:
    """Words and punctuation marks, the most frequent of them, and ``<eos>`` at the end of every line.

    A text that has ``<unk>`` among its words was prepared by its publisher, like the Penn Treebank: it is cut at spaces
    alone, and every word of it has a place.

    Args:
        vocabulary: ``<unk>``, ``<eos>`` and the words.
        prepared: whether text is cut at spaces alone.

    Raises:
        ValueError: the vocabulary lacks ``<unk>`` or ``<eos>``.
    """

    vocabulary: Vocabulary
    prepared: bool = False

    kind = "word"

    def __post_init__(self) -> None:
        if not {UNKNOWN, END_OF_LINE} <= set(self.vocabulary.ids):
            raise ValueError(f"the vocabulary of words must have {UNKNOWN} and {END_OF_LINE}")

    @classmethod
    def train(cls, text: str, vocab_size: int | None) -> Self:
        """See ``Tokenizer.train``; 10,000 words by default."""
        vocab_size = _check_size(10_000 if vocab_size is None else vocab_size, 3, cls.kind)
        counts, prepared = _count_words(text, True), True
        if UNKNOWN not in counts:
            counts, prepared = _count_words(text, False), False
        for special in (UNKNOWN, END_OF_LINE):
            counts.pop(special, None)
        least = 1 if prepared else LEAST_COUNT
        words = [word for word, count in counts.most_common(vocab_size - 2) if count >= least]
        return cls(Vocabulary((UNKNOWN, END_OF_LINE, *words)), prepared)

    @classmethod
    def restore(cls, state: Mapping[str, Any], vocabulary: Vocabulary) -> Self:
        """See ``Tokenizer.restore``."""
        if not isinstance(prepared := state.get("prepared"), bool):
            raise ValueError(f"prepared is {prepared!r}, neither true nor false")
        return cls(vocabulary, prepared)

    def state(self) -> dict[str, Any]:
        """See ``Tokenizer.state``."""
        return {"prepared": self.prepared}

    def encode(self, text: str) -> NDArray[np.int32]:
        """See ``Tokenizer.encode``."""
        numbers, tokens = {id_: number for number, id_ in enumerate(self.vocabulary.ids)}, array("i")
        unknown, end = numbers[UNKNOWN], numbers[END_OF_LINE]
        for number, line in enumerate(text.split("\n")):
            if number:
                tokens.append(end)
            tokens.extend(numbers.get(word, unknown) for word in _words(line, self.prepared))
        return np.array(tokens, dtype=np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        """See ``Tokenizer.decode``; spaces between words, also before punctuation."""
        words = [self.vocabulary.ids[token] for token in tokens]
        lines = " ".join("\n" if word == END_OF_LINE else word for word in words).split("\n")
        return "\n".join(line.strip() for line in lines)

    def show(self, token: int) -> str:
        """See ``Tokenizer.show``."""
        return self.vocabulary.ids[token]


@dataclass(frozen=True)
class CharTokenizer:
    """Characters, the most frequent of them.

    Args:
        vocabulary: ``<unk>`` and the characters.

    Raises:
        ValueError: the vocabulary lacks ``<unk>``, or has something that is not one character.
    """

    vocabulary: Vocabulary

    kind = "char"

    def __post_init__(self) -> None:
        if [id_ for id_ in self.vocabulary.ids if len(id_) != 1] != [UNKNOWN]:
            raise ValueError(f"the vocabulary of characters must have {UNKNOWN}, and beside it single characters alone")

    @classmethod
    def train(cls, text: str, vocab_size: int | None) -> Self:
        """See ``Tokenizer.train``; all characters that are seen twice by default."""
        codes, counts = np.unique(_codes(text), return_counts=True)
        most = _check_size(len(codes) + 1 if vocab_size is None else vocab_size, 2, cls.kind)
        order = np.argsort(-counts, kind="stable")[: most - 1]
        kept = codes[order][counts[order] >= LEAST_COUNT]
        return cls(Vocabulary((UNKNOWN, *map(chr, kept.tolist()))))

    @classmethod
    def restore(cls, state: Mapping[str, Any], vocabulary: Vocabulary) -> Self:  # noqa: ARG003
        """See ``Tokenizer.restore``."""
        return cls(vocabulary)

    def state(self) -> dict[str, Any]:
        """See ``Tokenizer.state``."""
        return {}

    def encode(self, text: str) -> NDArray[np.int32]:
        """See ``Tokenizer.encode``."""
        return self._number_of_code[_codes(text)]

    def decode(self, tokens: Iterable[int]) -> str:
        """See ``Tokenizer.decode``; unknown characters become the replacement character."""
        ids = self.vocabulary.ids
        return "".join("\N{REPLACEMENT CHARACTER}" if ids[token] == UNKNOWN else ids[token] for token in tokens)

    def show(self, token: int) -> str:
        """See ``Tokenizer.show``."""
        return make_visible(self.vocabulary.ids[token])

    @cached_property
    def _number_of_code(self) -> NDArray[np.int32]:
        table = np.full(0x110000, self.vocabulary.index(UNKNOWN), dtype=np.int32)
        for number, id_ in enumerate(self.vocabulary.ids):
            if id_ != UNKNOWN:
                table[ord(id_)] = number
        return table


def make_visible(text: str) -> str:
    """Put signs in the place of spaces, line ends and tabs, and codes in that of whatever else cannot be seen."""
    visible = (_VISIBLE.get(ord(one), one) for one in text)
    return "".join(one if one.isprintable() and not one.isspace() else ascii(one)[1:-1] for one in visible)


def _check_size(vocab_size: int, least: int, kind: str) -> int:
    if vocab_size < least:
        raise InputError(f"vocab is {vocab_size}; the tokenizer {kind} needs at least {least}")
    return vocab_size


def _words(line: str, prepared: bool) -> list[str]:
    return line.split() if prepared else _WORD.findall(line)


def _count_words(text: str, prepared: bool) -> Counter[str]:
    counts = Counter[str]()
    for line in text.split("\n"):
        counts.update(_words(line, prepared))
    return counts


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)
