"""What a replay costs is counted right: against real inner runs, and against what is known in closed form."""

import math

import pytest
import torch
from members import REPLAYS

from farzi.metagrad import (
    SGD,
    Adam,
    InnerRun,
    Layout,
    Segments,
    State,
    StoreAll,
    Tree,
    Unstep,
    Window,
    replay_cost,
    reverse_over_reverse,
)
from farzi.metagrad.steps import Backward


@pytest.mark.parametrize("num_steps", [1, 7, 30])
@pytest.mark.parametrize("replay", REPLAYS, ids=str)
def test_the_work_is_that_of_a_real_run(replay, num_steps):
    done = {"gradient": 0, "product": 0}

    def execution(function, loss, layout, *tensors):
        done["product" if isinstance(function, Backward) else "gradient"] += 1
        return function(loss, layout, *tensors)

    run = InnerRun(
        loss=lambda parameters, batch: (parameters["w"] - batch["x"]).square().mean(),
        layout=Layout({"w": torch.Size([3])}),
        replay=replay,
        engines=(reverse_over_reverse,),
        execution=execution,
    )
    moments = {"first": torch.full((3,), 0.1), "second": torch.full((3,), 0.1)}
    settled = State(100, torch.ones(3), moments)
    schedule = torch.zeros(num_steps, 1, dtype=torch.int64)
    run.differentiate(lambda last: last["w"].sum(), settled, {"x": torch.zeros(1, 3)}, schedule, 0.01)
    cost = replay_cost(replay, run.optimizer, num_steps)
    assert (cost.gradients, cost.products) == (done["gradient"], done["product"])


def test_memory_grows_as_the_strategies_promise():
    """A state of Adam has three vectors of 4 bytes, a step that is kept a gradient beside."""

    def held(replay, num_steps, optimizer=Adam()):  # noqa: B008
        return replay_cost(replay, optimizer, num_steps).bytes_per_parameter

    for num_steps in (1, 10, 100):
        assert held(StoreAll(), num_steps) == 12 + 16 * num_steps
        assert held(StoreAll(), num_steps, SGD(momentum=0.9)) == 8 + 12 * num_steps
    for num_steps in (100, 400, 1600):
        assert 24 <= held(Segments(), num_steps) / math.sqrt(num_steps) <= 32, "12 bytes a segment, 16 a step of one"
    assert held(Tree(), 1000) < held(Tree(), 100) + 3 * 2 * 12, "two levels more, of three states each"
    assert held(Unstep(), 1000) == held(Unstep(), 10)
    assert held(Window(steps=5), 1000) == held(StoreAll(), 5)


@pytest.mark.parametrize(("arity", "times"), [(4, 4.2), (8, 3.7)])
def test_a_tree_takes_steps_as_often_as_the_documentation_says(arity, times):
    assert replay_cost(Tree(arity=arity), Adam(), 1000).gradients / 1000 == pytest.approx(times, abs=0.05)
