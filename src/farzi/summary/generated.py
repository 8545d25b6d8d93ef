"""Sequences that teachers write, to start from in the place of real ones."""

from collections.abc import Sequence

import torch
from torch import Tensor

from farzi.models import chunks, hidden_states, scores
from farzi.summary.initialise import Teacher

SEQUENCES_AT_ONCE = 256
"""Sequences that are written together."""


def generate(first: Tensor, length: int, teachers: Sequence[Teacher], *, seed: int) -> Tensor:
    """Write sequences event by event, each drawn from the mean of what the teachers expect after those before it.

    Args:
        first: the events that they begin with, ids ``(sequences,)``.
        length: how many events follow; at most as many as the teachers read.
        teachers: at least one.
        seed: of the draws.

    Returns:
        event ids, ``(sequences, length + 1)``.
    """
    generator = torch.Generator().manual_seed(seed)
    written = torch.cat([first[:, None], first.new_zeros(len(first), length)], 1)
    with torch.no_grad():
        for some in written.split(SEQUENCES_AT_ONCE):  # views: what is drawn stands in the whole
            for at in range(length):
                some[:, at + 1] = _draw(some[:, :-1], at, teachers, generator)
    return written


def _draw(inputs: Tensor, at: int, teachers: Sequence[Teacher], generator: torch.Generator) -> Tensor:
    """The event that follows the one at a place, ``(sequences,)``.

    All inputs are read, whatever stands after that place, as a model may count positions from the end.
    """
    read = [(parameters, hidden_states(model, parameters, inputs)[:, at]) for model, parameters in teachers]
    drawn = list[Tensor]()
    for rows in chunks(len(inputs), len(teachers[0][1]["embedding"])):
        expected = torch.stack([scores(parameters, hidden[rows]).softmax(-1) for parameters, hidden in read]).mean(0)
        drawn.append(draw_events(expected, generator))
    return torch.cat(drawn)


def draw_events(distributions: Tensor, generator: torch.Generator) -> Tensor:
    """Draw an event from each distribution, the same ones on any device.

    Args:
        distributions: ``(rows, vocab)``.
        generator: source of randomness, of the CPU.

    Returns:
        event ids, ``(rows,)``.
    """
    until = distributions.cumsum(-1)
    chance = torch.rand(len(until), 1, generator=generator).to(until.device)
    return torch.searchsorted(until, chance * until[:, -1:], right=True).clamp_max(until.shape[1] - 1)[:, 0]
