"""The outer loop on data small enough for seconds: what is learned, kept, resumed and refused."""

import itertools
import json
import math
from dataclasses import replace
from importlib import import_module
from typing import get_args

import numpy as np
import pytest
import torch

from farzi.distill import (
    Checkpoints,
    MetaMatching,
    OuterGradient,
    OuterLoop,
    Problem,
    Size,
    Verdict,
    Watch,
    distill,
    run_loop,
)
from farzi.distill.loop import MOST_BAD_STEPS
from farzi.errors import InputError
from farzi.evaluation import STUDENT_LRS, USUAL_METHODS, Method, NextItem, Study, evaluate
from farzi.evaluation.students import Students
from farzi.events import EventData, Vocabulary
from farzi.metagrad import SGD, Adam
from farzi.models import GRU4Rec, SASRec, hidden_states, sequence_loss
from farzi.summary import Factors, expectations, load
from farzi.training import Teachers, Training, TrajectoryStore, Workers

VOCAB, LENGTH = 12, 6
SMALL = {
    "model": SASRec(dim=8, max_length=LENGTH),
    "size": Size(sequences=4, length=LENGTH, rank=6),
    "objective": MetaMatching(window=3, steps=6, runs=2, batch_size=2, real_positions=16 * LENGTH),
    "loop": OuterLoop(steps=4, evaluate_every=2, checkpoint_every=1),
    "teachers": Teachers(count=2, training=Training(lr=1e-2, steps=30, batch_size=8, evaluate_every=10)),
    "judges": 1,
}


def cyclic_data(num_users: int = 30, length: int = 16) -> EventData:
    """Users who walk through the vocabulary in steps of one: the next event is certain."""
    starts = np.random.default_rng(0).integers(VOCAB, size=num_users)
    events = (starts[:, None] + np.arange(length)) % VOCAB
    ids = tuple(f"item{i}" for i in range(VOCAB))
    offsets = np.arange(num_users + 1, dtype=np.int64) * length
    return EventData("cycle", events.astype(np.int32).ravel(), offsets, Vocabulary(ids))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return TrajectoryStore(folder=tmp_path_factory.mktemp("teachers"), num_snapshots=2)


@pytest.mark.parametrize("targets", ["free", "next"])
def test_the_outer_loop_turns_noise_into_something_to_learn_from(targets):
    task, model = NextItem(cyclic_data()), SASRec(dim=8, max_length=LENGTH)
    torch.manual_seed(0)
    noise = torch.randn(2, 4, LENGTH + (targets == "next"), 6)
    start = Factors(latents=noise[0], decoder=torch.randn(6, VOCAB), targets=noise[1] if targets == "free" else None)
    objective = MetaMatching(lr=0.01, window=10, steps=60, runs=4, batch_size=4, real_positions=30 * LENGTH)
    # The learning rate is kept: factors about which nothing is learned would leave the loss where it began.
    loop = OuterLoop(steps=90, lr=0.05, lr_of_log_lr=0, evaluate_every=90)
    losses: list[float] = []
    run_loop(
        loop,
        objective,
        Problem(model, task.real(model)),
        start,
        lambda *_: Verdict(0.0, 1),
        seed=0,
        checkpoints=Checkpoints(),
        watch=lambda progress: losses.append(progress.loss),
    )
    assert losses[-1] < losses[10] - 0.2


def test_the_summary_is_what_was_judged_best(store, tmp_path):
    summary = distill(cyclic_data(), **SMALL, store=store, run=tmp_path / "run")
    stored = load(tmp_path / "run" / "summary.safetensors")
    for name, part in summary.factors.tensors().items():
        assert torch.equal(part, stored.factors.tensors()[name])
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["progress"]["step"] == SMALL["loop"].steps
    assert record["progress"]["best_score"] >= record["progress"]["score"]
    assert stored.card.advice.batch_size == 2
    assert stored.card.origin["objective"]["class"] == "MetaMatching"


