"""The gradient through a training run against two oracles, on every problem and with every engine."""

from functools import cache

import pytest
import torch
from oracles import differences, named, relative, unrolled
from torch import Tensor
from zoo import NUM_EXAMPLES, PROBLEMS

from farzi.metagrad.adam import Adam, AdamState
from farzi.metagrad.hvp import reverse_over_forward, reverse_over_reverse
from farzi.metagrad.unroll import InnerRun, MetaGradient

ENGINES = [reverse_over_forward, reverse_over_reverse]
LENGTHS = [1, 2, 20, 100]
LR = 0.01

problems = pytest.mark.parametrize("name", PROBLEMS)
engines = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.__name__)
lengths = pytest.mark.parametrize("steps", LENGTHS)


def adam(steps: int) -> Adam:
    """Torch's default Adam; but its first step is the gradient's sign, all derivative of the size of epsilon."""
    return Adam(epsilon=1e-2 if steps == 1 else 1e-8)


def draw(steps: int, batch: int = 4) -> Tensor:
    """A schedule with repeated examples, within batches and across them."""
    return torch.randint(NUM_EXAMPLES, (steps, batch), generator=torch.Generator().manual_seed(steps))


def inner(name: str, steps: int, engine=reverse_over_forward) -> InnerRun:
    problem = PROBLEMS[name]()
    return InnerRun(loss=problem.loss, layout=problem.layout, optimizer=adam(steps), hvp=engine)


@cache
def midway(name: str, steps: int, burn_in: int) -> AdamState:
    problem = PROBLEMS[name]()
    start = adam(steps).init(problem.weights)
    return inner(name, steps).run(start, problem.examples, draw(burn_in), LR) if burn_in else start


@cache
def through_graph(name: str, steps: int, burn_in: int = 0) -> dict[str, Tensor]:
    return unrolled(PROBLEMS[name](), midway(name, steps, burn_in), draw(steps), LR, adam(steps))


@cache
def adjoint(name: str, steps: int, engine, burn_in: int = 0) -> MetaGradient:
    problem = PROBLEMS[name]()
    run = inner(name, steps, engine)
    return run.differentiate(problem.outer, midway(name, steps, burn_in), problem.examples, draw(steps), LR)


def assert_agree(found: dict[str, Tensor], wanted: dict[str, Tensor], tolerance: float) -> None:
    assert found.keys() == wanted.keys()
    errors = {key: relative(found[key], wanted[key]) for key in wanted}
    assert all(error <= tolerance for error in errors.values()), f"relative errors above {tolerance}: {errors}"


@problems
@engines
@lengths
def test_equals_autograd_through_the_unrolled_loop(name, engine, steps):
    assert_agree(named(adjoint(name, steps, engine)), through_graph(name, steps), 1e-8)


@cache
def by_differences(name: str, steps: int) -> tuple[dict[str, Tensor], dict[str, float]]:
    problem, generator = PROBLEMS[name](), torch.Generator().manual_seed(0)
    moving = {k: v for k, v in {**problem.examples, "weights": problem.weights}.items() if v.is_floating_point()}
    along = {k: torch.randn(v.shape, generator=generator, dtype=v.dtype) for k, v in moving.items()}
    start = adam(steps).init(problem.weights)
    return along, differences(problem, inner(name, steps), start, draw(steps), LR, along)


@problems
@engines
@lengths
def test_equals_central_differences(name, engine, steps):
    along, wanted = by_differences(name, steps)
    gradient = adjoint(name, steps, engine)
    found = {
        "examples": sum(float((part * along[key]).sum()) for key, part in gradient.examples.items()),
        "weights": float(gradient.weights @ along["weights"]),
        "lr": gradient.lr,
    }
    errors = {key: relative(found[key], wanted[key]) for key in wanted}
    assert all(error <= 1e-5 for error in errors.values()), f"relative errors above 1e-5: {errors}"


@problems
@engines
def test_starts_from_the_middle_of_a_run(name, engine):
    assert midway(name, 20, 30).count == 30
    assert_agree(named(adjoint(name, 20, engine, burn_in=30)), through_graph(name, 20, burn_in=30), 1e-8)


@engines
def test_the_bias_correction_of_a_late_start_matters(engine):
    late = midway("linear", 20, 30)
    problem, run = PROBLEMS["linear"](), inner("linear", 20, engine)
    early = run.differentiate(problem.outer, late._replace(count=0), problem.examples, draw(20), LR)
    assert relative(early.weights, through_graph("linear", 20, burn_in=30)["weights"]) > 1e-3


