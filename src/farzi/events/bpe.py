"""Byte pairs: tokens between characters and words, with Hugging Face's ``tokenizers`` (extra ``bpe``)."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from farzi.errors import InputError
from farzi.events.data import Vocabulary
from farzi.events.tokenizer import LEAST_COUNT, make_visible

CHUNK = 2**20
"""Characters that are cut into tokens at once."""

_NUM_BYTES = 256
# Where no token can reach across: before the last of some line ends, before a space between words, and, for scripts
# without spaces, between a sign and a word (but an apostrophe and a few letters can be one token).
_PIECE_END = re.compile(r"\n(?=\S)|(?<=[^\W_]) (?=[^\W_])|(?<=[^\w\s'])(?=[^\W_])")


@dataclass(frozen=True)
class BPETokenizer:
    """Byte pair encoding on the bytes of UTF-8 (Sennrich et al., 2016, arXiv 1508.07909; the form of GPT-2).

    Every byte is a token, so that any text can be cut and comes back exactly; the other tokens are two of before put
    together.

    Args:
        vocabulary: the tokens, bytes written as GPT-2 does (``Ġ`` for a space).
        merges: the two parts of each token that is put together, with a space between, in the order of the learning.

    Raises:
        ValueError: a merge is not of two tokens that make a third.
    """

    vocabulary: Vocabulary
    merges: tuple[str, ...]

    kind = "bpe"

    def __post_init__(self) -> None:
        ids = set(self.vocabulary.ids)
        for merge in self.merges:
            if len(parts := merge.split(" ")) != 2 or not {*parts, "".join(parts)} <= ids:
                raise ValueError(f"merge {merge!r} is not of two tokens that make a third")

    @classmethod
    def train(cls, text: str, vocab_size: int | None) -> Self:
        """See ``Tokenizer.train``; 8,000 tokens by default, fewer where no pair is left that is seen twice."""
        vocab_size = 8_000 if vocab_size is None else vocab_size
        if vocab_size <= _NUM_BYTES:
            raise InputError(f"vocab is {vocab_size}; the tokenizer bpe needs at least {_NUM_BYTES + 1}, a byte each")
        library = _library()
        made = library.Tokenizer(library.models.BPE())
        made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = library.trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=LEAST_COUNT,
            initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        made.train_from_iterator(_pieces(text), trainer)
        model = json.loads(made.to_str())["model"]
        ids = sorted(model["vocab"], key=model["vocab"].__getitem__)
        merges = tuple(merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"])
        return cls(Vocabulary(tuple(ids)), merges)

    @classmethod
    def restore(cls, state: Mapping[str, Any], vocabulary: Vocabulary) -> Self:
        """See ``Tokenizer.restore``."""
        merges: Any = state.get("merges")
        if not isinstance(merges, list) or not all(isinstance(merge, str) for merge in merges):
            raise ValueError("merges are no list of texts")
        return cls(vocabulary, tuple(merges))

    def state(self) -> dict[str, Any]:
        """See ``Tokenizer.state``."""
        return {"merges": list(self.merges)}

    def encode(self, text: str) -> NDArray[np.int32]:
        """See ``Tokenizer.encode``."""
        parts = [self._made.encode(piece).ids for piece in _pieces(text)]
        return np.concatenate([np.empty(0, np.int32), *(np.array(part, dtype=np.int32) for part in parts)])

    def decode(self, tokens: Iterable[int]) -> str:
        """See ``Tokenizer.decode``; exact but for characters of which only some bytes are there."""
        return self._made.decode(list(tokens), skip_special_tokens=False)

    def show(self, token: int) -> str:
        """See ``Tokenizer.show``; a part of a character is shown as its bytes are written."""
        text = self.decode([token])
        return self.vocabulary.ids[token] if "\N{REPLACEMENT CHARACTER}" in text else make_visible(text)

    @cached_property
    def _made(self) -> Any:
        library = _library()
        numbers = {id_: number for number, id_ in enumerate(self.vocabulary.ids)}
        merges = [tuple(merge.split(" ")) for merge in self.merges]
        made = library.Tokenizer(library.models.BPE(vocab=numbers, merges=merges))
        made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = library.decoders.ByteLevel()
        return made


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise InputError(
            "the tokenizer bpe needs the package tokenizers; install it with pip install 'farzi[bpe]', or choose the "
            "tokenizer word or char"
        ) from error
    return tokenizers


def _pieces(text: str) -> Iterator[str]:
    """Text in pieces of about a megabyte whose tokens are those of the whole."""
    start = 0
    while start < len(text):
        found = _PIECE_END.search(text, start + CHUNK)
        end = len(text) if found is None else found.start()
        yield text[start:end]
        start = end
