"""A distillation whose minutes are limited: how many teachers it has, how it is judged, when it ends and goes on.

Clocks are made up, so that nothing here depends on how fast a machine is.
"""

import hashlib
import itertools
import json
import math
import time
from dataclasses import asdict, replace

import pytest
import torch
from test_distill import LENGTH, SMALL, cyclic_data

from farzi.distill import Checkpoints, OuterGradient, OuterLoop, Verdict, distill, run_loop, teaching
from farzi.distill.budget import LEAST_STUDENT_STEPS, Budget, keep_budget, read_budget
from farzi.distill.teaching import round_down
from farzi.errors import InputError
from farzi.evaluation import NextItem, NextToken, Study, evaluate
from farzi.events import CharTokenizer, TextData, Vocabulary
from farzi.models import SASRec, Transformer, describe_model
from farzi.summary import Factors
from farzi.training import (
    Fitted,
    OutOfTimeError,
    Speed,
    Teachers,
    Training,
    Trajectory,
    TrajectoryStore,
    Workers,
    measure_speed,
)

MODEL = SMALL["model"]
TRAINING = replace(SMALL["teachers"].training, steps=1000, evaluate_every=10, patience=5)


class Clock:
    """Stands still unless it is moved; ``tick`` is how far it moves at every look at it."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now, self.tick = 0.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made)
    return made


@pytest.fixture
def store(tmp_path):
    return TrajectoryStore(folder=tmp_path / "teachers", num_snapshots=2)


@pytest.mark.parametrize(
    ("step", "look", "seconds", "every", "steps"),
    [
        (1.0, 0.0, 60, 10, 60),
        (1.0, 10.0, 60, 1000, 49),  # the last look
        (1.0, 10.0, 60, 10, 25),  # and one after every tenth step: 25 + 2.5 * 10 + 10
        (1.0, 10.0, 5, 10, 1),
        (1.0, 10.0, -5, 10, 1),
    ],
)
def test_steps_fit_into_their_time_with_their_looks(step, look, seconds, every, steps):
    assert Speed(step, look).steps_within(seconds, every) == steps


def test_a_first_step_that_takes_long_is_none_to_reckon_with(clock, monkeypatch):
    """As it is in a new process, where libraries come in with it."""
    task = NextItem(cyclic_data())
    real = task.real(MODEL)
    batches, waits = type(real).batches, itertools.chain([100.0], itertools.repeat(1.0))

    def slowly(*given):
        for batch in batches(*given):
            clock.now += next(waits)
            yield batch

    def score(_):
        clock.now += 7.0
        return 0.5

    monkeypatch.setattr(type(real), "batches", slowly)
    assert measure_speed(MODEL, real, TRAINING, score) == Speed(1.0, 7.0)


@pytest.mark.parametrize(("number", "rounded"), [(1, 1), (9, 9), (10, 10), (99, 99), (101, 100), (1299, 1200)])
def test_two_digits_of_a_number_of_steps_are_kept(number, rounded):
    assert round_down(number) == rounded


def test_keys_of_trainings_are_those_of_before(store):
    """What is in people's caches stays of use."""
    task = NextItem(cyclic_data())
    decided_by = {
        "version": 2,
        "model": describe_model(MODEL),
        "data": task.train_data.fingerprint,
        "length": LENGTH,
        "device": "cpu",
        "training": {
            "lr": 1e-2,
            "steps": 4,
            "batch_size": 8,
            "dropout": 0.0,
            "weight_decay": 0.0,
            "evaluate_every": 10,
            "patience": 5,
        },
        "judge": "valid nDCG@100",
        "seed": 3,
        "snapshots": 2,
    }
    short = replace(TRAINING, steps=4)
    assert task.trained(MODEL, short, store, 3) is None
    made = task.train(MODEL, short, store, 3)
    key = hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()[:24]
    assert [path.name for path in store.folder.iterdir()] == [f"{key}.safetensors"]
    found = task.trained(MODEL, short, store, 3)
    assert found is not None
    assert all(torch.equal(part, found.parameters[name]) for name, part in made.parameters.items())


