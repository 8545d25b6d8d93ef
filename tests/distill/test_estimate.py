"""What a distillation is said to take: reckoned by hand from made-up measurements, and measured once for real."""

import math
from dataclasses import replace
from importlib import import_module

import pytest
import torch
from test_distill import SMALL, cyclic_data

from farzi.distill import MARGIN, Estimate, MetaMatching, OuterGradient, OuterLoop, Size, Span, estimate
from farzi.distill.probe import Inner, Measured
from farzi.errors import InputError
from farzi.evaluation import NextItem
from farzi.machine import held_mb
from farzi.metagrad import SGD, Segments, StoreAll, Tree, Unstep
from farzi.training import Speed, Teachers, Training, TrajectoryStore, Workers

MILLION = Measured(
    outer=Inner(around=1.0, gradient=0.1, product=0.2),
    start=7.0,
    judge=Speed(step=0.01, look=0.5),
    teacher=Speed(step=0.02, look=1.0),
    parameters=2**20,
    process_mb=300.0,
    outer_mb=100.0,
    start_mb=120.0,
    training_mb=150.0,
)
"""With so many parameters, the 16 bytes of each that Adam takes for a step are 16 megabytes, held twice."""

TRAINING = Training(steps=1000, evaluate_every=100, patience=3)
LOOP = OuterLoop(steps=10, evaluate_every=4)
NO_TEACHERS = {**SMALL, "teachers": Teachers(count=0), "loop": LOOP}
LONG = MetaMatching(window=100, steps=800, runs=8, turns=8)


@pytest.fixture
def reckon(monkeypatch, tmp_path):
    """Estimate from made-up measurements, with an empty store."""

    def call(measured: Measured = MILLION, **options) -> Estimate:
        class Apart(Workers):
            def map(self, function, *_):
                return iter([measured])

        monkeypatch.setattr(import_module("farzi.distill.estimate"), "Workers", Apart)
        given = {**NO_TEACHERS, "store": TrajectoryStore(folder=tmp_path), "memory_mb": 1e6, **options}
        return estimate(cyclic_data(), **given)

    return call


def by_replay(found: Estimate, what: str) -> dict[type, float]:
    return {type(one.replay): getattr(one, what) for one in found.replays}


def test_memory_grows_with_the_window_as_states_do(reckon):
    short, long = (
        by_replay(reckon(objective=MetaMatching(window=window, steps=800)), "memory_mb") for window in (100, 400)
    )
    assert long[StoreAll] - short[StoreAll] == pytest.approx(300 * 32, rel=0.01)
    assert long[Segments] - short[Segments] == pytest.approx(56 * 10, rel=0.1), "twice the square root"
    assert long[Tree] - short[Tree] < 56 * 4
    assert long[Unstep] == pytest.approx(short[Unstep], abs=40)
    assert short[StoreAll] == pytest.approx(held_mb() + 100 + 99 * 32, rel=0.05)
    plain = by_replay(reckon(objective=MetaMatching(window=100, steps=800, inner=SGD())), "memory_mb")
    assert plain[StoreAll] < short[StoreAll] - 99 * 14


def test_memory_is_that_of_the_stage_that_takes_most(reckon):
    hungry = MILLION._replace(training_mb=1e4)
    alone = by_replay(reckon(hungry), "memory_mb")[StoreAll]
    assert alone == pytest.approx(held_mb() + 1e4, rel=0.05)
    apart = by_replay(reckon(hungry, workers=2), "memory_mb")[StoreAll]
    assert apart == pytest.approx(held_mb() + 120 + 2 * (300 + 1e4), rel=0.05), "workers have the trainings to do"


def test_the_fastest_exact_replay_that_fits_is_chosen(reckon):
    needs = by_replay(reckon(objective=LONG), "memory_mb")
    assert needs[StoreAll] > needs[Segments] > needs[Tree]
    for kind in (StoreAll, Segments, Tree):
        found = reckon(objective=LONG, memory_mb=needs[kind] * MARGIN * 1.02)
        assert type(found.chosen.replay) is kind
        assert found.chosen.memory_mb <= found.available_mb
    assert reckon(objective=LONG, memory_mb=needs[Tree]).chosen is None, "without a margin"
    assert reckon(objective=LONG, memory_mb=None).available_mb > held_mb()


