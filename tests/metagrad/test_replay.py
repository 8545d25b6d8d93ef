"""Every replay gives the same steps, in an order of work that is written down here."""

import gc
import math
import weakref

import pytest
import torch
from members import REPLAYS
from oracles import named, relative
from zoo import NUM_EXAMPLES, PROBLEMS

from farzi.metagrad import (
    SGD,
    Adam,
    InnerRun,
    Replay,
    ReplayError,
    Segments,
    State,
    Step,
    StoreAll,
    Tree,
    Unstep,
    Window,
)

EXACT = [replay for replay in REPLAYS if not isinstance(replay, Unstep)]

exact = pytest.mark.parametrize("replay", EXACT, ids=str)
START = Adam().init(torch.tensor([0.5, -2.0], dtype=torch.float64))


class Trainer:
    """Steps whose gradients tell their numbers; it writes down what it is asked, and counts the states alive."""

    def __init__(self) -> None:
        self.asked: list[str | int] = []
        self.alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
        self.most = 0

    def advance(self, number: int, state: State) -> Step:
        self.asked.append(number)
        grad = self.gradient(number, state.weights)
        after = Adam().step(state, grad, Adam().rates(state.count + 1, 0.1))
        self.count(after)
        return Step(number, state, grad, after)

    def retreat(self, number: int, state: State) -> Step:
        self.asked.append(f"back {number}")
        weights = Adam().weights_before(state, Adam().rates(state.count, 0.1))
        grad = self.gradient(number, weights)
        before = State(state.count - 1, weights, Adam().undo(state.moments, grad))
        self.count(before)
        return Step(number, before, grad, state)

    def gradient(self, number: int, weights: torch.Tensor) -> torch.Tensor:
        return weights.sin() + number / 10

    def count(self, state: State) -> None:
        self.alive.add(state.weights)
        self.most = max(self.most, len(self.alive))


def order_of_work(replay: Replay, num_steps: int) -> list[str | int]:
    """Numbers of the steps taken, and ``<n`` where step n is handed out."""
    trainer = Trainer()
    for step in replay.forward(trainer, START, num_steps)[1]:
        trainer.asked.append(f"<{step.number}")
    return trainer.asked


def steps_taken(replay: Replay, num_steps: int) -> int:
    return sum(isinstance(entry, int) for entry in order_of_work(replay, num_steps))


@pytest.mark.parametrize("num_steps", [0, 1, 2, 7, 30])
@exact
def test_steps_come_back_from_the_last_to_the_first(replay, num_steps):
    trainer, wanted, state = Trainer(), [], START
    for number in range(num_steps):
        wanted.append(trainer.advance(number, state))
        state = wanted[-1].after
    final, steps = replay.forward(trainer, START, num_steps)
    assert final.count == num_steps
    assert torch.equal(final.weights, state.weights)
    found = list(steps)
    assert [step.number for step in found] == list(reversed(range(num_steps)))
    for ours, theirs in zip(found, reversed(wanted), strict=True):
        assert torch.equal(ours.grad, theirs.grad)
        for side in ("before", "after"):
            mine, its = getattr(ours, side), getattr(theirs, side)
            assert mine.count == its.count
            assert torch.equal(mine.weights, its.weights)
            assert all(torch.equal(mine.moments[name], its.moments[name]) for name in its.moments)


@exact
def test_the_meta_gradient_is_the_same_to_the_last_bit(replay):
    problem = PROBLEMS["perceptron"]()
    schedule = torch.randint(NUM_EXAMPLES, (17, 3), generator=torch.Generator().manual_seed(0))
    start = Adam().init(problem.weights)
    found, wanted = (
        named(
            InnerRun(loss=problem.loss, layout=problem.layout, replay=how).differentiate(
                problem.outer, start, problem.examples, schedule, 0.01
            )
        )
        for how in (replay, StoreAll())
    )
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_order_of_work_store_all():
    assert order_of_work(StoreAll(), 3) == [0, 1, 2, "<2", "<1", "<0"]