def test_what_a_run_took_before_it_was_resumed_counts(store, tmp_path):
    run = tmp_path / "run"
    distill(cyclic_data(), **SMALL, store=store, run=run)
    first, *others = (run / "metrics.jsonl").read_text().splitlines()
    lines = [json.dumps(json.loads(first) | {"peak_mb": 10**6}), *others]
    (run / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    distill(cyclic_data(), **SMALL, store=store, run=run, resume=True)
    assert json.loads((run / "run.json").read_text())["peak_mb"] == 10**6


def test_the_same_seed_gives_the_same_summary_and_another_seed_another(store):
    first, again = (distill(cyclic_data(), **SMALL, store=store, seed=3) for _ in range(2))
    other = distill(cyclic_data(), **SMALL, store=store, seed=4)
    assert torch.equal(first.factors.latents, again.factors.latents)
    assert not torch.equal(first.factors.latents, other.factors.latents)


def test_a_summarys_learning_rate_is_for_models_of_its_own_kind(store, monkeypatch):
    summary = distill(cyclic_data(), **SMALL, store=store)
    monkeypatch.setattr(NextItem, "student", Training(steps=6, evaluate_every=3))
    study = Study(seeds=1, reference=SMALL["teachers"].training)
    given = replace(study, student=Training(lr=0.5, steps=6, evaluate_every=3))
    gru = GRU4Rec(dim=8, max_length=LENGTH)
    own, other, own_as_given = (
        evaluate(summary, cyclic_data(), model=model, study=how, methods=["farzi"], store=store)[1].training["lr"]
        for model, how in ((None, study), (gru, study), (None, given))
    )
    assert own == summary.card.advice.lr
    assert other in STUDENT_LRS
    assert own_as_given == 0.5
    assert not {own, own_as_given} & {*STUDENT_LRS}


def test_random_sequences_are_looked_at_more_often_with_the_same_patience(store):
    summary = distill(cyclic_data(), **SMALL, store=store)
    study = Study(
        seeds=1, reference=SMALL["teachers"].training, student=Training(steps=48, evaluate_every=16, patience=2)
    )
    rows = evaluate(summary, cyclic_data(), study=study, methods=["random", "farzi"], store=store)
    found = [(row.training["steps"], row.training["evaluate_every"], row.training["patience"]) for row in rows[1:]]
    assert found == [(48, 2, 16), (48, 16, 2)]
    coarse = Study(seeds=1, reference=study.reference, student=Training(steps=6, evaluate_every=3))
    row = evaluate(summary, cyclic_data(), study=coarse, methods=["random"], store=store)[1]
    assert (row.training["evaluate_every"], row.training["patience"]) == (3, 5)


def test_students_that_need_no_search_are_trained_beside_models_on_all_data(store, monkeypatch):
    summary = distill(cyclic_data(), **SMALL, store=store)
    study = Study(seeds=1, reference=SMALL["teachers"].training, student=Training(steps=6, evaluate_every=3))
    told: list[tuple[int, int, str]] = []
    batches: list[list[Method]] = []

    def watch(*news):
        told.append(news)

    def side_by_side(_, function, *arguments):
        batches.append(list(arguments[0]))
        return map(function, *arguments)

    monkeypatch.setattr(Workers, "map", side_by_side)
    rows = evaluate(summary, cyclic_data(), study=study, methods=["random", "farzi"], store=store, watch=watch)
    assert batches == [["full", "farzi"], ["random"] * len(STUDENT_LRS), ["random"]]
    assert [row.method for row in rows] == ["full", "random", "farzi"]
    searched = [f"random, learning rate {lr:g}" for lr in STUDENT_LRS]
    trainings = ["full, model 1 of 1", "farzi, student 1 of 1", *searched, "random, student 1 of 1"]
    assert told == [(done, len(trainings), what) for done, what in enumerate(trainings)]


@pytest.mark.slow
def test_workers_make_the_same_summary_and_rows(tmp_path):
    """Two processes must not change what is computed, only where; in an empty store they train the teachers too."""
    small = {**SMALL, "judges": 2}
    threads = torch.get_num_threads()
    alone, together = (TrajectoryStore(folder=tmp_path / name, num_snapshots=2) for name in ("alone", "together"))
    looks: list[int] = []
    watch = Watch(teacher=lambda now: looks.append(now.number))
    torch.set_num_threads(1)
    try:
        one = distill(cyclic_data(), **small, store=alone)
        two = distill(cyclic_data(), **small, store=together, workers=2, watch=watch)
        study = Study(seeds=2, reference=SMALL["teachers"].training, student=Training(steps=6, evaluate_every=3))
        rows = [
            evaluate(one, cyclic_data(), study=study, store=store, workers=workers)
            for store, workers in ((alone, 1), (together, 2))
        ]
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one.factors.latents, two.factors.latents)
    assert one.card.advice == two.card.advice
    assert looks == [1, 2]
    assert [row.metrics for row in rows[0]] == [row.metrics for row in rows[1]]
    assert [row.training["chosen_steps"] for row in rows[0]] == [row.training["chosen_steps"] for row in rows[1]]


