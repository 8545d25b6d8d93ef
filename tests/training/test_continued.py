"""Sequences of a summary that models trained on it continue for others."""

import itertools
import math
from dataclasses import replace
from itertools import islice

import pytest
import torch
from torch.nn import functional

from farzi.errors import InputError
from farzi.events import Vocabulary
from farzi.models import GRU4Rec, SASRec, describe_model
from farzi.summary import Advice, Card, Factors, Summary, draw_events, expectations
from farzi.training import (
    EVENTS_AWAY,
    ContinuedSequences,
    Training,
    advised,
    as_training_set,
    fit,
    with_assistants,
)

VOCAB, LENGTH = 6, 3
MODEL = SASRec(dim=8, max_length=5)


def certain(events: torch.Tensor) -> torch.Tensor:
    """Latents of distributions that are nearly certain, where the decoder is the identity."""
    return 20 * functional.one_hot(events, VOCAB).float()


@pytest.fixture(scope="module")
def summary() -> Summary:
    """Sequences that count up, round and round."""
    inputs = (torch.arange(VOCAB)[:, None] + torch.arange(LENGTH)) % VOCAB
    factors = Factors(latents=certain(inputs), decoder=torch.eye(VOCAB), targets=certain((inputs + 1) % VOCAB))
    card = Card(
        data="round",
        data_fingerprint="0" * 64,
        num_events=99,
        model=describe_model(MODEL),
        advice=Advice(lr=0.03, batch_size=3, steps=150),
        origin={},
    )
    return Summary(factors=factors, vocabulary=Vocabulary(tuple("abcdef")), card=card)


@pytest.fixture(scope="module")
def continued(summary) -> ContinuedSequences:
    return with_assistants(summary, 2)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_assistants_are_trained_on_the_summary_as_its_card_advises(summary, continued):
    assert [model.max_length for model, _ in continued.assistants] == [LENGTH, LENGTH]
    for seed, (_, parameters) in enumerate(continued.assistants):
        fitted = fit(MODEL, summary, advised(summary), seed=seed)
        assert all(torch.equal(fitted.parameters[name], part) for name, part in parameters.items())


class Zeros:
    """Expects event 0, whatever it reads."""

    name, max_length = "zeros", LENGTH

    def hidden(self, parameters, embeddings, padding=None, rate=0.0):
        return torch.zeros_like(embeddings) + parameters["embedding"][0]


def test_sequences_begin_as_the_summary_has_them_move_on_and_begin_again(summary):
    zeros = ContinuedSequences(factors=summary.factors, assistants=((Zeros(), {"embedding": 9 * torch.eye(VOCAB)}),))
    own = [tuple(row) for row in summary.factors.decode().inputs.argmax(-1).tolist()]
    passes = [list(map(tuple, batch.inputs.tolist())) for batch in islice(zeros.batches(VOCAB, seeded(0)), 400)]
    assert sorted(passes[0]) == sorted(own)
    for before, after in itertools.pairwise(passes):
        moved = [(*row[1:], 0) for row in before]
        assert all(row in own or row in moved for row in after)
    begun = sum(row in own for rows in passes[10:] for row in rows) / (390 * VOCAB)
    assert begun == pytest.approx(1 / EVENTS_AWAY, rel=0.35), "as often as they are continued by EVENTS_AWAY events"


def test_what_follows_is_what_the_assistants_expect(continued):
    for batch in islice(continued.batches(VOCAB, seeded(0)), 1 + EVENTS_AWAY):
        steps = batch.inputs.diff(dim=1) % VOCAB
        assert float((steps == 1).float().mean()) > 0.8, "they have learned to count"


def test_targets_are_what_the_assistants_expect(continued):
    for inputs, targets in islice(continued.batches(4, seeded(1)), 5):
        torch.testing.assert_close(targets, expectations(inputs, continued.assistants))
        torch.testing.assert_close(targets.sum(-1), torch.ones(4, LENGTH))


def test_chance_comes_from_the_generator_alone(continued):
    one, same, other = (list(islice(continued.batches(4, seeded(seed)), 40)) for seed in (2, 2, 3))
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(one, same, strict=True))
    assert not all(torch.equal(a.inputs, b.inputs) for a, b in zip(one, other, strict=True))


def test_it_is_known_by_its_factors_and_its_assistants(summary, continued):
    assert continued.identity == with_assistants(summary, 2).identity
    one = replace(continued, assistants=continued.assistants[:1])
    assert one.identity != continued.identity
    assert one.identity != as_training_set(summary.factors).identity


def test_a_model_of_another_kind_learns_from_it(summary, continued):
    model = GRU4Rec(dim=8, width=8, max_length=LENGTH)
    fitted = fit(model, continued, Training(lr=0.03, steps=200, batch_size=3))
    inputs = (torch.arange(VOCAB)[:, None] + torch.arange(LENGTH)) % VOCAB
    found = expectations(inputs, [(model, fitted.parameters)]).argmax(-1)
    assert torch.equal(found, (inputs + 1) % VOCAB)


def test_no_assistants_are_refused(summary):
    with pytest.raises(InputError, match="assistants is 0; it must be at least 1"):
        with_assistants(summary, 0)


def test_events_are_drawn_as_often_as_they_are_likely():
    wanted = torch.tensor([0.5, 0.0, 0.3, 0.2])
    drawn = draw_events(wanted.expand(20_000, 4), seeded(4))
    shares = torch.bincount(drawn, minlength=4) / len(drawn)
    assert float((shares - wanted).abs().max()) < 4 * math.sqrt(0.25 / len(drawn))
    assert shares[1] == 0