def test_order_of_work_segments():
    assert order_of_work(Segments(count=3), 7) == [
        0, 1, 2, 3, 4, 5, 6, "<6", "<5", "<4",
        2, 3, "<3", "<2",
        0, 1, "<1", "<0",
    ]  # fmt: skip


def test_order_of_work_tree():
    assert order_of_work(Tree(arity=2), 8) == [
        0, 1, 2, 3, 4, 5, 6, 7,
        4, 5, 6, 7, "<7", "<6", 4, 5, "<5", "<4",
        0, 1, 2, 3, "<3", "<2", 0, 1, "<1", "<0",
    ]  # fmt: skip


def test_order_of_work_uneven_tree():
    assert order_of_work(Tree(arity=3), 10) == [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
        6, 7, 8, 9, "<9", "<8", 7, "<7", 6, "<6",
        3, 4, 5, "<5", "<4", "<3",
        0, 1, 2, "<2", "<1", "<0",
    ]  # fmt: skip


def test_order_of_work_unstep():
    assert order_of_work(Unstep(), 3) == [0, 1, 2, "back 2", "<2", "back 1", "<1", "back 0", "<0"]


def test_order_of_work_window():
    assert order_of_work(Window(steps=2), 5) == [0, 1, 2, 3, 4, "<4", "<3"]


def test_order_of_work_segments_within_a_window():
    within = Segments(count=2)
    assert order_of_work(Window(steps=4, within=within), 6) == [0, 1, 2, 3, 4, 5, "<5", "<4", 2, 3, "<3", "<2"]


def test_order_of_work_undone_steps_within_a_window():
    assert order_of_work(Window(steps=2, within=Unstep()), 4) == [0, 1, 2, 3, "back 3", "<3", "back 2", "<2"]


@pytest.mark.parametrize(
    ("replay", "num_steps", "bound"),
    [
        (StoreAll(), 400, 400),
        (Segments(), 16, 2 * 4 + 1),
        (Segments(), 400, 2 * 20 + 1),
        (Segments(count=10), 400, 10 + 40 + 1),
        (Tree(arity=2), 64, 6 + 3),
        (Tree(arity=2), 1024, 10 + 3),
        (Tree(arity=4), 64, 3 * 3 + 4),
        (Tree(arity=4), 1024, 3 * 5 + 4),
        (Unstep(), 10, 4),
        (Unstep(), 100, 4),
        (Window(steps=10), 400, 11),
    ],
    ids=str,
)
def test_states_alive_at_once(replay, num_steps, bound):
    """All steps, twice their root, ``(arity - 1) log(T) / log(arity)``, or a constant; and a few in the making."""
    gc.collect()
    trainer = Trainer()
    for _ in replay.forward(trainer, START, num_steps)[1]:
        trainer.most = max(trainer.most, len(trainer.alive))
    assert bound / 2 <= trainer.most <= bound


@pytest.mark.parametrize(
    ("replay", "num_steps", "again"),
    [
        (StoreAll(), 20, 0),
        (Segments(count=1), 20, 0),
        (Segments(count=3), 7, 7 - 3),
        (Segments(), 400, 400 - 20),
        (Segments(count=400), 400, 400 - 1),
        (Tree(arity=2), 64, 192),
        (Tree(arity=4), 64, 112),
        (Tree(arity=4), 256, 640),
        (Tree(arity=20), 400, 400),
        (Window(steps=10), 20, 0),
    ],
    ids=str,
)
def test_steps_taken_again(replay, num_steps, again):
    """Segments: all but the last one's. Tree of depth k: all at the leaves, and ``1 - 1 / arity`` of them k - 2 times.

    A tree's root is run through on the way there.
    """
    assert steps_taken(replay, num_steps) - num_steps == again


