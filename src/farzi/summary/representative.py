"""Which real sequences a summary starts from: those that stand for all others."""

import torch
from torch import Tensor

from farzi.models import Parameters, hidden_states, output_layer
from farzi.summary.initialise import Teacher

SEQUENCES_AT_ONCE = 256
"""Sequences that a teacher reads together."""

DISTANCES_AT_ONCE = 2**22
"""Most distances that are held together."""

FOR_MEDIAN = 1024
"""Places between which the usual distance is measured."""


def representative(candidates: Tensor, others: Tensor, teacher: Teacher, count: int) -> Tensor:
    """Choose sequences so that every place in the data has one of theirs near by.

    A place is what a teacher has read up to there. Two places are near where it expects much the same next: the squared
    distance ``d^2`` is the variance, over all events, of the difference of its scores. A place is served as well as
    ``exp(-d^2 / m^2)`` by the nearest that is chosen, ``m`` being the median distance. What adds most to the sum over
    all places is chosen, again and again: facility location, of which greedy choice reaches 63 % of the best at least
    (Nemhauser, Wolsey and Fisher, 1978).

    Args:
        candidates: event ids, ``(candidates, length + 1)``; the last event is no place, as nothing follows it.
        others: drawn from the same data, for whose places they are to stand, ``(others, length + 1)``.
        teacher: a model trained on the full data.
        count: how many to choose; at most as many as there are candidates.

    Returns:
        the chosen candidates, the most useful first, ``(count, length + 1)``.
    """
    read, offered = _read(teacher, others[:, :-1]).flatten(0, 1), _read(teacher, candidates[:, :-1])
    metric = _metric(teacher[1])
    near = _nearness(offered @ metric, read @ metric)
    reached, most, chosen = torch.zeros_like(near[0]), near.sum(1), list[int]()
    for _ in range(count):
        while True:  # what a candidate adds can only fall, so that most of them need not be looked at again
            best = int(most.argmax())
            most[best] = (near[best] - reached).clamp_min_(0).sum()
            if best == int(most.argmax()):
                break
        chosen.append(best)
        reached = torch.maximum(reached, near[best])
        most[best] = -1
    return candidates[torch.tensor(chosen).to(candidates.device)]


def _read(teacher: Teacher, inputs: Tensor) -> Tensor:
    """What a teacher has read up to each place, ``(sequences, length, dim)``."""
    model, parameters = teacher
    with torch.no_grad():
        return torch.cat([hidden_states(model, parameters, part) for part in inputs.split(SEQUENCES_AT_ONCE)])


def _metric(parameters: Parameters) -> Tensor:
    """A matrix after which the distance between two hidden states is the ordinary one, ``(dim, dim)``."""
    weight, _ = output_layer(parameters)
    values, vectors = torch.linalg.eigh(torch.cov(weight.T, correction=0))
    return vectors * values.clamp_min(0).sqrt()


def _nearness(offered: Tensor, places: Tensor) -> Tensor:
    """How near the nearest of a candidate's places is to each other one, ``(candidates, places)``."""
    together = max(1, DISTANCES_AT_ONCE // (len(places) * offered.shape[1]))
    parts = offered.split(together)
    distances = torch.cat(
        [torch.cdist(part.flatten(0, 1), places).unflatten(0, part.shape[:2]).amin(1) for part in parts]
    )
    some = places[:FOR_MEDIAN]
    usual = torch.cdist(some, some).median().clamp_min(torch.finfo(places.dtype).tiny)
    return (distances / usual).square_().neg_().exp_()
