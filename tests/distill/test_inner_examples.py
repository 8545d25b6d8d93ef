"""What inner steps see of a summary: decoded, in factors or of some events only, in float64."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from farzi.distill import MetaMatching, Problem, Size, distill, meta_matching
from farzi.distill.examples import InFactors, InnerLoss
from farzi.errors import InputError
from farzi.evaluation import NextItem
from farzi.events import EventData, Vocabulary
from farzi.metagrad import CompileError, InnerRun, Layout, State
from farzi.models import Parameters, Transformer
from farzi.summary import Factors
from farzi.training import TrajectoryStore

VOCAB, LENGTH, COUNT, RANK = 12, 5, 4, 3
close = {"rtol": 1e-9, "atol": 1e-12}
kinds = pytest.mark.parametrize("kind", ["free", "next"])


@dataclass(frozen=True, kw_only=True)
class Double(Transformer):
    """In float64, from parameters at which attention attends."""

    def init(self, vocab_size: int, seed: int) -> Parameters:
        return {name: 3 * part.double() for name, part in super().init(vocab_size, seed).items()}


MODEL = Double(dim=4, blocks=1, heads=1, max_length=LENGTH)


def data() -> EventData:
    events = np.random.default_rng(0).integers(VOCAB, size=20 * 9).astype(np.int32)
    vocabulary = Vocabulary(tuple(f"item{i}" for i in range(VOCAB)))
    return EventData("random", events, np.arange(21, dtype=np.int64) * 9, vocabulary)


def factors(kind: str) -> Factors:
    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    generator = torch.Generator().manual_seed(0)
    targets = normal(COUNT, LENGTH, RANK) if kind == "free" else None
    latents = normal(COUNT, LENGTH + (kind == "next"), RANK)
    return Factors(latents=latents, decoder=normal(RANK, VOCAB), targets=targets, temperature=0.8)


def outer_gradient(objective: MetaMatching, kind: str):
    problem = Problem(MODEL, NextItem(data()).real(MODEL))
    return objective.gradient(problem, factors(kind), 0.05, {}, torch.Generator().manual_seed(3))


def assert_same(found, wanted) -> None:
    assert found.value == pytest.approx(wanted.value, rel=1e-12)
    assert found.log_lr == pytest.approx(wanted.log_lr, rel=1e-9)
    torch.testing.assert_close(found.factors, wanted.factors, **close)
    torch.testing.assert_close(found.carry, wanted.carry, **close)


@kinds
def test_a_large_summary_stays_in_factors_and_has_the_same_gradient(kind, monkeypatch):
    objective = MetaMatching(window=3, steps=6, batch_size=2, real_positions=16 * LENGTH)
    decoded = outer_gradient(objective, kind)
    monkeypatch.setattr(meta_matching, "MOST_DECODED_BYTES", 0)
    monkeypatch.setattr(Factors, "decode", None)
    assert_same(outer_gradient(objective, kind), decoded)


@kinds
def test_a_sample_of_all_events_is_no_sample(kind):
    """Dealt out in an order of its own, which must not matter."""
    settings = {"window": 3, "steps": 3, "batch_size": COUNT, "real_positions": 16 * LENGTH}
    # The same start and schedule, though the dealer draws from the generator first.
    dealer, other = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    torch.randperm(VOCAB, generator=other)
    problem = Problem(MODEL, NextItem(data()).real(MODEL))
    sampled, full = (
        MetaMatching(**settings, sampled_events=events).gradient(problem, factors(kind), 0.05, {}, generator)
        for events, generator in ((VOCAB, dealer), (0, other))
    )
    assert_same(sampled, full)


@kinds
@pytest.mark.parametrize("outputs", ["tied", "untied"])
def test_steps_on_some_events_are_as_if_the_others_were_forbidden(kind, outputs):
    """Against logits of minus 1e9 for whatever a step does not see; other steps see other events."""
    summary, generator = factors(kind), torch.Generator().manual_seed(5)
    parameters = MODEL.init(VOCAB, 0)
    if outputs == "untied":
        output = torch.randn(VOCAB, 5, generator=generator, dtype=torch.float64)
        parameters |= {"output": output[:, :4], "output_bias": output[:, 4]}
    events = torch.randperm(VOCAB, generator=generator)[: COUNT * 2].view(COUNT, 2)
    schedule = torch.tensor([[0, 1], [2, 3], [3, 0]])
    shown = InFactors.of(summary, events)

    def forbidding(p: Parameters, batch: Parameters) -> Tensor:
        hidden_events = torch.ones(VOCAB, dtype=torch.bool).index_fill(0, batch["events"].flatten(), False)

        def allowed(logits: Tensor) -> Tensor:
            return logits.masked_fill(hidden_events, -1e9)

        read = allowed(batch["latents"] @ batch["decoder"] / summary.temperature).softmax(-1)
        if kind == "free":
            inputs, targets = read, allowed(batch["targets"] @ batch["decoder"] / summary.temperature).softmax(-1)
        else:
            inputs, targets = read[:, :-1], read[:, 1:]
        hidden = MODEL.hidden(p, inputs @ p["embedding"])
        logits = allowed(hidden @ p.get("output", p["embedding"]).T + p.get("output_bias", 0))
        return -(targets * logits.log_softmax(-1)).sum(-1).mean()

    layout = Layout.of(parameters)
    weights = layout.flatten(parameters)
    # Fresh moments are mere signs of gradients: where one is nearly nothing, its rounding would be seen.
    settled = State(100, weights, {name: torch.full_like(weights, 0.01) for name in ("first", "second")})
    found, wanted = (
        InnerRun(loss=loss, layout=layout).differentiate(
            lambda p: sum(part.sin().sum() for part in p.values()),
            settled,
            shown.examples,
            schedule,
            0.05,
            shared=shown.shared,
        )
        for loss in (InnerLoss(MODEL, summary.temperature), forbidding)
    )
    torch.testing.assert_close(found.examples, wanted.examples, **close)
    torch.testing.assert_close(found.shared, wanted.shared, **close)
    torch.testing.assert_close(found.weights, wanted.weights, **close)
    seen = torch.zeros(VOCAB, dtype=torch.bool).index_fill(0, events.flatten(), True)
    assert not found.shared["decoder"][:, ~seen].any()
    assert found.shared["decoder"][:, seen].abs().min() > 0


def test_a_step_sees_the_events_of_its_batch_alone():
    objective = MetaMatching(window=1, steps=1, batch_size=2, sampled_events=5, real_positions=16 * LENGTH)
    columns = outer_gradient(objective, "free").factors["decoder"].abs().sum(0)
    assert int((columns > 0).sum()) == 4, "two sequences with two events each; the fifth cannot be dealt out evenly"


def test_too_few_events_to_deal_out_are_refused_before_anything_is_trained(tmp_path):
    objective = MetaMatching(batch_size=2, sampled_events=8)
    message = "sampled_events is 8, but 4 sequences share 12 events, 2 sequences a step; give at most 6, or 0"
    with pytest.raises(InputError, match=message):
        outer_gradient(objective, "free")
    store, size = TrajectoryStore(folder=tmp_path), Size(sequences=COUNT, length=LENGTH)
    with pytest.raises(InputError, match=message):
        distill(data(), model=MODEL, size=size, objective=objective, store=store)
    assert not list(tmp_path.iterdir())


def test_a_sample_smaller_than_a_batch_is_refused():
    with pytest.raises(ValueError, match="sampled_events is 24; it must be at least 25"):
        MetaMatching(sampled_events=24).suited(50, 10).check(50, 1000)
    MetaMatching(sampled_events=24).suited(24, 10).check(24, 1000)


def test_what_is_left_open_suits_the_summary_whose_gradient_is_asked():
    left_open = MetaMatching(window=1, steps=2, real_positions=16 * LENGTH)
    assert_same(outer_gradient(left_open, "free"), outer_gradient(left_open.suited(COUNT, LENGTH), "free"))


@kinds
def test_inner_steps_of_all_windows_have_one_loss_to_be_compiled(kind):
    """A loss that is another in each window would be compiled in each."""
    called = []

    def execution(function, loss, layout, *tensors):
        called.append(loss)
        return function(loss, layout, *tensors)

    objective = MetaMatching(window=3, steps=6, batch_size=2, real_positions=16 * LENGTH, execution=execution)
    found = [outer_gradient(objective, kind) for _ in range(2)]
    assert len(called) >= 2 * 2 * objective.window
    assert len(set(called)) == 1
    assert_same(
        found[0], outer_gradient(MetaMatching(window=3, steps=6, batch_size=2, real_positions=16 * LENGTH), kind)
    )


def test_steps_that_cannot_be_compiled_are_refused_in_one_line():
    def execution(*_):
        raise CompileError("no compiler")

    with pytest.raises(InputError, match=r"inner steps cannot be executed as .*: no compiler"):
        outer_gradient(MetaMatching(window=1, steps=1, real_positions=16 * LENGTH, execution=execution), "free")
