"""A distilled data set as one safetensors file: factors, vocabulary and a card (docs/file-format.md)."""

import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor
from torch.utils.data import Dataset

from farzi.errors import InputError
from farzi.events import TOKENIZERS, Tokenizer, Vocabulary
from farzi.files import atomic_write
from farzi.models import Batch
from farzi.reading import MOST_HEADER_BYTES, in_a_line, parse_json, read_tensors
from farzi.summary.card import Advice, Card, Retention
from farzi.summary.factors import Factors
from farzi.summary.likeliest import likeliest_rows
from farzi.summary.storage import from_stored, to_stored

if TYPE_CHECKING:
    import datasets

FORMAT_VERSION = 5
"""Version of the file format that is written; older ones stay readable."""


@dataclass(frozen=True, kw_only=True)
class Summary(Dataset[Batch]):
    """Synthetic sequences with their vocabulary and card.

    It is a ``Dataset`` of PyTorch, ready for a ``DataLoader``: of soft inputs and targets, ``(length, vocab)`` each,
    which are made when they are asked for.

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

    def __len__(self) -> int:
        """Number of synthetic sequences."""
        return self.factors.num_sequences

    def __getitem__(self, index: int) -> Batch:
        """Soft inputs and targets of a sequence, ``(length, vocab)`` each."""
        inputs, targets = self.factors.decode(torch.tensor([range(len(self))[index]]))
        return Batch(inputs[0], targets[0])

    def title(self, event: int) -> str:
        """Return an event as people read it: its title or id, and for text the token with spaces made visible.

        Args:
            event: its number, 0 to vocab - 1.
        """
        return self.vocabulary.title(event) if self.tokenizer is None else self.tokenizer.show(event)

    def save(self, path: str | Path) -> None:
        """Write the summary to a file, rounded as :func:`round_to_stored` does, whole or not at all.

        Args:
            path: of the file.

        Raises:
            InputError: the file cannot be written, or the vocabulary is too large for it.
        """
        content = self.to_bytes()
        with atomic_write(path) as file:
            file.write(content)

    def to_datasets(self, top: int = 100) -> "datasets.Dataset":
        """The likeliest events of each position as a data set of Hugging Face (extra ``hub``), a row a sequence.

        What is lost is the probability of all other events, on which a model can be trained no more; the description
        of the data set (``info.description``) tells how much that is. :func:`export` draws hard sequences instead.

        Args:
            top: how many events are kept at each position, at most the whole vocabulary.

        Returns:
            ``input_events`` and ``target_events``, numbers in the order of the vocabulary's ids, and with them
            ``input_probabilities`` and ``target_probabilities``, the likeliest first; ``(length, top)`` each.

        Raises:
            InputError: ``datasets`` is not installed, or ``top`` is not positive.
        """
        return likeliest_rows(self.factors, self.card, top)

    def to_bytes(self) -> bytes:
        """The content of the summary's file.

        Raises:
            InputError: the vocabulary is too large for it.
        """
        tensors = {name: part.cpu().contiguous() for name, part in to_stored(self.factors).items()}
        content = save(tensors, metadata={"farzi": _dump(self)})
        if (size := int.from_bytes(content[:8], "little")) > MOST_HEADER_BYTES:
            raise InputError(
                f"card and vocabulary of {self.card.data} take {size:,} bytes, but a summary's file has room for "
                f"{MOST_HEADER_BYTES:,}; leave out the titles, or events that are rare"
            )
        return content


def round_to_stored(factors: Factors) -> Factors:
    """The factors as a file will hold them, so that what was judged is what is kept.

    Args:
        factors: of any precision.

    Returns:
        float32 factors, the decoder rounded to half precision and the latents to eight bits.
    """
    return factors.with_tensors(from_stored(to_stored(factors)))


def load(path: str | Path) -> Summary:
    """Read a summary.

    What is not exactly a summary is refused, in time and memory that the file's size bounds.

    Args:
        path: of a file that :meth:`Summary.save` wrote.

    Returns:
        the summary, in float32.

    Raises:
        InputError: there is no such file, it is cut short, or it is not a summary.
    """
    path = Path(path)
    metadata, tensors = read_tensors(path, "give a summary that `farzi distill` wrote")
    if "farzi" not in metadata:
        raise InputError(f"{path} is a safetensors file but not a farzi summary: its metadata has no farzi card")
    try:
        return _parse(tensors, **_object("card", parse_json(metadata["farzi"])))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        told = re.sub(r"^\S+\(\) ", "", in_a_line(error))  # a missing field is a missing argument of what takes it
        raise InputError(f"{path} has a damaged card or tensors ({told}); copy or distil it again") from error


def _dump(summary: Summary) -> str:
    vocabulary, card = summary.vocabulary, summary.card
    content = {
        "format": FORMAT_VERSION,
        "temperature": summary.factors.temperature,
        "targets": summary.factors.kind,
        "vocabulary": {"ids": vocabulary.ids, "titles": vocabulary.titles, "fingerprint": vocabulary.fingerprint},
        "card": asdict(replace(card, model=dict(card.model), origin=dict(card.origin))),
    }
    if summary.tokenizer is not None:
        content["tokenizer"] = {"kind": summary.tokenizer.kind, **summary.tokenizer.state()}
    return json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _parse(
    tensors: dict[str, Tensor],
    *,
    format: Any,
    temperature: Any,
    targets: Any,
    vocabulary: Any,
    card: Any,
    tokenizer: Any = None,
) -> Summary:
    if type(format) is not int or format < 1:
        raise ValueError(f"format is {format!r}, not the number of a version")
    if format > FORMAT_VERSION:
        raise ValueError(f"format {format} is newer than this farzi reads, {FORMAT_VERSION}: update farzi")
    events = _parse_vocabulary(format, **_object("vocabulary", vocabulary))
    return Summary(
        factors=_parse_factors(format, targets, temperature, tensors),
        vocabulary=events,
        card=_parse_card(**_object("card", card)),
        tokenizer=None if tokenizer is None else _parse_tokenizer(_object("tokenizer", tokenizer), events),
    )


def _object(name: str, content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(f"{name} is no JSON object")
    return content


def _parse_factors(version: int, kind: Any, temperature: Any, tensors: dict[str, Tensor]) -> Factors:
    if isinstance(temperature, bool) or not isinstance(temperature, int | float):
        raise ValueError(f"temperature is {temperature!r}; it must be a number")
    of_sequences = ["latents", "targets"] if kind == "free" else ["latents"]
    scaled = of_sequences if version > 2 else []
    scales = {f"{name}_scale": name for name in scaled}
    if kind not in ("free", "next") or tensors.keys() != {"decoder", *of_sequences, *scales}:
        raise ValueError(f"targets is {kind!r}, and the tensors are {sorted(tensors)}")
    for name, part in tensors.items():
        wanted = torch.int8 if name in scaled else torch.float16
        if part.dtype != wanted:
            holds, instead = (str(one).removeprefix("torch.") for one in (part.dtype, wanted))
            raise ValueError(f"{name} holds {holds}, not {instead}")
        if not part.numel() or not bool(part.isfinite().all()):
            raise ValueError(f"{name} is empty or holds numbers that are not finite")
        if name in scales and (part.shape != tensors[scales[name]].shape[:-1] or bool((part < 0).any())):
            raise ValueError(f"{name} is negative or has another shape than the positions of {scales[name]}")
    factors = Factors(**from_stored(tensors), temperature=temperature)
    largest = {name: part.abs().max() for name, part in factors.tensors().items()}
    of_latents = max(value for name, value in largest.items() if name != "decoder")
    if not bool((of_latents * largest["decoder"] * len(factors.decoder) / temperature).isfinite()):
        raise ValueError(f"with temperature {temperature} the logits are not finite")
    return factors


def _parse_vocabulary(version: int, *, ids: Any, titles: Any, fingerprint: Any = None) -> Vocabulary:
    for name, texts in {"ids": ids, "titles": [] if titles is None else titles}.items():
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{name} of the vocabulary are no list of texts")
    vocabulary = Vocabulary(tuple(ids), None if titles is None else tuple(titles))
    if version > 1 and fingerprint != vocabulary.fingerprint:
        raise ValueError("the vocabulary's fingerprint is not that of its ids")
    return vocabulary


def _parse_card(*, advice: Any, retention: Any = None, **rest: Any) -> Card:
    measured = None if retention is None else Retention(**_object("retention", retention))
    return Card(**rest, advice=Advice(**_object("advice", advice)), retention=measured)


def _parse_tokenizer(told: dict[str, Any], vocabulary: Vocabulary) -> Tokenizer:
    if (kind := told.get("kind")) not in TOKENIZERS:
        raise ValueError(f"its tokenizer is of kind {kind!r}, not one of {', '.join(TOKENIZERS)}")
    return TOKENIZERS[kind].restore(told, vocabulary)
