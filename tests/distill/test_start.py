"""What a start is chosen from, and by."""

from importlib import import_module

import numpy as np
import pytest
import torch

from farzi.evaluation import NextItem
from farzi.events import EventData, Vocabulary
from farzi.models import SASRec
from farzi.summary import Teacher

VOCAB, LENGTH = 20, 4

start = import_module("farzi.distill.start")


@pytest.fixture
def task() -> NextItem:
    events = np.random.default_rng(0).integers(VOCAB, size=(40, LENGTH + 6)).astype(np.int32)
    offsets = np.arange(41, dtype=np.int64) * (LENGTH + 6)
    return NextItem(EventData("any", events.ravel(), offsets, Vocabulary(tuple(f"item{i}" for i in range(VOCAB)))))


@pytest.fixture
def teachers(task) -> tuple[Teacher]:
    model = SASRec(dim=8, max_length=LENGTH)
    return ((model, model.init(task.data.vocab_size, 0)),)


@pytest.mark.parametrize(("count", "places"), [(10, 100), (20, 160), (50, 300)])
@pytest.mark.parametrize("generated", [False, True])
def test_large_starts_are_chosen_from_more_by_more_places(task, teachers, monkeypatch, count, places, generated):
    for name, value in {"CANDIDATES": 60, "PLACES": 100, "MOST_PAIRS": 30_000}.items():
        monkeypatch.setattr(start, name, value)
    seen = []
    choose = start.representative

    def look(candidates, others, teacher, number):
        seen.append((candidates, others))
        return choose(candidates, others, teacher, number)

    monkeypatch.setattr(start, "representative", look)
    chosen = start.choose_start(task, teachers, count, LENGTH, generated=generated, seed=0)
    [(candidates, others)] = seen
    assert chosen.shape == (count, LENGTH + 1)
    assert len(candidates) == max(60, 2 * count)
    assert others.shape == (places // LENGTH, LENGTH + 1)
    drawn = task.draw(len(others) + len(candidates), LENGTH, 0)
    assert torch.equal(others, drawn[: len(others)])
    assert torch.equal(candidates[:, 0], drawn[len(others) :, 0])
    assert torch.equal(candidates, drawn[len(others) :]) is not generated


def test_without_teachers_sequences_are_drawn_at_random(task):
    assert torch.equal(start.choose_start(task, (), 5, LENGTH, generated=False, seed=3), task.draw(5, LENGTH, 3))