@pytest.mark.parametrize(
    ("replay", "handed_out", "steps"),
    [(Segments(count=3), [7, 6, 5, 4, 3, 2], "0 to 1"), (Tree(arity=2), [7, 6, 5, 4], "2 to 3")],
    ids=str,
)
def test_a_step_that_comes_out_differently_is_an_error(replay, handed_out, steps):
    """No step that depends on it is handed out. The tree sees it in the first leaf that starts from another state."""

    class Forgetful(Trainer):
        def gradient(self, number: int, weights: torch.Tensor) -> torch.Tensor:
            return super().gradient(number, weights) + (1e-9 if number == 1 and self.asked.count(1) > 1 else 0)

    found = []

    def collect() -> None:
        for step in replay.forward(Forgetful(), START, 8)[1]:
            found.append(step.number)  # noqa: PERF401

    with pytest.raises(ReplayError, match=rf"inner steps {steps} came out differently.*deterministic"):
        collect()
    assert found == handed_out


@pytest.mark.parametrize("replay", [Segments(), Tree()], ids=str)
def test_dropout_is_an_error(replay):
    problem = PROBLEMS["linear"]()

    def loss(p, batch):
        return problem.loss(p, {**batch, "x": torch.nn.functional.dropout(batch["x"], 0.5)})

    schedule = torch.randint(NUM_EXAMPLES, (20, 4), generator=torch.Generator().manual_seed(0))
    run = InnerRun(loss=loss, layout=problem.layout, replay=replay)
    with pytest.raises(ReplayError, match="no dropout"):
        run.differentiate(problem.outer, Adam().init(problem.weights), problem.examples, schedule, 0.01)


def unstepped(steps: int, optimizer=None, dtype=torch.float64, name: str = "linear", **fields: float):
    """What undoing finds, and what storing does."""
    problem = PROBLEMS[name]()
    optimizer = optimizer or Adam()
    schedule = torch.randint(NUM_EXAMPLES, (steps, 4), generator=torch.Generator().manual_seed(0))
    examples = {key: part.to(dtype) if part.is_floating_point() else part for key, part in problem.examples.items()}
    outer = lambda p: problem.outer({key: part.double() for key, part in p.items()})  # noqa: E731
    return tuple(
        InnerRun(loss=problem.loss, layout=problem.layout, optimizer=optimizer, replay=replay).differentiate(
            outer, optimizer.init(problem.weights.to(dtype)), examples, schedule, 0.01
        )
        for replay in (Unstep(**fields), StoreAll())
    )


def test_undone_steps_are_those_taken_up_to_rounding():
    found, wanted = unstepped(100)
    assert 0 < relative(found.examples["x"], wanted.examples["x"]) < 1e-6
    assert relative(found.weights, wanted.weights) < 1e-6


def test_undoing_single_precision_goes_through_double():
    """In single precision all would be lost by then: 0.9^-100 times 6e-8 is 2e-3."""
    found, wanted = unstepped(100, dtype=torch.float32)
    assert found.examples["x"].dtype == found.weights.dtype == found.final.weights.dtype == torch.float32
    assert relative(found.examples["x"], wanted.examples["x"]) < 1e-4


def test_undoing_too_many_steps_is_an_error():
    """Adjoints that are carried along states so far off cease to be finite before the first state is reached."""
    with pytest.raises(ReplayError, match=r"undoing 600 inner steps went astray .*Segments"):
        unstepped(600)


def test_undoing_too_many_steps_ends_in_a_replay_error_of_its_own():
    """Whatever the adjoint makes of the steps on the way, they must not come to an end as if they were right."""
    with pytest.raises(ReplayError, match=r"undoing 600 inner steps .*Segments"):
        list(Unstep().forward(Trainer(), START, 600)[1])


def test_undoing_past_the_tolerance_is_an_error():
    with pytest.raises(ReplayError, match=r"undoing 100 inner steps led to a state off by .*tolerance of 1e-14.*Tree"):
        unstepped(100, tolerance=1e-14)


