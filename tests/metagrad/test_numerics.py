"""Numbers that are not finite, precision, and rates and names that do not fit."""

import pytest
import torch
from members import OPTIMIZERS
from oracles import assert_agree, named, relative
from torch import Tensor
from zoo import NUM_EXAMPLES, PROBLEMS

from farzi.metagrad.adam import Adam
from farzi.metagrad.replay import StoreAll, Window
from farzi.metagrad.segments import Segments
from farzi.metagrad.sgd import SGD
from farzi.metagrad.tensors import Layout, Loss
from farzi.metagrad.unroll import InnerRun, NonFiniteError
from farzi.metagrad.unstep import Unstep

PAIR = Layout({"a": torch.Size([2]), "b": torch.Size([3])})
LR = 0.01


def draw(steps: int) -> Tensor:
    return torch.randint(NUM_EXAMPLES, (steps, 4), generator=torch.Generator().manual_seed(steps))


def pair(loss: Loss, outer=lambda p: p["a"].sum() + p["b"].sum(), replay=StoreAll()):  # noqa: B008
    """Six steps of which the one numbered 4 sees an example of 0, and the others see 1."""
    run = InnerRun(loss=loss, layout=PAIR, optimizer=SGD(), replay=replay)
    examples = {"x": torch.tensor([1.0, 0.0], dtype=torch.float64)}
    start = SGD().init(torch.arange(1.0, 6.0, dtype=torch.float64))
    return run.differentiate(outer, start, examples, torch.tensor([0, 0, 0, 0, 1, 0])[:, None], LR)


def test_a_gradient_on_the_way_there():
    with pytest.raises(NonFiniteError, match=r"inner step 4: the gradient by 'b' is not finite in 2 of 3 entries"):
        pair(lambda p, batch: p["a"].square().sum() + (p["b"][1:] / batch["x"]).sum())


def test_a_gradient_of_a_run_that_is_not_differentiated():
    run = InnerRun(loss=lambda p, batch: (p["a"] / batch["x"]).sum(), layout=PAIR, optimizer=SGD())
    with pytest.raises(NonFiniteError, match=r"inner step 2: the gradient by 'a' is not finite in 2 of 2 entries"):
        run.run(SGD().init(torch.ones(5)), {"x": torch.tensor([1.0, 0.0])}, torch.tensor([[0], [0], [1]]), LR)


@pytest.mark.parametrize("replay", [StoreAll(), Segments(count=2)], ids=str)
def test_a_gradient_on_the_way_back(replay):
    """``z^1.5`` has slope 0 at 0, and no second derivative there."""

    def loss(p, batch):
        return p["a"].square().sum() + (p["b"][0] * batch["x"]).pow(1.5).sum()

    with pytest.raises(NonFiniteError, match=r"inner step 4, on the way back: .* 'b' is not finite in 1 of 3 entries"):
        pair(loss, replay=replay)


def test_the_outer_gradient():
    message = r"the outer loss: the gradient by 'b' is not finite in 3 of 3 entries"
    with pytest.raises(NonFiniteError, match=message):
        pair(lambda p, batch: (p["a"] * batch["x"]).sum(), lambda p: p["a"].sum() + (p["b"] - p["b"]).sqrt().sum())


def test_an_examples_gradient():
    """The weights' gradients are all finite: only the example's own, ``u / (2 sqrt(0))``, is not."""
    with pytest.raises(NonFiniteError, match=r"inner step 4, on the way back: the gradient by 'x'"):
        pair(lambda p, batch: (p["a"] * batch["x"].sqrt()).sum())