@engines
def test_an_example_counts_as_often_as_it_is_seen(engine):
    problem = PROBLEMS["perceptron"]()
    schedule = torch.tensor([[0, 0, 0], [0, 1, 1], [2, 0, 2]])
    start = Adam().init(problem.weights)
    run = InnerRun(loss=problem.loss, layout=problem.layout, hvp=engine)
    found = run.differentiate(problem.outer, start, problem.examples, schedule, LR)
    assert_agree(named(found), unrolled(problem, start, schedule, LR, Adam()), 1e-8)
    assert not found.examples["x"][3:].any()
    assert all(row.any() for row in found.examples["x"][:3])


def rows(vector: Tensor) -> Tensor:
    return vector.view(8, 3)


@engines
def test_nothing_flows_through_a_second_moment_of_zero(engine):
    """Rows 6 and 7 are never read: their gradient is the outer loss's own, though epsilon is all that divides it."""
    problem, found = PROBLEMS["sparse_rows"](), adjoint("sparse_rows", 20, engine)
    assert rows(found.final.second)[6:].count_nonzero() == 0
    untouched = torch.autograd.functional.jacobian(lambda e: problem.outer({"embedding": e}), rows(found.final.weights))
    torch.testing.assert_close(rows(found.weights)[6:], untouched[6:], rtol=1e-12, atol=0)


@engines
@pytest.mark.parametrize("betas", [(0.0, 0.999), (0.9, 0.0), (0.5, 0.9)], ids=str)
def test_other_decays(engine, betas):
    problem = PROBLEMS["recurrent"]()
    optimizer = Adam(beta1=betas[0], beta2=betas[1], epsilon=1e-2)
    run = InnerRun(loss=problem.loss, layout=problem.layout, optimizer=optimizer, hvp=engine)
    start = optimizer.init(problem.weights)
    found = run.differentiate(problem.outer, start, problem.examples, draw(20), LR)
    assert_agree(named(found), unrolled(problem, start, draw(20), LR, optimizer), 1e-8)


def test_the_derivative_at_a_learning_rate_of_zero():
    problem = PROBLEMS["linear"]()
    start = Adam().init(problem.weights)
    run = InnerRun(loss=problem.loss, layout=problem.layout)
    found = run.differentiate(problem.outer, start, problem.examples, draw(5), 0.0)
    wanted = unrolled(problem, start, draw(5), 0.0, Adam())
    assert relative(found.lr, wanted["lr"]) <= 1e-8


@problems
@engines
def test_running_ends_where_differentiating_ends(name, engine):
    problem, found = PROBLEMS[name](), adjoint(name, 20, engine)
    final = inner(name, 20).run(midway(name, 20, 0), problem.examples, draw(20), LR)
    assert final.count == found.final.count == 20
    for part in ("weights", "first", "second"):
        assert torch.equal(getattr(final, part), getattr(found.final, part)), part


@problems
@engines
def test_changes_nothing_that_was_passed_in(name, engine):
    problem, start, schedule = PROBLEMS[name](), midway(name, 20, 30), draw(20)
    given = {"weights": start.weights, "first": start.first, "second": start.second, "schedule": schedule}
    given |= problem.examples
    before = {key: part.clone() for key, part in given.items()}
    run = inner(name, 20, engine)
    run.run(start, problem.examples, schedule, LR)
    run.differentiate(problem.outer, start, problem.examples, schedule, LR)
    for key, part in given.items():
        assert torch.equal(part, before[key]), key
        assert not part.requires_grad, key


@engines
def test_single_precision_stays_single_and_close(engine):
    problem = PROBLEMS["recurrent"]()
    run = inner("recurrent", 20, engine)
    examples = {key: part.float() for key, part in problem.examples.items()}
    outer = lambda p: problem.outer({key: part.double() for key, part in p.items()})  # noqa: E731
    found = run.differentiate(outer, Adam().init(problem.weights.float()), examples, draw(20), LR)
    assert {part.dtype for part in (*found.examples.values(), found.weights)} == {torch.float32}
    assert_agree(named(found), through_graph("recurrent", 20), 1e-4)


def test_no_steps_leave_the_outer_gradient():
    problem = PROBLEMS["linear"]()
    run = InnerRun(loss=problem.loss, layout=problem.layout)
    start = Adam().init(problem.weights)
    found = run.differentiate(problem.outer, start, problem.examples, draw(0), LR)
    assert_agree(named(found), unrolled(problem, start, draw(0), LR, Adam()), 1e-15)
    assert not found.examples["x"].any()