def test_a_study_that_was_stopped_goes_on_with_the_models_it_has(tmp_path, monkeypatch):
    trajectories, trained = import_module("farzi.training.trajectories"), []
    fit = trajectories.fit

    def count(*args, **options):
        trained.append(options["seed"])
        return fit(*args, **options)

    monkeypatch.setattr(trajectories, "fit", count)
    store = TrajectoryStore(folder=tmp_path, num_snapshots=2)
    given = {**SMALL, "loop": OuterLoop(steps=1, evaluate_every=1)}
    one, other = (distill(cyclic_data(), **given, store=store, seed=seed) for seed in (0, 1))
    study = Study(seeds=2, reference=SMALL["teachers"].training, student=Training(steps=6, evaluate_every=3))
    total = 2 * (len(USUAL_METHODS) + len(STUDENT_LRS))  # two methods look for a learning rate

    def stop(done: int, _total: int, _what: str) -> None:
        if done == 7:
            raise KeyboardInterrupt

    trained.clear()
    with pytest.raises(KeyboardInterrupt):
        evaluate(one, cyclic_data(), study=study, store=store, watch=stop)
    made = len(trained)
    rows = evaluate(one, cyclic_data(), study=study, store=store)
    assert 0 < made < len(trained) == total - 2, "two models on all data were teachers before"
    assert evaluate(one, cyclic_data(), study=study, store=store) == rows
    assert len(trained) == total - 2
    evaluate(other, cyclic_data(), study=study, store=store, methods=["farzi"])
    assert len(trained) == total - 2 + 2, "another summary has its own students"


