"""A summary small enough to be read by eye, and the parts of its file."""

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from farzi.events import BPETokenizer, CharTokenizer, Tokenizer, Vocabulary, WordTokenizer
from farzi.summary import Advice, Card, Factors, Retention, Summary


def make_summary(kind: str = "free") -> Summary:
    values = torch.arange(2 * 3 * 2, dtype=torch.float32).view(2, 3, 2) / 8
    factors = Factors(
        latents=values,
        decoder=torch.arange(8, dtype=torch.float32).view(2, 4) / 4 - 1,
        targets=-values if kind == "free" else None,
        temperature=0.5,
    )
    vocabulary = Vocabulary(("a", "b", "c", "d"), ("Amélie", "Brazil", "Chocolat", "東京物語"))
    card = Card(
        data="films",
        data_fingerprint="0" * 64,
        num_events=1000,
        model={"name": "sasrec", "dim": 8},
        advice=Advice(lr=0.01, batch_size=2, steps=40),
        origin={"seed": 0},
    )
    return Summary(factors=factors, vocabulary=vocabulary, card=card)


def make_measured() -> Summary:
    """With every field that there may be but a tokenizer."""
    summary = make_summary()
    retention = Retention(student="sasrec", seeds=5, kept={"HR@10": 0.98, "AUC": 1.001})
    return replace(summary, card=replace(summary.card, licence="CC BY 4.0", retention=retention))


def make_falling(weight_decay: float = 0.0, crop: float = 0.0) -> Summary:
    """The same, with advice of a falling learning rate."""
    summary = make_measured()
    advice = replace(summary.card.advice, decay=0.3, weight_decay=weight_decay, crop=crop)
    return replace(summary, card=replace(summary.card, advice=advice))


def tokenizers() -> dict[str, Tokenizer]:
    return {
        "word": WordTokenizer(Vocabulary(("<unk>", "<eos>", "to", "be")), True),
        "char": CharTokenizer(Vocabulary(("<unk>", " ", "\n", "東"))),
        "bpe": BPETokenizer(Vocabulary(("a", "b", "Ġ", "Ġa")), ("Ġ a",)),
    }


def make_text(kind: str, targets: str = "next") -> Summary:
    tokenizer = tokenizers()[kind]
    return replace(make_summary(targets), vocabulary=tokenizer.vocabulary, tokenizer=tokenizer)


def take_apart(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the tensors of a safetensors file."""
    size = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def put_together(header: Any, tensors: bytes) -> bytes:
    """A file of a header, which is JSON or bytes already, and tensors."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def with_card(content: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The file with a card that was changed in place."""
    header, tensors = take_apart(content)
    card = json.loads(header["__metadata__"]["farzi"])
    change(card)
    header["__metadata__"]["farzi"] = json.dumps(card)
    return put_together(header, tensors)
