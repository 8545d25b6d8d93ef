"""The gradient through Adam against two oracles: on every problem, with every engine, over short runs and long ones."""

from functools import cache

import pytest
import torch
from members import ENGINES
from oracles import assert_agree, differences, named, relative, unrolled
from torch import Tensor
from zoo import NUM_EXAMPLES, PROBLEMS

from farzi.metagrad.adam import Adam
from farzi.metagrad.hvp import reverse_over_forward
from farzi.metagrad.optimizer import State
from farzi.metagrad.tensors import Tensors
from farzi.metagrad.unroll import InnerRun, MetaGradient

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
    return InnerRun(loss=problem.loss, layout=problem.layout, optimizer=adam(steps), engines=(engine,))


@cache
def midway(name: str, steps: int, burn_in: int) -> State:
    problem = PROBLEMS[name]()
    start = adam(steps).init(problem.weights)
    if not burn_in:
        return start
    return inner(name, steps).run(start, problem.examples, draw(burn_in), LR, shared=problem.shared)


@cache
def through_graph(name: str, steps: int, burn_in: int = 0) -> dict[str, Tensor]:
    return unrolled(PROBLEMS[name](), midway(name, steps, burn_in), draw(steps), LR, adam(steps))


@cache
def adjoint(name: str, steps: int, engine, burn_in: int = 0) -> MetaGradient:
    problem, start, run = PROBLEMS[name](), midway(name, steps, burn_in), inner(name, steps, engine)
    return run.differentiate(problem.outer, start, problem.examples, draw(steps), LR, shared=problem.shared)


@problems
@engines
@lengths
def test_equals_autograd_through_the_unrolled_loop(name, engine, steps):
    assert_agree(named(adjoint(name, steps, engine)), through_graph(name, steps), 1e-8)


@cache
def by_differences(name: str, steps: int) -> dict[str, tuple[Tensors, float]]:
    return differences(PROBLEMS[name](), inner(name, steps), midway(name, steps, 0), draw(steps), (LR, 0.0))


@problems
@engines
@lengths
def test_equals_central_differences(name, engine, steps):
    found = named(adjoint(name, steps, engine))
    for place, (along, wanted) in by_differences(name, steps).items():
        slope = sum(float((found[key] * part).sum()) for key, part in along.items())
        assert relative(slope, wanted) <= 1e-5, place


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
    run = InnerRun(loss=problem.loss, layout=problem.layout, engines=(engine,))
    found = run.differentiate(problem.outer, start, problem.examples, schedule, LR)
    assert_agree(named(found), unrolled(problem, start, schedule, LR, Adam()), 1e-8)
    assert not found.examples["x"][3:].any()
    assert all(row.any() for row in found.examples["x"][:3])


@engines
def test_whole_numbers_and_what_nothing_depends_on(engine):
    """Only tensors of a floating type have a gradient; it is zero for those that are never used."""
    problem, found = PROBLEMS["regularised"](), adjoint("regularised", 20, engine)
    assert found.shared.keys() == problem.shared.keys() - {"ids"}
    assert "label" not in adjoint("example_weights", 20, engine).examples
    assert not adjoint("perceptron", 20, engine).examples["unused"].any()


def rows(vector: Tensor) -> Tensor:
    return vector.view(8, 3)


@engines
def test_nothing_flows_through_a_second_moment_of_zero(engine):
    """Rows 6 and 7 are never read: their gradient is the outer loss's own, though epsilon is all that divides it."""
    problem, found = PROBLEMS["sparse_rows"](), adjoint("sparse_rows", 20, engine)
    assert rows(found.final.moments["second"])[6:].count_nonzero() == 0
    untouched = torch.autograd.functional.jacobian(lambda e: problem.outer({"embedding": e}), rows(found.final.weights))
    torch.testing.assert_close(rows(found.weights)[6:], untouched[6:], rtol=1e-12, atol=0)


@engines
@pytest.mark.parametrize("betas", [(0.0, 0.999), (0.9, 0.0), (0.5, 0.9)], ids=str)
def test_other_decays(engine, betas):
    problem = PROBLEMS["recurrent"]()
    optimizer = Adam(beta1=betas[0], beta2=betas[1], epsilon=1e-2)
    run = InnerRun(loss=problem.loss, layout=problem.layout, optimizer=optimizer, engines=(engine,))
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
    final = inner(name, 20).run(midway(name, 20, 0), problem.examples, draw(20), LR, shared=problem.shared)
    assert final.count == found.final.count == 20
    assert torch.equal(final.weights, found.final.weights)
    for key, moment in final.moments.items():
        assert torch.equal(moment, found.final.moments[key]), key


@problems
@engines
def test_changes_nothing_that_was_passed_in(name, engine):
    problem, start, schedule = PROBLEMS[name](), midway(name, 20, 30), draw(4)
    lr = torch.full((4,), LR, dtype=torch.float64)
    given = {"weights": start.weights, "schedule": schedule, "lr": lr, **start.moments, **problem.batch}
    before = {key: part.clone() for key, part in given.items()}
    run = inner(name, 20, engine)
    run.run(start, problem.examples, schedule, lr, shared=problem.shared)
    run.differentiate(problem.outer, start, problem.examples, schedule, lr, shared=problem.shared)
    for key, part in given.items():
        assert torch.equal(part, before[key]), key
        assert not part.requires_grad, key


def test_no_steps_leave_the_outer_gradient():
    problem = PROBLEMS["linear"]()
    run = InnerRun(loss=problem.loss, layout=problem.layout)
    start = Adam().init(problem.weights)
    found = run.differentiate(problem.outer, start, problem.examples, draw(0), LR)
    assert_agree(named(found), unrolled(problem, start, draw(0), LR, Adam()), 1e-15)
    assert not found.examples["x"].any()
