"""Which way of making Hessian-vector products is taken for a loss."""

import logging

import pytest
import torch
from members import ENGINES
from oracles import relative
from torch.autograd.function import once_differentiable
from zoo import NUM_EXAMPLES, PROBLEMS

from farzi.metagrad.adam import Adam
from farzi.metagrad.hvp import reverse_over_forward, reverse_over_reverse
from farzi.metagrad.tensors import Layout
from farzi.metagrad.unroll import InnerRun

STEPS = 5
SCHEDULE = torch.randint(NUM_EXAMPLES, (STEPS, 4), generator=torch.Generator().manual_seed(0))


class Square(torch.autograd.Function):
    """A square without a forward-mode formula."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, d):
        return 2 * ctx.saved_tensors[0] * d


class Slope(torch.autograd.Function):
    """Twice a number, and no way on from there."""

    @staticmethod
    def forward(ctx, x, d):
        return 2 * x * d

    @staticmethod
    def backward(ctx, d):
        raise RuntimeError("a square has no second derivative here")


class RoughSquare(Square):
    """One that cannot be differentiated twice at all."""

    @staticmethod
    def backward(ctx, d):
        return Slope.apply(ctx.saved_tensors[0], d)


class SquareOnce(Square):
    """One that says in torch's own way that it cannot be differentiated twice."""

    @staticmethod
    @once_differentiable
    def backward(ctx, d):
        return 2 * ctx.saved_tensors[0] * d


def squares(function=None, engines=(reverse_over_forward, reverse_over_reverse), steps: int = STEPS):
    """A robust regression with some square."""
    problem = PROBLEMS["linear"]()
    square = function.apply if function else torch.square

    def loss(p, batch):
        return (1 + square(batch["x"] @ p["slope"] + p["bias"] - batch["y"])).log().mean()

    run = InnerRun(loss=loss, layout=problem.layout, engines=engines)
    return run.differentiate(problem.outer, Adam().init(problem.weights), problem.examples, SCHEDULE[:steps], 0.01)


class Counted:
    """An engine that counts its calls."""

    def __init__(self, engine) -> None:
        self.engine, self.calls, self.__name__ = engine, 0, engine.__name__

    def __call__(self, *args):
        self.calls += 1
        return self.engine(*args)


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.DEBUG, logger="farzi.metagrad")
    return caplog


def test_the_first_that_works_is_taken(log):
    forward, reverse = (Counted(engine) for engine in ENGINES)
    squares(engines=(forward, reverse))
    assert (forward.calls, reverse.calls) == (STEPS, 0)
    assert not log.records


def test_without_a_forward_formula_the_next_one_is_taken(log):
    found, wanted = squares(Square), squares(engines=(reverse_over_reverse,))
    assert relative(found.weights, wanted.weights) < 1e-12
    assert relative(found.examples["x"], wanted.examples["x"]) < 1e-12
    assert [record.levelname for record in log.records] == ["INFO"]
    assert "reverse_over_forward cannot differentiate this loss" in log.records[0].getMessage()
    assert "\n" not in log.records[0].getMessage()


def test_what_failed_is_tried_once_for_each_gradient():
    forward, reverse = (Counted(engine) for engine in ENGINES)
    for times in (1, 2):
        squares(Square, engines=(forward, reverse))
        assert (forward.calls, reverse.calls) == (times, times * STEPS)


def test_the_last_engines_error_is_raised(log):
    with pytest.raises(RuntimeError, match="a square has no second derivative here"):
        squares(RoughSquare)
    assert len(log.records) == 1
    with pytest.raises(RuntimeError, match="forward mode AD"):
        squares(RoughSquare, engines=(reverse_over_reverse, reverse_over_forward))


def test_what_is_differentiable_once_is_an_error():
    """Torch cuts the graph there: asked for derivatives that may be missing, it gives zeros."""
    with pytest.raises(RuntimeError):
        squares(SquareOnce)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.__name__)
def test_a_loss_that_is_linear_has_no_second_derivative(engine):
    """No example has a gradient here either; what is asked for is the learning rate's."""
    layout = Layout({"w": torch.Size([3])})
    run = InnerRun(loss=lambda p, batch: p["w"][batch["ids"]].sum(), layout=layout, engines=(engine,))
    start = Adam().init(torch.zeros(3, dtype=torch.float64))
    examples, schedule = {"ids": torch.tensor([0, 1])}, torch.tensor([[0, 1], [0, 1]])
    found = run.differentiate(lambda p: p["w"].sum(), start, examples, schedule, 0.01)
    assert float(found.lr) == pytest.approx(-4, rel=1e-6)
    assert found.weights.tolist() == [1, 1, 1]


def test_an_engine_is_needed():
    problem = PROBLEMS["linear"]()
    with pytest.raises(ValueError, match="engines is empty"):
        InnerRun(loss=problem.loss, layout=problem.layout, engines=())
