"""Fitting: the best step is kept, not the last; the seed decides everything; patience ends it."""

import math
from dataclasses import replace

import pytest
import torch

from farzi.errors import InputError
from farzi.events import Vocabulary
from farzi.models import Batch, Parameters, SASRec, sequence_loss
from farzi.summary import Advice, Card, Factors, Summary
from farzi.training import TensorSequences, Training, as_training_set, fit
from farzi.training import sets as training_sets

MODEL = SASRec(dim=8, blocks=1, max_length=6)
VOCAB = 5
CYCLE = (torch.arange(4)[:, None] + torch.arange(7)) % VOCAB
DATA = TensorSequences(inputs=CYCLE[:, :-1], targets=CYCLE[:, 1:], vocab_size=VOCAB)


class Looks:
    """Scores read off a list, and a copy of the parameters at every look."""

    def __init__(self, *scores: float) -> None:
        self.scores, self.seen = scores, list[tuple[int, Parameters]]()

    def score(self, parameters: Parameters) -> float:
        assert not any(part.requires_grad for part in parameters.values())
        return self.scores[len(self.seen)]

    def observe(self, step: int, parameters: Parameters, score: float) -> None:
        assert score == self.scores[len(self.seen)]
        self.seen.append((step, {name: part.clone() for name, part in parameters.items()}))


def run(looks: Looks, seed: int = 0, **settings):
    settings = {"lr": 0.01, "batch_size": 2, "evaluate_every": 3, "steps": 18, "patience": 99, **settings}
    return fit(MODEL, DATA, Training(**settings), looks.score, seed=seed, observe=looks.observe)


def same(one: Parameters, other: Parameters) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_best_step_is_kept_not_the_last():
    looks = Looks(0.1, 0.3, 0.9, 0.4, 0.5, 0.2)
    fitted = run(looks)
    assert (fitted.steps, fitted.score) == (9, 0.9)
    assert fitted.curve == ((3, 0.1), (6, 0.3), (9, 0.9), (12, 0.4), (15, 0.5), (18, 0.2))
    assert same(fitted.parameters, looks.seen[2][1])
    assert not same(fitted.parameters, looks.seen[-1][1])
    assert not any(part.requires_grad for part in fitted.parameters.values())


