"""The choice of sequences to start from, against one that looks at everything, and on groups that are known."""

from importlib import import_module

import pytest
import torch
from torch import Tensor

from farzi.models import SASRec, hidden_states, scores
from farzi.summary import Teacher, representative

VOCAB, LENGTH = 30, 4


def teacher(seed: int = 0) -> Teacher:
    model = SASRec(dim=8, max_length=LENGTH)
    generator = torch.Generator().manual_seed(seed)
    parameters = model.init(VOCAB, seed)
    return model, {name: part + 0.3 * torch.randn(part.shape, generator=generator) for name, part in parameters.items()}


def sequences(count: int, seed: int = 0) -> Tensor:
    return torch.randint(VOCAB, (count, LENGTH + 1), generator=torch.Generator().manual_seed(seed))


def by_scores(candidates: Tensor, others: Tensor, teacher: Teacher, count: int) -> list[int]:
    """The same choice from whole score vectors, every candidate looked at every time."""
    model, parameters = teacher
    asked, offered = (
        scores(parameters, hidden_states(model, parameters, part[:, :-1])) for part in (others, candidates)
    )
    places = asked.flatten(0, 1)
    usual = (places[:, None] - places).std(-1, correction=0).median()
    distances = (places[:, None, None] - offered).std(-1, correction=0).amin(2)  # (places, candidates)
    near = torch.exp(-((distances / usual) ** 2))
    chosen: list[int] = []
    for _ in range(count):
        worth = [
            -1.0 if one in chosen else float(near[:, [*chosen, one]].amax(1).sum()) for one in range(len(candidates))
        ]
        chosen.append(max(range(len(candidates)), key=worth.__getitem__))
    return chosen


@pytest.mark.parametrize("seed", range(3))
def test_chooses_what_adds_most_every_time(seed):
    model, parameters = teacher(seed)
    exact = model, {name: part.double() for name, part in parameters.items()}
    candidates, others = sequences(20, seed), sequences(15, seed + 10)
    found = representative(candidates, others, exact, 6)
    assert torch.equal(found, candidates[by_scores(candidates, others, exact, 6)])


def test_pieces_do_not_matter(monkeypatch):
    candidates, others = sequences(40), sequences(30, 1)
    whole = representative(candidates, others, teacher(), 10)
    for name in ("SEQUENCES_AT_ONCE", "DISTANCES_AT_ONCE"):
        monkeypatch.setattr(import_module("farzi.summary.representative"), name, 7)
    assert torch.equal(representative(candidates, others, teacher(), 10), whole)


def test_takes_one_of_each_group_before_a_second_of_any():
    """Four groups of sequences that repeat one event each, the first ten times as frequent as the others."""
    events = torch.tensor([3] * 50 + [9] * 5 + [14] * 5 + [21] * 5)
    drawn = events[:, None].expand(-1, LENGTH + 1)
    found = representative(drawn, drawn, teacher(), 4)
    assert sorted(found[:, 0].tolist()) == [3, 9, 14, 21]
    assert found[0, 0] == 3


def test_candidates_that_add_nothing_are_taken_once_each():
    same = sequences(1).expand(5, -1)
    assert representative(same, same, teacher(), 5).shape == (5, LENGTH + 1)
    others = sequences(6)
    found = representative(others, others, teacher(), 6)
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, others.tolist()))
