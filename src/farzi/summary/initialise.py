"""Where synthetic sequences start: real events in, a teacher's expectations out."""

from collections.abc import Sequence

import torch
from torch import Tensor

from farzi.models import Parameters, SequenceModel, chunks, hidden_states, scores, softmax_cross_entropy
from farzi.summary.factors import Factors

Teacher = tuple[SequenceModel, Parameters]
"""A model and parameters trained on the full data."""

SHARPNESS = 0.95
"""Probability of the real event in an input; certain events would need infinite logits."""


def from_real(
    sequences: Tensor, vocab_size: int, teachers: Sequence[Teacher], *, kind: str, rank: int, seed: int = 0
) -> Factors:
    """Factorise real sequences, with teachers' mean predictions as targets.

    For ``free`` targets the inputs are the real events and the targets what the teachers expect next. For ``next`` one
    distribution has to serve as both: the normalised product of the two (docs/method.md, section 1). Without teachers
    the next real event takes their place.

    Args:
        sequences: real event ids, ``(sequences, length + 1)``, without padding.
        vocab_size: number of events in the vocabulary.
        teachers: models trained on the full data; may be empty.
        kind: ``free`` or ``next``.
        rank: of the factors.
        seed: of the random start of the factorisation.

    Returns:
        factors whose distributions are close to those wanted.

    Raises:
        ValueError: the kind is unknown.
    """
    if kind not in ("free", "next"):
        raise ValueError(f"targets is {kind!r}; it must be 'free' or 'next'")
    count, length = sequences.shape[0], sequences.shape[1] - 1
    events = _sharp(sequences, vocab_size)
    expected = expectations(sequences[:, :-1], teachers) if teachers else events[:, 1:]
    if kind == "free":
        inputs, targets = events[:, :-1], expected
        latents, decoder = factorise(torch.cat([inputs, targets]).flatten(0, 1), rank, seed=seed)
        both = latents.view(2, count, length, rank)
        return Factors(latents=both[0].clone(), decoder=decoder, targets=both[1].clone())
    mixed = events.clone()
    mixed[:, 1:] = (events[:, 1:].log() + expected.log()).softmax(-1) if teachers else events[:, 1:]
    latents, decoder = factorise(mixed.flatten(0, 1), rank, seed=seed)
    return Factors(latents=latents.view(count, length + 1, rank), decoder=decoder)


def _sharp(sequences: Tensor, vocab_size: int) -> Tensor:
    """Distributions with most of their weight on one event: ``(..., vocab)``."""
    rest = (1 - SHARPNESS) / (vocab_size - 1)
    distributions = torch.full((*sequences.shape, vocab_size), rest, device=sequences.device)
    return distributions.scatter_(-1, sequences[..., None], SHARPNESS)


def expectations(sequences: Tensor, teachers: Sequence[Teacher]) -> Tensor:
    """What teachers expect after each event of some sequences: the mean of their predictions.

    Args:
        sequences: event ids, ``(sequences, length)``.
        teachers: at least one model with its parameters.

    Returns:
        distributions, ``(sequences, length, vocab)``.
    """
    with torch.no_grad():
        read = [
            (hidden_states(model, parameters, sequences).flatten(0, 1), parameters) for model, parameters in teachers
        ]
        total = read[0][0].new_zeros(sequences.numel(), len(read[0][1]["embedding"]))
        for part in chunks(*total.shape):  # so that a teacher's predictions stay in cache
            for hidden, parameters in read:
                total[part] += scores(parameters, hidden[part]).softmax(-1)
            total[part] /= len(read)
    return total.view(*sequences.shape, -1)


def factorise(
    distributions: Tensor, rank: int, *, seed: int = 0, steps: int = 300, batch_rows: int = 1024
) -> tuple[Tensor, Tensor]:
    """Find latents and a decoder whose softmax comes closest to some distributions.

    A truncated singular value decomposition of the centred log-probabilities gives the start, Adam on the
    cross-entropy the rest.

    Args:
        distributions: ``(rows, vocab)``, positive.
        rank: of the factors.
        seed: of the order of rows.
        steps: of Adam.
        batch_rows: rows a step.

    Returns:
        latents ``(rows, rank)`` and decoder ``(rank, vocab)``.
    """
    generator = torch.Generator().manual_seed(seed)
    logits = distributions.clamp_min(torch.finfo(distributions.dtype).tiny).log()
    logits = logits - logits.mean(1, keepdim=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        left, values, right = torch.svd_lowrank(logits, min(rank, *logits.shape), niter=4)
    scale = values.sqrt()
    pad = rank - len(scale)
    latents = torch.nn.functional.pad(left * scale, (0, pad)).requires_grad_()
    decoder = torch.nn.functional.pad((right * scale).T, (0, 0, 0, pad)).contiguous().requires_grad_()
    optimizer = torch.optim.Adam([latents, decoder], lr=0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(len(latents), (batch_rows,), generator=generator).to(latents.device)
        loss = softmax_cross_entropy(latents[rows], decoder.T, distributions[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return latents.detach(), decoder.detach()