def test_without_a_number_of_steps_there_is_a_look_after_each_pass():
    looks = Looks(0.1, 0.2, 0.3)
    fitted = run(looks, steps=6, evaluate_every=0, batch_size=len(CYCLE) // 2)
    assert [step for step, _ in fitted.curve] == [2, 4, 6]


def test_of_equal_scores_the_first_is_kept():
    assert run(Looks(0.5, 0.5, 0.5, 0.5, 0.5, 0.5)).steps == 3


@pytest.mark.parametrize(("patience", "last"), [(1, 9), (2, 12), (3, 18)])
def test_patience_ends_training(patience, last):
    looks = Looks(0.1, 0.5, 0.2, 0.3, 0.6, 0.1)
    fitted = run(looks, patience=patience)
    assert fitted.curve[-1][0] == last
    assert fitted.steps == (15 if patience == 3 else 6)


def test_the_last_step_is_looked_at():
    fitted = run(Looks(0.1, 0.2, 0.3), steps=8)
    assert [step for step, _ in fitted.curve] == [3, 6, 8]
    assert fitted.steps == 8


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_seed_decides_everything(dropout):
    results = []
    for seed, surroundings in [(4, 0), (4, 1), (5, 0)]:
        torch.manual_seed(surroundings)
        before = torch.get_rng_state()
        results.append(run(Looks(1, 2, 3, 4, 5, 6), seed=seed, dropout=dropout).parameters)
        assert torch.equal(torch.get_rng_state(), before), "the caller's random state is left alone"
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_one_step_is_adam_on_one_scheduled_batch():
    looks = Looks(1.0)
    fitted = run(looks, steps=1, evaluate_every=1, seed=7)
    parameters = {name: part.requires_grad_() for name, part in MODEL.init(VOCAB, 7).items()}
    batch = next(DATA.batches(2, torch.Generator().manual_seed(7)))
    optimizer = torch.optim.Adam(parameters.values(), lr=0.01)
    sequence_loss(MODEL, parameters, batch).backward()
    optimizer.step()
    for name, part in parameters.items():
        torch.testing.assert_close(fitted.parameters[name], part.detach())


def test_another_loss_is_lowered_with_its_own_chance_and_the_rate_of_dropout():
    seen = []

    def noisy(model, parameters, batch, rate):
        seen.append((model, batch.inputs.shape, rate, float(torch.rand(()))))
        return parameters["embedding"].square().sum()

    first, second = (
        fit(MODEL, DATA, Training(steps=40, lr=0.02, batch_size=2, dropout=0.1), loss=noisy, seed=3) for _ in range(2)
    )
    assert seen[:40] == seen[40:], "the seed decides what the loss draws"
    assert seen[0][:3] == (MODEL, (2, 6), 0.1)
    assert len({chance for *_, chance in seen[:40]}) == 40
    assert same(first.parameters, second.parameters)
    assert first.parameters["embedding"].abs().max() < 0.5 * MODEL.init(VOCAB, 3)["embedding"].abs().max()


def test_weight_decay_dropout_and_crop_reach_the_training():
    plain = run(Looks(*range(6))).parameters
    assert not same(plain, run(Looks(*range(6)), weight_decay=0.1).parameters)
    assert not same(plain, run(Looks(*range(6)), crop=0.9).parameters)
    assert not same(plain, run(Looks(*range(6)), dropout=0.1).parameters)


def test_the_learning_rate_falls_over_the_last_steps():
    training = Training(lr=0.5, steps=10, decay=0.4)
    assert [training.lr_at(step) for step in range(1, 11)] == pytest.approx([0.5] * 7 + [0.375, 0.25, 0.125])
    assert {Training(lr=0.5, steps=10).lr_at(step) for step in range(1, 11)} == {0.5}
    assert training.decay_within(10) == pytest.approx(0.4)
    assert training.decay_within(6) == Training(steps=10).decay_within(7) == 0
    plain, fallen = (run(Looks(*range(9)), steps=9, decay=decay).parameters for decay in (0.0, 0.1))
    assert same(plain, fallen), "the last step of ten percent of nine still has the whole rate"
    assert not same(plain, run(Looks(*range(9)), steps=9, decay=0.4).parameters)


@pytest.mark.parametrize("decay", [0.3, 1.0])
@pytest.mark.parametrize("steps", [400, 900, 1000])
def test_what_ends_sooner_is_advised_with_the_rate_it_had_on_average(decay, steps):
    whole = Training(steps=1000, decay=decay)
    short = Training(steps=steps, decay=whole.decay_within(steps))
    rates = (sum(training.lr_at(step) for step in range(1, steps + 1)) for training in (whole, short))
    assert next(rates) == pytest.approx(next(rates), abs=whole.lr)


def test_learns_a_cycle_from_hard_and_soft_sequences():
    """Without learning the loss stays at log 5 = 1.61."""
    soft = torch.nn.functional.one_hot(CYCLE, VOCAB).float()
    whole = Batch(CYCLE[:, :-1], CYCLE[:, 1:])
    for data in (DATA, TensorSequences(inputs=soft[:, :-1], targets=soft[:, 1:], vocab_size=VOCAB)):
        training = Training(lr=0.02, steps=100, batch_size=4, evaluate_every=25)
        fitted = fit(MODEL, data, training, lambda p: -sequence_loss(MODEL, p, whole).item())
        assert fitted.score > -0.1
        assert fitted.curve[0][1] < fitted.curve[-1][1]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lr", 0.0),
        ("steps", 0),
        ("batch_size", -1),
        ("evaluate_every", -1),
        ("patience", 0),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("crop", 1.0),
        ("crop", -0.1),
        ("weight_decay", -1.0),
        ("decay", -0.5),
        ("decay", 1.5),
    ],
)
def test_values_out_of_range_are_named(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        Training(**{field: value})


def test_without_a_score_all_steps_are_taken_and_the_last_is_kept():
    training = Training(lr=0.01, batch_size=2, steps=7, evaluate_every=3, patience=1)
    fitted = fit(MODEL, DATA, training, seed=2)
    assert (fitted.steps, len(fitted.curve)) == (7, 1)
    assert math.isnan(fitted.score)
    assert same(fitted.parameters, run(Looks(*range(9)), seed=2, steps=7).parameters)


def test_a_summary_says_how_to_train_on_it():
    advice = Advice(lr=0.02, batch_size=3, steps=5, decay=0.6, weight_decay=2.0, crop=0.5)
    factors = Factors(latents=torch.randn(4, 6, 3), decoder=torch.randn(3, VOCAB), targets=torch.randn(4, 6, 3))
    vocabulary = Vocabulary(tuple("abcde"))
    card = Card(data="cycle", data_fingerprint="", num_events=28, model={"name": "sasrec"}, advice=advice)
    summary = Summary(factors=factors, vocabulary=vocabulary, card=card)
    fitted = fit(replace(MODEL, max_length=MODEL.max_length + 3), summary, seed=1)
    assert fitted.model == MODEL
    assert fitted.steps == 5
    training = Training(lr=0.02, batch_size=3, steps=5, decay=0.6, weight_decay=2.0, crop=0.5)
    expected = fit(MODEL, as_training_set(factors), training, seed=1)
    assert same(fitted.parameters, expected.parameters)
    with pytest.raises(InputError, match="6 positions, but the model reads 5"):
        fit(SASRec(dim=8, max_length=5), summary)


def test_training_goes_on_from_other_parameters_and_leaves_them_alone():
    start = MODEL.init(VOCAB, 9)
    before = {name: part.clone() for name, part in start.items()}
    training = Training(lr=1e-9, batch_size=2, steps=1)
    fitted = fit(MODEL, DATA, training, start=start)
    live = {name: part.clone().requires_grad_() * 1 for name, part in start.items()}
    assert same(fit(MODEL, DATA, training, start=live).parameters, fitted.parameters), "wherever they come from"
    assert same(start, before)
    assert not any(part.requires_grad for part in start.values())
    for name, part in before.items():
        torch.testing.assert_close(fitted.parameters[name], part, rtol=0, atol=1e-8)
    soft = torch.nn.functional.one_hot(CYCLE[:, :4], VOCAB).float()
    factors = Factors(latents=soft, decoder=torch.eye(VOCAB), targets=soft)
    card = Card(
        data="c",
        data_fingerprint="",
        num_events=28,
        model={"name": "sasrec"},
        advice=Advice(lr=1, batch_size=2, steps=3),
    )
    summary = Summary(factors=factors, vocabulary=Vocabulary(tuple("abcde")), card=card)
    assert fit(MODEL, summary, training).model.max_length == 4
    assert fit(MODEL, summary, training, start=start).model.max_length == 6, "what it has learned of positions stays"


def test_a_start_of_another_model_or_of_other_events_is_refused():
    training = Training(steps=1)
    with pytest.raises(InputError, match=r"embedding is \(4, 8\), but in this model is \(5, 8\)"):
        fit(MODEL, DATA, training, start=MODEL.init(VOCAB - 1, 0))
    more = MODEL.init(VOCAB, 0) | {"bias": torch.zeros(3)}
    with pytest.raises(InputError, match=r"bias is \(3,\), but in this model is not there"):
        fit(MODEL, DATA, training, start=more)
    with pytest.raises(InputError, match=r"embedding is not there, but in this model is \(5, 8\)"):
        fit(MODEL, DATA, training, start={"bias": torch.zeros(3)})


@pytest.mark.parametrize("kind", ["free", "next"])
def test_a_large_summary_is_trained_on_in_factors_and_to_the_same_parameters(kind, monkeypatch):
    torch.manual_seed(0)
    targets = torch.randn(4, 5, 3) if kind == "free" else None
    factors = Factors(
        latents=torch.randn(4, 5 + (kind == "next"), 3), decoder=torch.randn(3, VOCAB), targets=targets, temperature=0.5
    )
    training = Training(lr=0.02, batch_size=3, steps=4)
    wanted = fit(MODEL, as_training_set(factors), training)
    monkeypatch.setattr(training_sets, "MOST_DECODED_BYTES", 0)
    monkeypatch.setattr(Factors, "decode", None)
    data = as_training_set(factors)
    assert (data.vocab_size, data.device) == (VOCAB, torch.device("cpu"))
    torch.testing.assert_close(fit(MODEL, data, training).parameters, wanted.parameters, rtol=1e-4, atol=1e-5)
