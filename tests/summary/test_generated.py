"""Sequences that teachers write, against what the teachers expect."""

from importlib import import_module

import torch

from farzi.models import GRU4Rec, SASRec
from farzi.summary import Teacher, expectations, generate

VOCAB, LENGTH = 12, 5


def teacher(model=SASRec(dim=8, max_length=LENGTH), seed: int = 0) -> Teacher:
    generator = torch.Generator().manual_seed(seed)
    parameters = model.init(VOCAB, seed)
    return model, {name: part + 0.6 * torch.randn(part.shape, generator=generator) for name, part in parameters.items()}


def test_events_are_as_frequent_as_the_teachers_together_expect():
    teachers, count = (teacher(), teacher(GRU4Rec(dim=8), 1)), 6000
    written = generate(torch.full((count,), 3), LENGTH, teachers, seed=0)
    assert written.shape == (count, LENGTH + 1)
    for at in range(LENGTH):
        expected = expectations(written[:, :-1], teachers)[:, at]
        found = torch.nn.functional.one_hot(written[:, at + 1], VOCAB).double()
        spread = (expected * (1 - expected)).sum(0).sqrt()
        assert ((found - expected).sum(0).abs() < 4.5 * spread).all()
    assert expectations(written[:, :-1], teachers)[:, -1].std(0).max() > 0.01  # what came before matters


def test_draws_hang_on_the_seed_and_on_nothing_else():
    torch.manual_seed(0)
    first = torch.arange(VOCAB).repeat(20)
    written = generate(first, LENGTH, [teacher()], seed=1)
    torch.manual_seed(1)
    assert torch.equal(written[:, 0], first)
    assert torch.equal(written, generate(first, LENGTH, [teacher()], seed=1))
    assert not torch.equal(written, generate(first, LENGTH, [teacher()], seed=2))


def test_any_number_of_sequences_is_written_together(monkeypatch):
    """More than one piece, and the last of another size: where a teacher is sure, chance tells no difference."""
    model, parameters = teacher()
    parameters["embedding"] = 400 * torch.nn.functional.normalize(parameters["embedding"])
    first = torch.arange(20) % VOCAB
    whole = generate(first, LENGTH, [(model, parameters)], seed=0)
    monkeypatch.setattr(import_module("farzi.summary.generated"), "SEQUENCES_AT_ONCE", 7)
    assert torch.equal(generate(first, LENGTH, [(model, parameters)], seed=1), whole)
    assert len(whole[:, 1:].unique()) > 1
