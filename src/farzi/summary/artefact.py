"""A distilled data set as one safetensors file: factors, vocabulary and a card that says where it came from."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from farzi.errors import InputError
from farzi.events import TOKENIZERS, Tokenizer, Vocabulary
from farzi.files import atomic_write
from farzi.summary.factors import Factors

FORMAT_VERSION = 1
"""Version of the file format that is written; older ones stay readable."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """How to train on a summary, as found on validation data.

    Args:
        lr: learning rate of Adam.
        batch_size: sequences a step.
        steps: number of steps.
    """

    lr: float
    batch_size: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class Card:
    """Where a summary came from and how to use it.

    Args:
        data: name of the data set.
        data_fingerprint: of its events, see :attr:`farzi.events.EventData.fingerprint`.
        num_events: training events that it stands for.
        model: name and sizes of the model that it was distilled with.
        advice: how to train on it.
        origin: everything else that decided it: teachers, objective, outer loop, seed.
    """

    data: str
    data_fingerprint: str
    num_events: int
    model: Mapping[str, Any]
    advice: Advice
    origin: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Synthetic sequences with their vocabulary and card.

    Args:
        factors: the sequences.
        vocabulary: what their columns stand for.
        card: where they came from.
        tokenizer: what cut the text that they came from, over the same vocabulary; None where that was no text.

    Raises:
        ValueError: the vocabulary's size is not the factors'.
    """

    factors: Factors
    vocabulary: Vocabulary
    card: Card
    tokenizer: Tokenizer | None = None

    def __post_init__(self) -> None:
        if len(self.vocabulary) != self.factors.vocab_size:
            raise ValueError(f"{len(self.vocabulary)} ids do not fit factors over {self.factors.vocab_size} events")

    def title(self, event: int) -> str:
        """Return an event as people read it: its title or id, and for text the token with spaces made visible.

        Args:
            event: its number, 0 to vocab - 1.
        """
        return self.vocabulary.title(event) if self.tokenizer is None else self.tokenizer.show(event)

    def save(self, path: str | Path) -> None:
        """Write the summary to a file, in half precision, whole or not at all.

        Args:
            path: of the file.

        Raises:
            InputError: the file cannot be written.
        """
        with atomic_write(path) as file:
            file.write(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The content of the summary's file."""
        tensors = {name: part.detach().half().cpu().contiguous() for name, part in self.factors.tensors().items()}
        return save(tensors, metadata={"farzi": _dump(self)})


def round_to_stored(factors: Factors) -> Factors:
    """The factors as a file will hold them, so that what was judged is what is kept.

    Args:
        factors: of any precision.

    Returns:
        float32 factors rounded to half precision.
    """
    return factors.with_tensors({name: part.half().float() for name, part in factors.tensors().items()})


def load(path: str | Path) -> Summary:
    """Read a summary.

    Args:
        path: of a file that :meth:`Summary.save` wrote.

    Returns:
        the summary, in float32.

    Raises:
        InputError: there is no such file, it is cut short, or it is not a summary.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file; give a summary that `farzi distill` wrote")
    try:
        with safe_open(path, framework="pt") as file:  # pyright: ignore[reportUnknownVariableType]
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in ("latents", "decoder", "targets") if name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a whole safetensors file ({error}); copy or distil it again") from error
    if "farzi" not in metadata:
        raise InputError(f"{path} is a safetensors file but not a farzi summary: its metadata has no farzi card")
    try:
        return _parse(json.loads(metadata["farzi"]), tensors)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} has a damaged card or tensors ({error}); copy or distil it again") from error


def _dump(summary: Summary) -> str:
    content = {
        "format": FORMAT_VERSION,
        "temperature": summary.factors.temperature,
        "targets": summary.factors.kind,
        "vocabulary": {"ids": summary.vocabulary.ids, "titles": summary.vocabulary.titles},
        "card": asdict(replace(summary.card, model=dict(summary.card.model), origin=dict(summary.card.origin))),
    }
    if summary.tokenizer is not None:
        content["tokenizer"] = {"kind": summary.tokenizer.kind, **summary.tokenizer.state()}
    return json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _parse(content: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Summary:
    if content["format"] > FORMAT_VERSION:
        raise ValueError(f"format {content['format']} is newer than this farzi reads, {FORMAT_VERSION}: update farzi")
    if not all(part.is_floating_point() and bool(part.isfinite().all()) for part in tensors.values()):
        raise ValueError("a tensor holds numbers that are not finite")
    factors = Factors(
        latents=tensors["latents"].float(),
        decoder=tensors["decoder"].float(),
        targets=tensors["targets"].float() if content["targets"] == "free" else None,
        temperature=float(content["temperature"]),
    )
    ids, titles = content["vocabulary"]["ids"], content["vocabulary"]["titles"]
    card = {f.name: content["card"][f.name] for f in fields(Card)}
    card["advice"] = Advice(**card["advice"])
    vocabulary = Vocabulary(tuple(ids), None if titles is None else tuple(titles))
    told = content.get("tokenizer")
    tokenizer = None if told is None else TOKENIZERS[told["kind"]].restore(told, vocabulary)
    return Summary(factors=factors, vocabulary=vocabulary, card=Card(**card), tokenizer=tokenizer)