def test_what_was_given_comes_first_and_may_be_chosen(reckon):
    given = replace(LONG, replay=Segments(count=2))
    found = reckon(objective=given)
    assert [one.replay for one in found.replays] == [given.replay, StoreAll(), Segments(), Tree(), Unstep()]
    needs = by_replay(reckon(objective=LONG), "memory_mb")
    least = reckon(objective=replace(LONG, replay=Unstep()), memory_mb=needs[Unstep] * MARGIN * 1.02)
    assert needs[Unstep] < needs[Segments]
    assert type(least.chosen.replay) is Unstep, "as it was asked for"


def test_seconds_add_up(reckon):
    found = reckon(objective=replace(LONG, window=20), judges=2)  # strides of 100, runs 87 steps apart
    steps = by_replay(found, "step_s")
    assert steps[StoreAll] == pytest.approx(1 + 100 * 0.1 + 20 * 0.2)
    assert steps[Segments] == pytest.approx(steps[StoreAll] + 15 * 0.1), "5 steps of 20 are taken once"
    assert found.starting == pytest.approx(7 + 7 * 87 * 0.1)
    student = NextItem.judging
    most = 2 * (student.steps * 0.01 + math.ceil(student.steps / student.evaluate_every) * 0.5)
    assert found.judgements == 4, "at the start, after 4 and 8 steps, and at the end"
    assert found.judging.most == pytest.approx(4 * most)
    assert found.judging.least < found.judging.most
    assert found.teaching == Span(0, 0)
    assert found.replays[0].total.most == pytest.approx(found.starting + 4 * most + 10 * steps[StoreAll])


def test_teachers_end_by_patience_or_by_steps_and_side_by_side(reckon):
    three = Teachers(count=3, training=TRAINING)
    assert reckon(teachers=three).teaching == pytest.approx((3 * (400 * 0.02 + 4), 3 * (1000 * 0.02 + 10)))
    assert reckon(teachers=three, workers=2).teaching == pytest.approx((2 * 12, 2 * 30))


def test_teachers_in_the_store_take_no_time(reckon, tmp_path):
    two = Teachers(count=2, training=SMALL["teachers"].training)
    assert reckon(teachers=two).new_teachers == 2
    NextItem(cyclic_data()).train(SMALL["model"], two.training, TrajectoryStore(folder=tmp_path), seed=0)
    found = reckon(teachers=two)
    assert found.new_teachers == 1
    assert found.teaching.most == pytest.approx(reckon(teachers=replace(two, count=3)).teaching.most / 2)


def test_minutes_end_it(reckon):
    assert reckon(loop=replace(LOOP, minutes=0.5)).replays[0].total == Span(30, 30)


class Other:
    """An objective of one's own."""

    lr, batch_size = 0.1, 1

    def check(self, num_sequences: int, vocab_size: int) -> None: ...

    def gradient(self, *_) -> OuterGradient:
        raise AssertionError


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ({"device": "nowhere"}, "torch cannot compute"),
        ({"objective": Other()}, "only of MetaMatching"),
        ({"memory_mb": -1.0}, "memory_mb is -1"),
        ({"size": Size(length=500)}, "max_length"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_what_cannot_be_told_is_refused(reckon, option, complaint):
    with pytest.raises(InputError, match=complaint):
        reckon(**option)


def test_of_other_devices_nothing_is_told(reckon, monkeypatch):
    monkeypatch.setattr(import_module("farzi.distill.estimate"), "find_device", torch.device)
    with pytest.raises(InputError, match="device is 'cuda', but only of the CPU"):
        reckon(device="cuda")


@pytest.mark.parametrize("kind", ["free", "next"])
def test_a_probe_measures_something_of_everything(tmp_path, kind):
    given = {**SMALL, "size": replace(SMALL["size"], targets=kind), "store": TrajectoryStore(folder=tmp_path)}
    found = estimate(cyclic_data(), **given)
    times = [one.step_s for one in found.replays] + [found.starting, *found.teaching, *found.judging]
    assert all(0 < seconds < math.inf for seconds in times)
    assert all(held_mb() < one.memory_mb < held_mb() + 1000 for one in found.replays)
    assert found.chosen is not None
    assert type(found.chosen.replay) is StoreAll
    assert torch.get_num_threads() == 1
    assert list(tmp_path.iterdir()) == [], "no teacher is trained"