class School(NextItem):
    """A task whose trainings take as many seconds as it is told, or as they have steps, if that is less."""

    def enter(self, clock, times, stored):
        for name, value in {"clock": clock, "times": times, "stored": stored, "begun": []}.items():
            object.__setattr__(self, name, value)

    def train(self, model, training, store, seed, watch=lambda _: None, within=math.inf):
        seconds = self.times[seed]
        if seed not in self.stored:
            self.begun.append(seed)
            seconds = min(seconds, training.steps)
            self.clock.now += min(seconds, within)
            if seconds > within:
                raise OutOfTimeError
        known = {"model": model, "parameters": {}, "steps": 1, "score": 0.0, "curve": ((1, 0.0),)}
        return Trajectory(parameters={}, snapshots=(), fitted=Fitted(**known, seconds=seconds))

    def trained(self, model, training, store, seed):
        return object() if seed in self.stored else None


class AtOnce(Workers):
    """Two workers, who need as much time together as the slower one."""

    def __init__(self, clock):
        super().__init__(1)
        self.count, self.clock = 2, clock

    def map(self, function, *arguments):
        began, ends = self.clock.now, [self.clock.now]
        for one in zip(*arguments, strict=False):
            self.clock.now = began
            yield function(*one)
            ends.append(self.clock.now)
        self.clock.now = max(ends)


@pytest.mark.parametrize(
    ("times", "stored", "workers", "begun", "count", "steps"),
    [
        ([10, 10, 10, 10], [], 1, [0, 1, 2, 3], 4, 90),  # all in time; no more than 90 steps have ever been possible
        ([25, 25, 25, 25], [], 1, [0, 1, 2], 3, 90),  # 15 s are left then
        ([50, 10, 10, 10], [], 1, [0], 1, 90),  # a second one has 40 s, and may need 75
        ([999, 10, 10, 10], [], 1, [0], 1, 90),  # no end before the time is over
        ([30, 60, 10, 10], [], 1, [0, 1], 2, 90),  # what takes longer than was to be expected is finished
        ([30, 61, 10, 10], [], 1, [0, 1], 1, 90),  # unless the time is over
        ([999, 999, 999, 999], [0, 1, 2, 3], 1, [], 4, 1000),  # what is there takes no time
        ([999, 999, 999, 999], [0, 1], 1, [], 2, 1000),  # nor does it leave room for more
        ([30, 36, 30, 30], [], 2, [0, 1, 2, 3], 4, 90),
        ([50, 50, 50, 50], [], 2, [0, 1], 2, 90),
        ([999, 999, 10, 10], [], 2, [0, 1], 2, 90),
        ([30, 30, 61, 10], [], 2, [0, 1, 2, 3], 2, 90),  # they are numbered, so that the last is none without the third
        ([30, 30, 10, 61], [], 2, [0, 1, 2, 3], 3, 90),
    ],
)
def test_few_whole_teachers_are_better_than_many_half_ones(
    clock, monkeypatch, store, times, stored, workers, begun, count, steps
):
    """A second a step, in a hundred seconds, ten of which it takes to find that out."""

    def measure(*_):
        clock.now += 10
        return Speed(1.0, 0.0)

    monkeypatch.setattr(teaching, "measure_speed", measure)
    task = School(cyclic_data())
    task.enter(clock, times, stored)
    school = teaching.Teaching(
        task=task,
        model=MODEL,
        teachers=Teachers(count=4, training=TRAINING),
        store=store,
        workers=AtOnce(clock) if workers == 2 else Workers(1),
        watch=lambda _: None,
    )
    assert school.train_within(100) == Teachers(count=count, training=replace(TRAINING, steps=steps))
    assert task.begun == begun
    assert clock.now <= 100


def test_a_teacher_takes_some_steps_however_little_time_there_is(clock, monkeypatch, store):
    monkeypatch.setattr(teaching, "measure_speed", lambda *_: Speed(1.0, 50.0))
    for steps, taken in ((1000, teaching.LEAST_STEPS), (7, 7)):
        task = School(cyclic_data())
        task.enter(clock, [9999] * 4, [])
        teachers = Teachers(count=4, training=replace(TRAINING, steps=steps))
        shared = {"task": task, "model": MODEL, "store": store, "workers": Workers(1), "watch": lambda _: None}
        taught = teaching.Teaching(teachers=teachers, **shared).train_within(10)
        assert taught == Teachers(count=1, training=replace(TRAINING, steps=taken))