@pytest.mark.parametrize("replay", [StoreAll(), Segments(), Unstep()], ids=str)
@pytest.mark.parametrize("setting", OPTIMIZERS)
def test_single_precision_stays_single_and_close(replay, setting):
    problem, optimizer = PROBLEMS["perceptron"](), OPTIMIZERS[setting].optimizer
    if isinstance(replay, Unstep) and not optimizer.reversible:
        pytest.skip("it cannot be undone")
    seen = set()

    def loss(p, batch):
        seen.update(part.dtype for part in (*p.values(), *batch.values()))
        return problem.loss(p, batch)

    def outer(p):
        seen.update(part.dtype for part in p.values())
        return problem.outer({key: part.double() for key, part in p.items()})

    single = {key: part.float() for key, part in problem.examples.items()}
    lr, decay = OPTIMIZERS[setting].rates(20)
    run = InnerRun(loss=loss, layout=problem.layout, optimizer=optimizer, replay=replay)
    found = run.differentiate(outer, optimizer.init(problem.weights.float()), single, draw(20), lr, decay=decay)
    parts = [*found.examples.values(), found.weights, found.lr, found.decay, found.final.weights]
    assert {part.dtype for part in (*parts, *found.final.moments.values())} == {torch.float32}
    assert seen == {torch.float32}
    plain = InnerRun(loss=problem.loss, layout=problem.layout, optimizer=optimizer)
    start = optimizer.init(problem.weights)
    wanted = plain.differentiate(problem.outer, start, problem.examples, draw(20), lr, decay=decay)
    assert_agree(named(found), named(wanted), 1e-3)


@pytest.mark.parametrize("setting", OPTIMIZERS)
def test_rates_of_steps_sum_up_to_the_one_rates(setting):
    problem, optimizer = PROBLEMS["linear"](), OPTIMIZERS[setting].optimizer
    run, start = (
        InnerRun(loss=problem.loss, layout=problem.layout, optimizer=optimizer),
        optimizer.init(problem.weights),
    )
    equal = torch.full((15,), LR, dtype=torch.float64)
    each = run.differentiate(problem.outer, start, problem.examples, draw(15), equal, decay=20 * equal)
    one = run.differentiate(problem.outer, start, problem.examples, draw(15), LR, decay=20 * LR)
    for many, single in ((each.lr, one.lr), (each.decay, one.decay)):
        assert many.shape == (15,)
        assert single.shape == ()
        assert many.abs().min() > 0
        assert relative(many.sum(), single) < 1e-12
    assert torch.equal(each.weights, one.weights)


def test_a_rate_may_be_a_tensor_without_axes():
    problem = PROBLEMS["linear"]()
    run, start = InnerRun(loss=problem.loss, layout=problem.layout), Adam().init(problem.weights)
    rate = torch.tensor(LR, dtype=torch.float64, requires_grad=True)
    found = run.differentiate(problem.outer, start, problem.examples, draw(5), rate, decay=rate)
    wanted = run.differentiate(problem.outer, start, problem.examples, draw(5), LR, decay=LR)
    assert torch.equal(found.lr, wanted.lr)
    assert torch.equal(found.decay, wanted.decay)


@pytest.mark.parametrize("replay", [StoreAll(), Window(steps=2)], ids=str)
@pytest.mark.parametrize("name", ["lr", "decay"])
@pytest.mark.parametrize("count", [0, 1, 4, 6])
def test_one_rate_for_each_step(replay, name, count):
    problem = PROBLEMS["linear"]()
    run, start = InnerRun(loss=problem.loss, layout=problem.layout, replay=replay), Adam().init(problem.weights)
    rates = {"lr": LR, "decay": 0.0, name: torch.full((count,), 0.1)}
    message = f"{name} has {count} values for 5 steps"
    with pytest.raises(ValueError, match=message):
        run.differentiate(problem.outer, start, problem.examples, draw(5), **rates)
    with pytest.raises(ValueError, match=message):
        run.run(start, problem.examples, draw(5), **rates)


def test_a_name_stands_for_examples_or_for_something_shared():
    problem = PROBLEMS["linear"]()
    run, start = InnerRun(loss=problem.loss, layout=problem.layout), Adam().init(problem.weights)
    with pytest.raises(ValueError, match=r"\['y'\] are names of examples and of shared tensors"):
        run.run(start, problem.examples, draw(5), LR, shared={"y": torch.ones(2), "z": torch.ones(2)})