def test_a_resumed_run_gives_the_same_bytes(store, tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    distill(cyclic_data(), **SMALL, store=store, run=whole)

    class StopError(Exception):
        pass

    class Interrupted(MetaMatching):
        calls = 0

        def gradient(self, *args):
            type(self).calls += 1
            if type(self).calls == 3:
                raise StopError
            return super().gradient(*args)

    Interrupted.__name__ = "MetaMatching"
    fields = {name: getattr(SMALL["objective"], name) for name in SMALL["objective"].__dataclass_fields__}
    with pytest.raises(StopError):
        distill(cyclic_data(), **{**SMALL, "objective": Interrupted(**fields)}, store=store, run=parts)
    assert not (parts / "summary.safetensors").exists()
    monkeypatch.setattr(import_module("farzi.distill.work"), "from_real", None)  # the start is not made again
    distill(cyclic_data(), **SMALL, store=store, run=parts, resume=True)
    assert (parts / "summary.safetensors").read_bytes() == (whole / "summary.safetensors").read_bytes()


def test_a_folder_that_holds_a_run_is_not_overwritten(store, tmp_path):
    distill(cyclic_data(), **SMALL, store=store, run=tmp_path)
    before = (tmp_path / "summary.safetensors").read_bytes()
    with pytest.raises(InputError, match="--resume"):
        distill(cyclic_data(), **SMALL, store=store, run=tmp_path)
    with pytest.raises(InputError, match="another seed"):
        distill(cyclic_data(), **SMALL, store=store, run=tmp_path, seed=1, resume=True)
    assert (tmp_path / "summary.safetensors").read_bytes() == before


def test_students_read_no_farther_than_the_summarys_sequences(store, monkeypatch):
    """Inner runs, real windows, judges and a study's students; models on all data read as far as they can."""
    seen: list[tuple[int, int]] = []
    gradient = MetaMatching.gradient

    def look(self, problem, *args):
        assert problem.snapshots == (), "they are of models with a longer memory"
        seen.append((problem.model.max_length, problem.real.length))
        return gradient(self, problem, *args)

    monkeypatch.setattr(MetaMatching, "gradient", look)
    size = Size(sequences=4, length=3, rank=6)
    summary = distill(cyclic_data(), **{**SMALL, "size": size}, store=store)
    assert set(seen) == {(3, 3)}
    students = Students(
        summary=summary, task=NextItem(cyclic_data()), model=SMALL["model"], teachers=SMALL["teachers"], store=store
    )
    assert [students.student(method).max_length for method in get_args(Method)] == [LENGTH, 3, 3, 3, 3]
    trained = students.train("farzi", Training(steps=2), 0, 0)
    assert trained.parameters["position"].shape == (3, 8)


def test_a_summary_longer_than_the_model_is_refused(store):
    with pytest.raises(InputError, match="max_length is 6"):
        distill(cyclic_data(), **{**SMALL, "size": Size(sequences=2, length=7)}, store=store)


class Scripted:
    """An objective that gives the gradients it is told to."""

    lr, batch_size = 0.1, 1

    def __init__(self, *factors: float):
        self.factors = list(factors)

    def gradient(self, problem, factors, lr, carry, generator):
        factor = self.factors.pop(0)
        grads = {name: torch.full_like(part, factor) for name, part in factors.tensors().items()}
        return OuterGradient(1.0, grads, 0.0, {})


def run_scripted(objective, loop, judge=lambda *_: Verdict(0.0, 1), **watches):
    torch.manual_seed(0)
    start = Factors(latents=torch.randn(2, 3, 4), decoder=torch.randn(4, 5))
    seen = []
    watches = {"watch": seen.append, **watches}
    out = run_loop(loop, objective, None, start, judge, seed=0, checkpoints=Checkpoints(), **watches)
    return start, out, seen


def test_steps_without_a_finite_gradient_are_skipped_and_counted():
    _, (_, _, _, progress), seen = run_scripted(Scripted(1.0, math.nan, math.inf, 1.0), OuterLoop(steps=4))
    assert progress.skipped == 2
    assert [p.skipped for p in seen] == [0, 1, 2, 2]


def test_many_steps_without_a_finite_gradient_end_the_run():
    with pytest.raises(InputError, match="no finite gradient"):
        run_scripted(Scripted(*[math.nan] * MOST_BAD_STEPS), OuterLoop(steps=100))


def test_the_best_judgement_is_kept_and_not_the_last():
    scores = iter([1.0, 3.0, 2.0])
    judged = []

    def judge(factors, lr):
        judged.append(factors)
        return Verdict(next(scores), 7)

    loop = OuterLoop(steps=2, evaluate_every=1, average=0.0)
    _, (best, _, steps, progress), _ = run_scripted(Scripted(1.0, 1.0), loop, judge)
    assert torch.equal(best.latents, judged[1].latents)
    assert (steps, progress.best_step, progress.best_score) == (7, 1, 3.0)
    assert not torch.equal(best.latents, judged[2].latents)


def test_judgements_are_announced_but_for_that_of_the_start():
    told = []

    def judge(factors, lr):
        told.append("judged")
        return Verdict(0.0, 1)

    loop = OuterLoop(steps=3, evaluate_every=2)
    run_scripted(Scripted(1.0, 1.0, 1.0), loop, judge, judging=told.append, watch=lambda now: told.append(-now.step))
    assert told == ["judged", -1, 2, "judged", -2, 3, "judged", -3]


def test_a_short_gradient_counts_as_much_as_a_long_one():
    loop = OuterLoop(steps=3, evaluate_every=3, average=0.0)
    usual, mixed = (run_scripted(Scripted(1.0, size, 1.0), loop) for size in (1.0, 1e6))
    (start, (end, *_), _), (_, (other, *_), _) = usual, mixed
    assert not torch.equal(start.latents, end.latents)
    torch.testing.assert_close(end.latents, other.latents)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (OuterLoop, "minutes", 0),
        (OuterLoop, "average", 1.0),
        (OuterLoop, "evaluate_every", 0),
        (OuterLoop, "steps", -1),
        (MetaMatching, "window", 0),
        (MetaMatching, "steps", 3),
        (MetaMatching, "runs", 0),
        (MetaMatching, "turns", 0),
        (MetaMatching, "snapshot_share", 1.5),
        (MetaMatching, "teacher_share", -0.1),
        (Size, "rank", 0),
        (Size, "targets", "hard"),
        (Teachers, "count", -1),
    ],
)
def test_settings_out_of_range_are_named(kind, field, value):
    with pytest.raises(ValueError, match=f"{field} is"):
        kind(**{field: value})