def test_no_teachers_take_no_time(store):
    task = School(cyclic_data())
    task.enter(None, [], [])
    shared = {"task": task, "model": MODEL, "store": store, "workers": Workers(1), "watch": lambda _: None}
    assert teaching.Teaching(teachers=Teachers(count=0), **shared).train_within(9) == Teachers(count=0)


class Slow:
    """An objective that takes its time."""

    lr, batch_size = 0.1, 1

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def gradient(self, problem, factors, lr, carry, generator):
        self.clock.now += self.seconds
        ones = {name: torch.ones_like(part) for name, part in factors.tensors().items()}
        return OuterGradient(1.0, ones, 0.0, {})


def run_slowly(clock, minutes, *, step, judge, spent=0.0, checkpoints=None, **loop):
    """Run the loop with steps and judgements that take so long; the number of judgements, and the end."""
    judged = []

    def slowly(*_):
        judged.append(clock.now)
        clock.now += judge
        return Verdict(float(clock.now), 1)

    torch.manual_seed(0)
    start = Factors(latents=torch.randn(2, 3, 4), decoder=torch.randn(4, 5))
    loop = OuterLoop(**{"steps": 1000, "minutes": minutes, "evaluate_every": 50, "checkpoint_every": 3, **loop})
    given = {"seed": 0, "checkpoints": checkpoints or Checkpoints(), "watch": lambda _: None, "spent": spent}
    *_, progress = run_loop(loop, Slow(clock, step), None, start, slowly, **given)
    return len(judged), progress


def test_the_loop_ends_in_time_with_a_judgement(clock):
    judgements, progress = run_slowly(clock, 1, step=3, judge=10, spent=5)
    assert judgements == 2
    assert progress.step == progress.best_step == 12, "of 60 s, 5 are spent and 20 for judgements; none is broken off"
    assert progress.seconds == clock.now + 5 == 61


def test_where_there_is_no_time_for_steps_the_start_is_what_there_is(clock):
    for spent in (45, 70):
        judgements, progress = run_slowly(clock, 1, step=1, judge=10, spent=spent)
        assert (judgements, progress.step) == (1, 0)
        assert progress.best_score > 0
        assert progress.seconds == spent + 10


def test_judgements_on_the_way_are_made_as_ever(clock):
    judgements, progress = run_slowly(clock, 1, step=1, judge=5, evaluate_every=10)
    assert (judgements, progress.step) == (5, 35), "after 0, 10, 20, 30 steps and at the end"
    judgements, progress = run_slowly(clock, math.inf, step=9, judge=99, steps=4, evaluate_every=2)
    assert (judgements, progress.step) == (3, 4)


def test_a_run_that_ran_out_of_time_goes_on_with_more(clock, tmp_path):
    checkpoints = Checkpoints(path=tmp_path / "checkpoint.pt", resume=True)
    _, first = run_slowly(clock, 1, step=3, judge=9, spent=20, checkpoints=checkpoints)
    assert first.step == first.best_step == 8
    judgements, same = run_slowly(clock, 1, step=3, judge=9, spent=99, checkpoints=checkpoints)
    assert judgements == 0, "the last judgement is in the checkpoint"
    assert replace(same, gradient_norm=first.gradient_norm, peak_mb=first.peak_mb) == first
    judgements, more = run_slowly(clock, 2, step=3, judge=9, spent=99, checkpoints=checkpoints)
    assert judgements == 1
    assert more.step > first.step
    assert 120 <= more.seconds <= 123, "the time of before counts, and what was spent on the start does not count twice"