def test_undoing_reaches_back_to_a_second_moment_of_zero():
    """A row that is first read late: what rounding leaves of its second moment must not be negative."""
    found, wanted = unstepped(11, name="sparse_rows")
    assert relative(found.examples["x"], wanted.examples["x"]) < 1e-6
    assert relative(found.weights, wanted.weights) < 1e-6


@pytest.mark.parametrize(
    "optimizer", [SGD(), SGD(momentum=0.9, nesterov=True), Adam(beta1=0.0), Adam(beta2=0.0)], ids=str
)
def test_what_cannot_be_undone_says_so(optimizer):
    """Momentum that leaves nothing behind cannot be found again."""
    with pytest.raises(ValueError, match=r"(SGD|Adam)\(.*cannot be undone; replay with StoreAll"):
        unstepped(2, optimizer=optimizer)


@pytest.mark.parametrize("within", [StoreAll(), Segments(), Tree(arity=2), Unstep()], ids=str)
def test_a_window_is_a_run_from_its_own_start(within):
    problem, optimizer = PROBLEMS["perceptron"](), Adam()
    schedule = torch.randint(NUM_EXAMPLES, (30, 4), generator=torch.Generator().manual_seed(0))
    run = InnerRun(loss=problem.loss, layout=problem.layout, replay=Window(steps=8, within=within))
    rates = torch.linspace(0.01, 0.02, 30)
    start = optimizer.init(problem.weights)
    found = run.differentiate(problem.outer, start, problem.examples, schedule, rates, decay=0.1)
    late = run.run(start, problem.examples, schedule[:22], rates[:22], decay=0.1)
    wanted = InnerRun(loss=problem.loss, layout=problem.layout, replay=within).differentiate(
        problem.outer, late, problem.examples, schedule[22:], rates[22:], decay=0.1
    )
    assert found.value == wanted.value
    assert torch.equal(found.final.weights, wanted.final.weights)
    assert torch.equal(found.examples["x"], wanted.examples["x"])
    assert torch.equal(found.weights, wanted.weights)
    assert relative(found.decay, wanted.decay) < 1e-12
    assert torch.equal(found.lr[22:], wanted.lr)
    assert not found.lr[:22].any()


@pytest.mark.parametrize("steps", [30, 31])
def test_a_window_over_all_steps_is_the_whole_run(steps):
    problem, start = PROBLEMS["linear"](), Adam().init(PROBLEMS["linear"]().weights)
    schedule = torch.randint(NUM_EXAMPLES, (30, 4), generator=torch.Generator().manual_seed(0))
    found, wanted, short = (
        named(
            InnerRun(loss=problem.loss, layout=problem.layout, replay=replay).differentiate(
                problem.outer, start, problem.examples, schedule, 0.01
            )
        )
        for replay in (Window(steps=steps), StoreAll(), Window(steps=29))
    )
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    assert torch.equal(short["final"], wanted["final"])
    assert not torch.equal(short["x"], wanted["x"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="states rest in main memory only where there is a GPU")
@pytest.mark.parametrize("kind", [Segments, Tree])
def test_states_may_rest_in_main_memory(kind):
    problem = PROBLEMS["linear"]()
    examples = {name: part.cuda() for name, part in problem.examples.items()}
    schedule = torch.randint(NUM_EXAMPLES, (30, 4), device="cuda")
    found, wanted = (
        InnerRun(loss=problem.loss, layout=problem.layout, replay=kind(offload=offload)).differentiate(
            lambda p: p["slope"].sin().sum(), Adam().init(problem.weights.cuda()), examples, schedule, 0.01
        )
        for offload in (True, False)
    )
    assert torch.equal(found.weights, wanted.weights)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Segments(count=-1), "count is -1"),
        (lambda: Tree(arity=1), "arity is 1"),
        (lambda: Unstep(tolerance=0.0), "tolerance is 0.0"),
        (lambda: Unstep(tolerance=math.nan), "tolerance is nan"),
        (lambda: Window(steps=0), "steps is 0"),
    ],
)
def test_values_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