def gradients(objective: MetaMatching, steps: int):
    """The carry after each of some outer steps on fixed factors."""
    task, model = NextItem(cyclic_data()), SASRec(dim=8, max_length=LENGTH)
    problem = Problem(model, task.real(model))
    torch.manual_seed(0)
    factors = Factors(
        latents=torch.randn(4, LENGTH, 5), decoder=torch.randn(5, VOCAB), targets=torch.randn(4, LENGTH, 5)
    )
    carry: dict = {}
    for step in range(steps):
        carry = objective.gradient(problem, factors, 0.1, carry, torch.Generator().manual_seed(step)).carry
        yield carry


def test_inner_runs_take_turns_go_on_and_begin_anew():
    objective = MetaMatching(window=4, steps=9, runs=2, batch_size=2, real_positions=8 * LENGTH)
    carries = list(gradients(objective, 12))
    for slot in (0, 1):
        ages = [int(carry[f"{slot}.count"]) for carry in carries[slot::2]]
        for before, after in itertools.pairwise(ages):
            assert after == (before + 4 if before + 4 <= 9 else 4)
        assert len(set(ages)) > 1
    assert torch.equal(carries[2]["1.weights"], carries[1]["1.weights"])
    assert not torch.equal(carries[3]["1.weights"], carries[1]["1.weights"])


def test_an_inner_run_takes_its_steps_in_so_many_turns_the_window_last():
    objective = MetaMatching(window=2, steps=12, runs=1, turns=2, batch_size=2, real_positions=8 * LENGTH)
    assert [int(carry["0.count"]) for carry in gradients(objective, 4)] == [6, 12, 6, 12]
    short = MetaMatching(window=6, steps=12, runs=1, turns=2, batch_size=2, real_positions=8 * LENGTH)
    long, whole = (next(gradients(one, 1))["0.weights"] for one in (objective, short))
    torch.testing.assert_close(long, whole, msg="what is not differentiated is taken all the same")


def test_an_inner_run_that_diverged_begins_anew():
    task, model = NextItem(cyclic_data()), SASRec(dim=8, max_length=LENGTH)
    objective = MetaMatching(window=2, steps=8, runs=1, batch_size=2, real_positions=8 * LENGTH)
    factors = Factors(
        latents=torch.zeros(2, LENGTH, 3), decoder=torch.zeros(3, VOCAB), targets=torch.zeros(2, LENGTH, 3)
    )
    problem = Problem(model, task.real(model))
    carry = objective.gradient(problem, factors, 0.1, {}, torch.Generator().manual_seed(0)).carry
    carry = {**carry, "0.weights": carry["0.weights"] * math.nan, "0.count": torch.tensor(2)}
    bad = objective.gradient(problem, factors, 0.1, carry, torch.Generator().manual_seed(1))
    assert not math.isfinite(bad.value)
    good = objective.gradient(problem, factors, 0.1, bad.carry, torch.Generator().manual_seed(2))
    assert math.isfinite(good.value)


def test_inner_runs_begin_spread_over_the_stages_of_one_training():
    objective = MetaMatching(window=3, steps=18, runs=5, batch_size=2, real_positions=6)
    model = SASRec(dim=8, max_length=LENGTH)
    problem = Problem(model, NextItem(cyclic_data()).real(model))
    factors = Factors(
        latents=torch.randn(4, LENGTH, 3), decoder=torch.randn(3, VOCAB), targets=torch.randn(4, LENGTH, 3)
    )
    carry = objective.gradient(problem, factors, 0.01, {}, torch.Generator().manual_seed(0)).carry
    assert [int(carry[f"{slot}.count"]) for slot in range(5)] == [3, 3, 6, 9, 12]
    for _ in range(3):
        carry = objective.gradient(problem, factors, 0.01, carry, torch.Generator().manual_seed(0)).carry
    assert [int(carry[f"{slot}.count"]) for slot in range(5)] == [3, 6, 9, 12, 12]


