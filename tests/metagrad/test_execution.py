"""Compiled programs of steps there and back against the functions themselves."""

import logging
import shutil

import pytest
import torch
from members import ENGINES
from oracles import relative
from test_engines import Square
from zoo import NUM_EXAMPLES, PROBLEMS, Problem

from farzi.metagrad import execution
from farzi.metagrad.adam import Adam
from farzi.metagrad.execution import Compiled, CompileError, Eager, Execution
from farzi.metagrad.hvp import gradient, reverse_over_forward
from farzi.metagrad.segments import Segments
from farzi.metagrad.tensors import Layout
from farzi.metagrad.unroll import InnerRun, MetaGradient
from farzi.metagrad.unstep import Unstep

compiles = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "c++", "clang++"))), reason="torch.compile needs a C++ compiler on a CPU"
)

LAYOUT = Layout({"w": torch.Size([3])})
WEIGHTS = torch.tensor([1.0, 2.0, 3.0])


def differentiate(problem: Problem, how: Execution, batch: int = 4, loss=None, replay=None) -> MetaGradient:
    """Five steps in segments, so that every step is taken twice and has to come out the same; each has its rates."""
    run = InnerRun(loss=loss or problem.loss, layout=problem.layout, replay=replay or Segments(), execution=how)
    schedule = torch.randint(NUM_EXAMPLES, (5, batch), generator=torch.Generator().manual_seed(0))
    start = Adam().init(problem.weights)
    lr, decay = torch.linspace(0.01, 0.02, 5), torch.linspace(0, 0.3, 5)
    return run.differentiate(problem.outer, start, problem.examples, schedule, lr, decay=decay, shared=problem.shared)


def assert_same(found: MetaGradient, wanted: MetaGradient) -> None:
    for part in ("weights", "lr", "decay"):
        assert relative(getattr(found, part), getattr(wanted, part)) < 1e-10, part
    for name, part in (wanted.examples | wanted.shared).items():
        assert relative((found.examples | found.shared)[name], part) < 1e-10, name


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, logger="farzi.metagrad")
    return caplog


LOOKS_AT_NUMBERS = "sparse_rows"  # one_hot sees that no class is out of its range


@compiles
@pytest.mark.parametrize(
    "name",
    [
        name if name == "regularised" else pytest.param(name, marks=pytest.mark.slow)
        for name in PROBLEMS
        if name != LOOKS_AT_NUMBERS
    ],
)
def test_programs_give_what_the_functions_give(name):
    problem = PROBLEMS[name]()
    assert_same(differentiate(problem, Compiled()), differentiate(problem, Eager()))


@compiles
@pytest.mark.slow
def test_a_step_is_undone_by_a_program():
    problem = PROBLEMS["linear"]()
    found, wanted = (differentiate(problem, how, replay=Unstep()) for how in (Compiled(), Eager()))
    assert_same(found, wanted)


@compiles
@pytest.mark.slow
def test_programs_are_made_once_for_each_shape(log):
    problem, how = PROBLEMS["linear"](), Compiled()
    for batch, made in ((4, 2), (4, 2), (3, 4), (4, 4)):
        assert_same(differentiate(problem, how, batch), differentiate(problem, Eager(), batch))
        assert len(log.records) == made
    assert "a gradient step of this loss is compiled, which took" in log.records[0].getMessage()
    assert "a step back by reverse_over_forward of this loss is compiled" in log.records[1].getMessage()


@compiles
def test_a_loss_without_forward_formulas_falls_back_before_it_is_compiled():
    problem, scale = PROBLEMS["linear"](), torch.tensor(0.3, dtype=torch.float64)

    def loss(p, batch):
        return (1 + scale * Square.apply(batch["x"] @ p["slope"] + p["bias"] - batch["y"])).log().mean()

    assert_same(differentiate(problem, Compiled(), loss=loss), differentiate(problem, Eager(), loss=loss))


def test_a_loss_that_looks_at_numbers_cannot_be_compiled():
    """Its program would do for all numbers what it did for the first."""

    def loss(p, _):
        return (p["w"].square() if float(p["w"].detach().sum()) > 0 else p["w"]).sum()

    with pytest.raises(CompileError, match=r"gradient of this loss cannot be compiled .*Eager\(\)"):
        Compiled()(gradient, loss, LAYOUT, WEIGHTS, {})
    with pytest.raises(CompileError, match=r"a gradient step of this loss cannot be compiled .*Eager\(\)"):
        differentiate(PROBLEMS[LOOKS_AT_NUMBERS](), Compiled())


@pytest.mark.parametrize("wrong", [1.01, float("nan")])
def test_a_program_that_is_off_is_an_error_each_time(monkeypatch, wrong):
    """As if the compiler had a fault; nothing may be kept of such a program."""

    def miscompiled(function, tensors):
        return lambda *given: tuple(part * wrong for part in function(*given))

    def loss(p, _):
        return p["w"].square().sum()

    monkeypatch.setattr(execution, "_program", lambda function, _: torch.enable_grad()(miscompiled(function, None)))
    how = Compiled()
    for _ in range(2):
        with pytest.raises(CompileError, match=r"compiled, gradient of this loss is off by .*Eager\(\)"):
            how(gradient, loss, LAYOUT, WEIGHTS, {})


def test_small_parts_of_a_result_are_compared_as_well(monkeypatch):
    """The product with the Hessian is a million times the mixed derivative here, and only that is wrong."""

    def miscompiled(function, _):
        def program(*given):
            product, mixed = torch.enable_grad()(function)(*given)
            return product, {name: part * 1.01 for name, part in mixed.items()}

        return program

    def loss(p, batch):
        return 1e4 * p["w"].square().sum() + (p["w"] * batch["x"]).sum()

    monkeypatch.setattr(execution, "_program", miscompiled)
    with pytest.raises(CompileError, match=r"off by 1\.0e-02"):
        Compiled()(reverse_over_forward, loss, LAYOUT, WEIGHTS, {"x": torch.ones(3)}, torch.ones(3))


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.__name__)
def test_eager_calls_the_function(engine):
    problem = PROBLEMS["linear"]()
    args = problem.loss, problem.layout, problem.weights, problem.batch, torch.ones_like(problem.weights)
    found, wanted = Eager()(engine, *args), engine(*args)
    assert torch.equal(found[0], wanted[0])


def test_a_tolerance_is_positive():
    with pytest.raises(ValueError, match="tolerance is 0; it must be positive"):
        Compiled(tolerance=0)
