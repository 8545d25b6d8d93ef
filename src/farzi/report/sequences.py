"""Synthetic sequences made readable."""

from collections.abc import Mapping

import torch
from rich.table import Table
from rich.text import Text
from torch import Tensor

from farzi.errors import InputError
from farzi.summary import Summary


def sequence_table(summary: Summary, *, sequence: int = 0, top: int = 5) -> Table:
    """The likeliest events at each position of a synthetic sequence.

    Args:
        summary: holds the sequence.
        sequence: its number, from 0.
        top: events at each position, at least 1.

    Returns:
        for each position, titles with their probability in percent: of the input and of the target.

    Raises:
        InputError: there is no such sequence, or ``top`` is not positive.
    """
    factors = summary.factors
    if not 0 <= sequence < factors.num_sequences:
        raise InputError(f"--sequence is {sequence}; the summary has sequences 0 to {factors.num_sequences - 1}")
    if top < 1:
        raise InputError(f"--top is {top}; it must be at least 1")
    batch = factors.decode(torch.tensor([sequence]))
    table = Table(title=f"sequence {sequence} of {summary.card.data}", title_justify="left", show_lines=top > 1)
    for column in ("", "input", "target"):
        table.add_column(column, justify="left" if column else "right", ratio=1 if column else None)
    for position, (given, expected) in enumerate(zip(batch.inputs[0], batch.targets[0], strict=True)):
        table.add_row(str(position), *(_cell(part, summary, top) for part in (given, expected)))
    return table


def card_table(summary: Summary) -> Table:
    """What a summary's card says: sizes, origin, advice.

    Args:
        summary: any.

    Returns:
        names and values.
    """
    table = Table(show_header=False)
    for name, value in card_lines(summary).items():
        table.add_row(name, Text(value))
    return table


def card_lines(summary: Summary) -> dict[str, str]:
    """Write out what a summary's card says: value by name.

    Args:
        summary: any.
    """
    factors, card = summary.factors, summary.card
    cutter = summary.tokenizer
    lines = {
        "sequences x positions": f"{factors.num_sequences} x {factors.length}",
        "share of the events": f"{percent(share_of_events(summary))} of {card.num_events:,}",
        "targets": factors.kind,
        "rank": str(factors.decoder.shape[0]),
        "vocabulary": f"{factors.vocab_size:,} events" + ("" if cutter is None else f" (tokenizer {cutter.kind})"),
        "data": card.data,
        "model": in_words(card.model),
        "advice": f"Adam, {card.advice}",
    }
    if card.licence is not None:
        lines["licence of the data"] = card.licence
    if (measured := card.retention) is not None:
        kept = ", ".join(f"{name} {share:.1%}" for name, share in measured.kept.items())
        lines["kept"] = f"{kept} ({measured.seeds} of {measured.student})"
    return lines


def share_of_events(summary: Summary) -> float:
    """How many positions a summary has for each event that it was distilled from."""
    return summary.factors.num_sequences * summary.factors.length / summary.card.num_events


def percent(share: float) -> str:
    """A share in percent, with two digits at least where there is little of it."""
    return f"{100 * share:.1f} %" if share >= 0.01 else f"{100 * share:.2g} %"


def _cell(distribution: Tensor, summary: Summary, top: int) -> Text:
    lines = (f"{100 * probability:5.1f} % {title}" for title, probability in likeliest(distribution, summary, top))
    return Text("\n".join(lines))


def likeliest(distribution: Tensor, summary: Summary, top: int) -> list[tuple[str, float]]:
    """Find the likeliest events of a distribution.

    Args:
        distribution: ``(vocab,)``.
        summary: has their titles.
        top: how many, fewer where there are not as many.

    Returns:
        title and probability, the likeliest first.
    """
    found = distribution.topk(min(top, len(distribution)))
    return [(summary.title(event), value) for value, event in zip(*(part.tolist() for part in found), strict=True)]


def in_words(model: Mapping[str, object]) -> str:
    """A model's name and sizes as people read them."""
    sizes = ", ".join(f"{name} {value}" for name, value in model.items() if name != "name")
    return f"{model['name']}: {sizes}" if sizes else str(model["name"])
