"""Every replay gives the same states, from the last step to the first."""

import pytest
import torch
from oracles import named
from zoo import NUM_EXAMPLES, PROBLEMS

from farzi.metagrad.adam import Adam, AdamState
from farzi.metagrad.replay import Replay, Step, StoreAll
from farzi.metagrad.unroll import InnerRun

REPLAYS: list[Replay] = [StoreAll()]

replays = pytest.mark.parametrize("replay", REPLAYS, ids=str)


def advance(number: int, state: AdamState) -> Step:
    """A step whose gradient tells its number."""
    grad = state.weights.sin() + number
    return Step(number, state, grad, Adam().step(state, grad, 0.1))


@replays
@pytest.mark.parametrize("num_steps", [0, 1, 2, 7, 30])
def test_steps_come_back_from_the_last_to_the_first(replay, num_steps):
    start = Adam().init(torch.tensor([0.5, -2.0], dtype=torch.float64))
    wanted, state = [], start
    for number in range(num_steps):
        wanted.append(advance(number, state))
        state = wanted[-1].after
    final, steps = replay.forward(advance, start, num_steps)
    assert final.count == num_steps
    assert torch.equal(final.weights, state.weights)
    found = list(steps)
    assert [step.number for step in found] == list(reversed(range(num_steps)))
    for ours, theirs in zip(found, reversed(wanted), strict=True):
        assert torch.equal(ours.grad, theirs.grad)
        for side in ("before", "after"):
            mine, its = getattr(ours, side), getattr(theirs, side)
            assert mine.count == its.count
            assert all(torch.equal(a, b) for a, b in zip(mine[1:], its[1:], strict=True))


@replays
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