def test_a_distillation_in_little_time_makes_a_summary(clock, store, tmp_path):
    """Each look at the clock takes a hundredth of a second."""
    clock.tick = 0.01
    endless = Teachers(count=4, training=replace(TRAINING, steps=40_000, patience=10_000))
    given = {**SMALL, "teachers": endless, "loop": OuterLoop(steps=40, minutes=0.02)}
    summary = distill(cyclic_data(), **given, store=store, run=tmp_path / "run")
    budget = read_budget(tmp_path / "run" / "budget.json")
    assert 1 < budget.teachers.training.steps < 40_000
    assert LEAST_STUDENT_STEPS <= budget.student.steps < NextItem.judging.steps
    assert summary.card.origin["teachers"] == asdict(budget.teachers)
    assert summary.card.advice.steps <= budget.student.steps
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["progress"]["seconds"] > budget.seconds
    assert record["distill_s"] == record["progress"]["seconds"] - budget.seconds

    kept = {path.name for path in store.folder.iterdir()}
    resumed = distill(cyclic_data(), **given, store=store, run=tmp_path / "run", resume=True)
    assert resumed.to_bytes() == summary.to_bytes()
    study = Study(seeds=1, reference=SMALL["teachers"].training, student=Training(steps=6, evaluate_every=3))
    rows = evaluate(summary, cyclic_data(), study=study, methods=["random_teacher", "farzi"], store=store)
    assert [row.method for row in rows] == ["full", "random_teacher", "farzi"]
    made = {path.name for path in store.folder.iterdir()} - kept
    assert len(made) == 6, "the full data's model and five students, and no teacher"


def test_a_run_keeps_its_budget_when_it_is_resumed_with_other_minutes(clock, store, tmp_path):
    clock.tick = 0.01
    given = {**SMALL, "teachers": Teachers(count=3, training=TRAINING), "store": store, "run": tmp_path / "run"}
    first = distill(cyclic_data(), **{**given, "loop": OuterLoop(steps=2, minutes=0.02)})
    for minutes in (0.04, math.inf):
        loop = OuterLoop(steps=3, minutes=minutes)
        again = distill(cyclic_data(), **{**given, "loop": loop}, resume=True)
        assert again.card.origin["teachers"] == first.card.origin["teachers"]


def test_more_time_than_is_needed_changes_nothing(store, tmp_path, monkeypatch):
    for name in ("student", "judging"):
        monkeypatch.setattr(NextItem, name, Training(steps=40, evaluate_every=20))
    plain = distill(cyclic_data(), **SMALL, store=store)
    timed = {**SMALL, "loop": replace(SMALL["loop"], minutes=600)}
    for folder in (store.folder, tmp_path / "other"):
        again = distill(cyclic_data(), **timed, store=replace(store, folder=folder))
        assert again.to_bytes() == plain.to_bytes()


def test_a_budget_is_read_again_or_found_damaged(tmp_path):
    path, budget = tmp_path / "budget.json", Budget(Teachers(count=2, training=TRAINING), Training(steps=7), 1.5)
    assert read_budget(path) is None
    keep_budget(path, budget)
    assert read_budget(path) == budget
    wrong = {"teachers": {"count": 1, "training": {"steps": 0}}, "student": {}, "seconds": 1}
    for content in ("", "{}", "[1]", json.dumps(wrong)):
        path.write_text(content)
        with pytest.raises(InputError, match=r"budget\.json is damaged"):
            read_budget(path)


@pytest.mark.slow
def test_the_data_says_which_models_are_trained_and_how(store, monkeypatch):
    for task in (NextItem, NextToken):
        for name in ("student", "judging"):
            monkeypatch.setattr(task, name, Training(steps=2))
    given = {name: value for name, value in SMALL.items() if name != "model"}
    assert distill(cyclic_data(), **given, store=store).card.model == {"name": "sasrec", **asdict(SASRec())}
    tokens = torch.arange(600).remainder(5).int().numpy()
    text = TextData("text", tokens[:400], tokens[:100], tokens[:100], CharTokenizer(Vocabulary(("<unk>", *"abcd"))))
    assert NextToken(text).default_model == Transformer()
    monkeypatch.setattr(NextToken, "full_data", TRAINING)
    short = {**given, "teachers": None, "loop": OuterLoop(steps=0)}
    card = distill(text, **short, store=store).card
    assert card.model == {"name": "transformer", **asdict(Transformer())}
    assert card.origin["teachers"] == asdict(Teachers(training=TRAINING))
