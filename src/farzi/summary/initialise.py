"""Where synthetic sequences start: real events in, a teacher's expectations out."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from farzi.devices import seeded
from farzi.models import (
    Parameters,
    SequenceModel,
    chunks,
    expected,
    hidden_states,
    scores,
    softmax_cross_entropy,
)
from farzi.summary.closest import closest_latents
from farzi.summary.factors import Factors

Teacher = tuple[SequenceModel, Parameters]
"""A model and parameters trained on the full data."""

START_ROWS = 4096
"""Most distributions that the start of a decoder is taken from; they are held together."""

START_STEPS = 300
"""Steps of the search for a decoder."""


class Distributions(Protocol):
    """Rows of probabilities, a tensor or something that makes them when asked for: few of many are held at a time."""

    @property
    def device(self) -> torch.device:
        """Where they are."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor | slice, /) -> Tensor:
        """Some rows, ``(rows, vocab)``."""
        ...


class _Certain:
    """Distributions with most of their weight on one event each.

    Args:
        events: ids, ``(rows,)``.
        vocab_size: number of events in the vocabulary.
        sharpness: that weight.
    """

    def __init__(self, events: Tensor, vocab_size: int, sharpness: float) -> None:
        self._events, self._vocab_size, self._sharpness = events, vocab_size, sharpness
        self.device = events.device

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, rows: Tensor | slice, /) -> Tensor:
        events = self._events[rows]
        rest = (1 - self._sharpness) / (self._vocab_size - 1)
        distributions = torch.full((len(events), self._vocab_size), rest, device=events.device)
        return distributions.scatter_(1, events[:, None], self._sharpness)


class _Expectations:
    """What teachers expect after each event of some sequences: the mean of their predictions.

    Args:
        hidden: what each teacher has read, ``(rows, dim)``.
        parameters: of each teacher.
    """

    def __init__(self, hidden: Sequence[Tensor], parameters: Sequence[Parameters]) -> None:
        self._teachers = tuple(zip(hidden, parameters, strict=True))
        self.device = hidden[0].device

    def __len__(self) -> int:
        return len(self._teachers[0][0])

    def __getitem__(self, rows: Tensor | slice, /) -> Tensor:
        first, *others = (scores(parameters, hidden[rows]).softmax(-1) for hidden, parameters in self._teachers)
        for other in others:
            first += other
        return first.div_(len(self._teachers))


def from_real(
    sequences: Tensor,
    vocab_size: int,
    teachers: Sequence[Teacher],
    *,
    kind: str,
    rank: int,
    seed: int = 0,
    steps: int = START_STEPS,
    sharpness: float = 0.95,
    event_share: float = 0.0,
) -> Factors:
    """Factorise real sequences, with teachers' mean predictions as targets.

    The decoder is learned from what the teachers expect, which a low rank holds nearly exactly. The real events have to
    do with that decoder: learned from both, it would serve them at the cost of the targets. What they come out as is
    what a model will read, so the targets are what the teachers expect after reading the same. Without teachers
    the next real event takes their place.

    For ``next`` targets one distribution has to serve as both. Only the first position, which is no target, is a real
    event; each other one is what the teachers expect after those before it, with a share of the real event
    (docs/method.md, section 1).

    Args:
        sequences: real event ids, ``(sequences, length + 1)``, without padding.
        vocab_size: number of events in the vocabulary.
        teachers: models trained on the full data; may be empty.
        kind: ``free`` or ``next``.
        rank: of the factors.
        seed: of the random start of the factorisation.
        steps: of the search for the decoder.
        sharpness: probability of a real event where it stands, as far as the factors can hold it; certainty, 1, would
            need infinite logits.
        event_share: of the real event in later positions for ``next``, where there are teachers.

    Returns:
        factors whose distributions are close to those wanted.

    Raises:
        ValueError: the kind is unknown.
    """
    if kind not in ("free", "next"):
        raise ValueError(f"targets is {kind!r}; it must be 'free' or 'next'")
    count, length = sequences.shape[0], sequences.shape[1] - 1
    inputs = sequences[:, :-1]
    expects = (
        _expectations(teachers, inputs) if teachers else _Certain(sequences[:, 1:].flatten(), vocab_size, sharpness)
    )
    targets, decoder = factorise(expects, rank, seed=seed, steps=steps)
    targets = targets.view(count, length, rank)
    if kind == "next" and teachers:
        first = _of_events(sequences[:, :1], decoder, sharpness)
        latents = _continued(first, targets, teachers, decoder, sequences[:, 1:], event_share)
        return Factors(latents=latents, decoder=decoder)
    if kind == "next":
        return Factors(latents=_of_events(sequences, decoder, sharpness), decoder=decoder)
    latents = _of_events(inputs, decoder, sharpness)
    if teachers:
        expects = _expectations(teachers, latents, decoder)
        targets = _latents(expects, decoder, targets.flatten(0, 1)).view_as(latents)
    return Factors(latents=latents, decoder=decoder, targets=targets)


