"""Every optimiser with every replay and every engine, on every problem, against the oracles.

The runs are neither of a square number of steps nor of a power, so that segments and trees come out uneven.
"""

from collections.abc import Iterator
from functools import cache
from itertools import product

import pytest
import torch
from members import ENGINES, OPTIMIZERS, REPLAYS
from oracles import assert_agree, differences, named, relative, unrolled
from torch import Tensor
from zoo import NUM_EXAMPLES, PROBLEMS

from farzi.metagrad.hvp import Hvp
from farzi.metagrad.replay import Replay, StoreAll
from farzi.metagrad.unroll import InnerRun
from farzi.metagrad.unstep import Unstep

LENGTHS = [7, 23]

EXACT = 1e-8
UNDONE = 1e-6  # a rounding error in a moment grows by 1 / beta with every step that is undone

COSTLY = {"sasrec", "recurrent"}

problems = pytest.mark.parametrize("name", PROBLEMS)
optimizers = pytest.mark.parametrize("setting", OPTIMIZERS)


def draw(steps: int) -> Tensor:
    return torch.randint(NUM_EXAMPLES, (steps, 4), generator=torch.Generator().manual_seed(0))


def combinations() -> Iterator:
    """All of them; longer runs are slow, and so are those of a costly problem that change optimiser and replay."""
    for name, setting, replay, engine, steps in product(PROBLEMS, OPTIMIZERS, REPLAYS, ENGINES, LENGTHS):
        slow = steps > 7 or (name in COSTLY and setting != "adam" and not isinstance(replay, StoreAll))
        label = f"{name}-{setting}-{replay}-{engine.__name__}-{steps}"
        yield pytest.param(name, setting, replay, engine, steps, id=label, marks=[pytest.mark.slow] if slow else [])


@cache
def through_graph(name: str, setting: str, steps: int) -> dict[str, Tensor]:
    problem, optimizer = PROBLEMS[name](), OPTIMIZERS[setting].optimizer
    lr, decay = OPTIMIZERS[setting].rates(steps)
    return unrolled(problem, optimizer.init(problem.weights), draw(steps), lr, optimizer, decay)


@cache
def adjoint(name: str, setting: str, replay: Replay, engine: Hvp, steps: int) -> dict[str, Tensor]:
    problem, optimizer = PROBLEMS[name](), OPTIMIZERS[setting].optimizer
    lr, decay = OPTIMIZERS[setting].rates(steps)
    run = InnerRun(loss=problem.loss, layout=problem.layout, optimizer=optimizer, replay=replay, engines=(engine,))
    start = optimizer.init(problem.weights)
    return named(
        run.differentiate(problem.outer, start, problem.examples, draw(steps), lr, decay=decay, shared=problem.shared)
    )


@pytest.mark.parametrize(("name", "setting", "replay", "engine", "steps"), list(combinations()))
def test_equals_autograd_through_the_unrolled_loop(name, setting, replay, engine, steps):
    if isinstance(replay, Unstep) and not OPTIMIZERS[setting].optimizer.reversible:
        with pytest.raises(ValueError, match="cannot be undone"):
            adjoint(name, setting, replay, engine, steps)
        return
    tolerance = UNDONE if isinstance(replay, Unstep) else EXACT
    assert_agree(adjoint(name, setting, replay, engine, steps), through_graph(name, setting, steps), tolerance)


@optimizers
@problems
def test_equals_central_differences(name, setting):
    problem, optimizer, steps = PROBLEMS[name](), OPTIMIZERS[setting].optimizer, LENGTHS[0]
    run = InnerRun(loss=problem.loss, layout=problem.layout, optimizer=optimizer)
    start, found = optimizer.init(problem.weights), adjoint(name, setting, StoreAll(), ENGINES[0], steps)
    moved = differences(problem, run, start, draw(steps), OPTIMIZERS[setting].rates(steps))
    for place, (along, wanted) in moved.items():
        slope = sum(float((found[key] * part).sum()) for key, part in along.items())
        assert relative(slope, wanted) <= 1e-5, place
