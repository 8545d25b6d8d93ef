"""The paper's adjoint: what it computes, where that is exact, and that it is not in general."""

import pytest
import torch
from members import ENGINES
from oracles import assert_agree, named, relative, unrolled
from torch import Tensor
from zoo import NUM_EXAMPLES, PROBLEMS, Problem

from farzi.metagrad.adam import Adam, FoldedAdam
from farzi.metagrad.tensors import Layout
from farzi.metagrad.unroll import InnerRun

LR = 0.01

problems = pytest.mark.parametrize("name", PROBLEMS)


def draw(steps: int) -> Tensor:
    return torch.randint(NUM_EXAMPLES, (steps, 4), generator=torch.Generator().manual_seed(steps))


def folded(problem: Problem, schedule: Tensor, engine=ENGINES[0], **fields: float) -> dict[str, Tensor]:
    optimizer = FoldedAdam(**fields)
    run = InnerRun(loss=problem.loss, layout=problem.layout, optimizer=optimizer, engines=(engine,))
    start = optimizer.init(problem.weights)
    return named(run.differentiate(problem.outer, start, problem.examples, schedule, LR, shared=problem.shared))


def exact(problem: Problem, schedule: Tensor, **fields: float) -> dict[str, Tensor]:
    optimizer = Adam(**fields)
    return unrolled(problem, optimizer.init(problem.weights), schedule, LR, optimizer)


def recurrence(problem: Problem, schedule: Tensor, adam: Adam) -> tuple[Tensor, Tensor]:
    """Algorithm 1 of Farzi Data with dense second derivatives: derivatives by the weights and by the examples ``x``."""
    weights, x, b1, b2 = problem.weights, problem.examples["x"], adam.beta1, adam.beta2

    def grad(w: Tensor, x: Tensor, indices: Tensor) -> Tensor:
        batch = {name: part[indices] for name, part in {**problem.examples, "x": x}.items()}
        w = w if w.requires_grad else w.clone().requires_grad_()
        loss = problem.plain(problem.layout.unflatten(w), batch)
        return torch.autograd.grad(loss, w, create_graph=True)[0]

    m = v = torch.zeros_like(weights)
    kept = []
    for indices in schedule:
        g = grad(weights, x, indices).detach()
        kept.append((weights, g, m := b1 * m + (1 - b1) * g, v := b2 * v + (1 - b2) * g**2))
        t = len(kept)
        weights = weights - LR * (m / (1 - b1**t)) / ((v / (1 - b2**t)).sqrt() + adam.epsilon)
    dw = torch.autograd.functional.jacobian(lambda w: problem.outer(problem.layout.unflatten(w)), weights)
    dm, dx = torch.zeros_like(dw), torch.zeros_like(x)
    for t in range(len(schedule), 0, -1):
        weights, g, m, v = kept[t - 1]
        indices = schedule[t - 1]
        a, e = LR * (1 - b2**t) ** 0.5 / (1 - b1**t), adam.epsilon * (1 - b2**t) ** 0.5
        b = (1 - b2) / (1 - b1)
        dm = dm + a * (b * m * g / (v.sqrt() * (v.sqrt() + e) ** 2) - 1 / (v.sqrt() + e)) * dw
        hessian = torch.autograd.functional.jacobian(lambda w: grad(w, x, indices), weights)  # noqa: B023
        mixed = torch.autograd.functional.jacobian(lambda x: grad(weights, x, indices), x)  # noqa: B023
        dw = dw + (1 - b1) * hessian @ dm
        dx = dx + (1 - b1) * torch.tensordot(dm, mixed, 1)
        dm = b1 * dm
    return dw, dx


@pytest.mark.parametrize("name", ["linear", "perceptron"])
def test_is_the_papers_recurrence(name):
    problem, schedule = PROBLEMS[name](), draw(20)
    found = folded(problem, schedule)
    by_weights, by_x = recurrence(problem, schedule, Adam())
    assert relative(found["weights"], by_weights) <= 1e-8
    assert relative(found["x"], by_x) <= 1e-8


@problems
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.__name__)
def test_is_exact_for_one_step(name, engine):
    problem, schedule = PROBLEMS[name](), draw(1)
    assert_agree(folded(problem, schedule, engine, epsilon=1e-2), exact(problem, schedule, epsilon=1e-2), 1e-8)


@problems
def test_is_exact_without_memory(name):
    """With decays of 0 nothing passes from one step to the next but the weights."""
    problem, schedule, fields = PROBLEMS[name](), draw(20), {"beta1": 0.0, "beta2": 0.0, "epsilon": 1e-2}
    assert_agree(folded(problem, schedule, **fields), exact(problem, schedule, **fields), 1e-8)


def slopes() -> Problem:
    """A loss whose gradient is the same at every step that sees the same examples."""
    x, weights = torch.linspace(-1, 2, 2 * NUM_EXAMPLES, dtype=torch.float64).view(-1, 2), torch.tensor([0.3, -0.7])
    loss = lambda p, batch: (batch["x"] @ p["w"]).mean()  # noqa: E731
    outer = lambda p: p["w"].sin().sum()  # noqa: E731
    return Problem(loss=loss, plain=loss, outer=outer, parameters={"w": weights.double()}, examples={"x": x})


@pytest.mark.parametrize(("beta2", "same"), [(0.8, True), (0.9, False)])
def test_is_exact_where_both_moments_decay_alike_and_gradients_do_not_change(beta2, same):
    """One decay stands in for the other, and one step's gradient for another's."""
    problem, fields = slopes(), {"beta1": 0.8, "beta2": beta2, "epsilon": 0.1}
    always = torch.arange(NUM_EXAMPLES).expand(20, -1)
    error = relative(folded(problem, always, **fields)["x"], exact(problem, always, **fields)["x"])
    assert error <= 1e-8 if same else error > 1e-2


@pytest.mark.parametrize("name", sorted(PROBLEMS.keys() - {"sparse_rows"}))
def test_is_not_exact_in_general(name):
    problem, schedule = PROBLEMS[name](), draw(20)
    found, wanted = folded(problem, schedule), exact(problem, schedule)
    assert relative(found["final"], wanted["final"]) <= 1e-12, "only the way back differs"
    some = next(key for key, part in problem.examples.items() if part.is_floating_point() and key != "label")
    assert relative(found[some], wanted[some]) > 0.01


def test_a_second_moment_of_zero_passes_nothing():
    layout, optimizer = Layout({"w": torch.Size([2])}), FoldedAdam()
    run = InnerRun(loss=lambda p, batch: (p["w"][0] - batch["x"]).square().sum(), layout=layout, optimizer=optimizer)
    start = optimizer.init(torch.zeros(2))
    found = run.differentiate(lambda p: p["w"].sum(), start, {"x": torch.ones(3)}, torch.zeros(5, 1).long(), 0.1)
    assert found.weights.isfinite().all()
    assert found.weights[1] == 1