def test_the_outer_loss_reads_as_many_positions_whatever_their_length():
    objective = MetaMatching(window=1, steps=1, runs=1, batch_size=2, real_positions=12, teacher_share=0.0)
    rows = []
    for length in (3, LENGTH):
        model = SASRec(dim=8, max_length=length)
        problem = Problem(model, NextItem(cyclic_data()).real(model))
        rows.append(objective._real_batch(problem, torch.Generator().manual_seed(0)).inputs.shape[0])
    assert rows == [4, 12 // LENGTH]


def test_real_targets_are_events_mixed_with_what_teachers_expect():
    task, model = NextItem(cyclic_data()), SASRec(dim=8, max_length=LENGTH)
    teachers = tuple((model, model.init(VOCAB, seed)) for seed in (1, 2))
    seen = []

    class Seen(MetaMatching):
        def _real_batch(self, problem, generator):
            seen.append(super()._real_batch(problem, generator))
            return seen[-1]

    factors = Factors(
        latents=torch.zeros(2, LENGTH, 3), decoder=torch.zeros(3, VOCAB), targets=torch.zeros(2, LENGTH, 3)
    )
    for share in (0.0, 0.25):
        objective = Seen(window=1, steps=1, runs=1, batch_size=2, real_positions=40 * LENGTH, teacher_share=share)
        problem = Problem(model, task.real(model), teachers)
        objective.gradient(problem, factors, 0.1, {}, torch.Generator().manual_seed(0))
    hard, mixed = seen
    assert torch.equal(hard.inputs, mixed.inputs)
    assert (hard.inputs < 0).any(), "without padding the mask is not tested"
    real = hard.targets >= 0
    expected = 0.25 * expectations(hard.inputs, teachers)[real]
    expected[torch.arange(len(expected)), hard.targets[real]] += 0.75
    torch.testing.assert_close(mixed.targets[real], expected)
    parameters = model.init(VOCAB, 3)
    logits = hidden_states(model, parameters, hard.inputs)[real] @ parameters["embedding"].T
    wanted = -(expected * logits.log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(sequence_loss(model, parameters, mixed), wanted)


@pytest.mark.slow
def test_a_resumed_run_may_take_more_steps(store, tmp_path):
    loop = SMALL["loop"]
    distill(
        cyclic_data(), **{**SMALL, "loop": OuterLoop(steps=2, evaluate_every=2)}, store=store, run=tmp_path / "grown"
    )
    distill(cyclic_data(), **{**SMALL, "loop": loop}, store=store, run=tmp_path / "grown", resume=True)
    distill(cyclic_data(), **{**SMALL, "loop": loop}, store=store, run=tmp_path / "whole")
    grown, whole = ((tmp_path / name / "summary.safetensors").read_bytes() for name in ("grown", "whole"))
    assert grown == whole


def test_students_have_the_inner_learning_rate_only_where_it_is_adams(store):
    """That of gradient descent would be a hundred times too high."""
    loop = OuterLoop(steps=0)
    for inner, expected in ((Adam(), 0.3), (SGD(), 0.01)):
        objective = replace(SMALL["objective"], inner=inner, lr=0.3)
        summary = distill(cyclic_data(), **{**SMALL, "objective": objective, "loop": loop}, store=store)
        assert summary.card.advice.lr == pytest.approx(expected)


def test_a_generated_start_is_written_by_the_teachers(store):
    """What follows the first event of each sequence is what they expect, in steps of one."""
    training, decoded = replace(SMALL["teachers"].training, steps=200, evaluate_every=100), {}
    teachers = Teachers(count=2, training=training)
    for start in ("real", "generated"):
        size = replace(SMALL["size"], sequences=20, rank=VOCAB, start=start)
        options = {**SMALL, "loop": OuterLoop(steps=0), "teachers": teachers, "size": size}
        summary = distill(cyclic_data(), **options, store=store)
        decoded[start] = summary.factors.decode(torch.arange(20))[0].argmax(-1)
        assert summary.card.origin["size"]["start"] == start
    assert not torch.equal(decoded["real"], decoded["generated"])
    steps = {start: float(((part.diff() % VOCAB) == 1).float().mean()) for start, part in decoded.items()}
    assert min(steps.values()) > 0.6, steps  # by chance it is a twelfth


def test_a_generated_start_needs_teachers(store):
    options = {**SMALL, "size": replace(SMALL["size"], start="generated"), "teachers": Teachers(count=0)}
    with pytest.raises(InputError, match="no teachers to write"):
        distill(cyclic_data(), **options, store=store)