def expectations(sequences: Tensor, teachers: Sequence[Teacher]) -> Tensor:
    """What teachers expect after each event of some sequences: the mean of their predictions.

    Args:
        sequences: event ids, ``(sequences, length)``.
        teachers: at least one model with its parameters.

    Returns:
        distributions, ``(sequences, length, vocab)``.
    """
    rows = _expectations(teachers, sequences)
    vocab_size = len(teachers[0][1]["embedding"])
    total = torch.empty(len(rows), vocab_size, device=sequences.device)
    for part in chunks(len(rows), vocab_size):
        total[part] = rows[part]
    return total.view(*sequences.shape, vocab_size)


def _expectations(
    teachers: Sequence[Teacher], inputs: Tensor, decoder: Tensor | None = None, *, position: int | None = None
) -> _Expectations:
    """Let teachers read events ``(sequences, length)``, or latents ``(sequences, length, rank)`` with their decoder.

    What they expect after each event, or after those at one position.
    """
    hidden: list[Tensor] = []
    with torch.no_grad():
        for model, parameters in teachers:
            if decoder is None:
                read = hidden_states(model, parameters, inputs)
            else:
                read = model.hidden(parameters, expected(inputs, decoder, parameters["embedding"]), None, 0.0)
            hidden.append(read.flatten(0, 1) if position is None else read[:, position])
    return _Expectations(hidden, [parameters for _, parameters in teachers])


def factorise(
    distributions: Distributions, rank: int, *, seed: int = 0, steps: int = START_STEPS, batch_rows: int = 1024
) -> tuple[Tensor, Tensor]:
    """Find latents and a decoder whose softmax comes closest to some distributions.

    A truncated singular value decomposition of the centred log-probabilities of some rows gives the start, Adam on the
    cross-entropy the rest.

    Args:
        distributions: ``(rows, vocab)``, positive.
        rank: of the factors.
        seed: of the rows that are drawn.
        steps: of Adam.
        batch_rows: rows a step.

    Returns:
        latents ``(rows, rank)`` and decoder ``(rank, vocab)``.
    """
    generator = torch.Generator().manual_seed(seed)
    count = len(distributions)
    first = torch.randperm(count, generator=generator)[:START_ROWS].to(distributions.device)
    some = _logits(distributions[first])
    with seeded(seed, some.device):
        _, values, right = torch.svd_lowrank(some, min(rank, *some.shape), niter=4)
    scale = values.clamp_min(torch.finfo(values.dtype).eps).sqrt()
    pad = rank - len(scale)
    projected = [_logits(distributions[part]) @ (right / scale) for part in chunks(count, some.shape[1])]
    latents = torch.nn.functional.pad(torch.cat(projected), (0, pad)).requires_grad_()
    decoder = torch.nn.functional.pad((right * scale).T, (0, 0, 0, pad)).contiguous().requires_grad_()

    def loss() -> Tensor:
        rows = torch.randint(count, (batch_rows,), generator=generator).to(latents.device)
        return softmax_cross_entropy(latents[rows], decoder.T, distributions[rows])

    _descend([latents, decoder], loss, lr=0.03, steps=steps)
    return latents.detach(), decoder.detach()


def _latents(distributions: Distributions, decoder: Tensor, start: Tensor) -> Tensor:
    """The latents that come closest to some distributions, given the decoder."""
    return closest_latents(_means(distributions, decoder), decoder, start)


def _means(distributions: Distributions, decoder: Tensor) -> Tensor:
    """Of the decoder's columns under each distribution, ``(rows, rank)``."""
    columns = decoder.T.contiguous()
    return torch.cat([distributions[part] @ columns for part in chunks(len(distributions), len(columns))])


def _of_events(events: Tensor, decoder: Tensor, sharpness: float) -> Tensor:
    """Latents of real events, ``(sequences, length)``; each is looked for once, however often it occurs."""
    once, places = events.unique(return_inverse=True)
    return _latents(_Certain(once, decoder.shape[1], sharpness), decoder, decoder.T[once])[places]


def _continued(
    first: Tensor,
    later: Tensor,
    teachers: Sequence[Teacher],
    decoder: Tensor,
    events: Tensor,
    event_share: float,
) -> Tensor:
    """Let teachers go on from a first position, reading what they expected so far, mixed with events.

    Args:
        first: latents, ``(sequences, 1, rank)``.
        later: latents to begin the search at, for each position after it, ``(sequences, length, rank)``.
        teachers: whose expectations are followed.
        decoder: of the latents.
        events: for each position after the first, ``(sequences, length)``.
        event_share: of such an event, the rest being what is expected.

    Returns:
        latents of all positions, ``(sequences, length + 1, rank)``.
    """
    latents = torch.cat([first, later], 1)
    for at in range(later.shape[1]):  # the whole is read each time, as a model may count positions from the end
        expects = _expectations(teachers, latents[:, :-1], decoder, position=at)
        means = (1 - event_share) * _means(expects, decoder) + event_share * decoder.T[events[:, at]]
        latents[:, at + 1] = closest_latents(means, decoder, later[:, at])
    return latents


def _logits(distributions: Tensor) -> Tensor:
    """Log-probabilities, centred."""
    logits = distributions.clamp_min(torch.finfo(distributions.dtype).tiny).log()
    return logits - logits.mean(1, keepdim=True)


def _descend(parameters: list[Tensor], loss: Callable[[], Tensor], *, lr: float, steps: int) -> None:
    """Adam with a step size that falls to nothing along a cosine."""
    optimizer = torch.optim.Adam(parameters, lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        schedule.step()
