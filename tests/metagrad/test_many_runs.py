"""Independent inner runs as one run with stacked parameters: the rules work entry by entry, so nothing is mixed."""

import pytest
import torch
from members import OPTIMIZERS
from oracles import relative
from zoo import NUM_EXAMPLES, PROBLEMS

from farzi.metagrad.segments import Segments
from farzi.metagrad.tensors import Layout
from farzi.metagrad.unroll import InnerRun

RUNS, STEPS = 3, 7


@pytest.mark.parametrize("setting", OPTIMIZERS)
@pytest.mark.parametrize("name", ["linear", "perceptron", "example_weights"])
def test_stacked_runs_are_the_runs(name, setting):
    problem, optimizer = PROBLEMS[name](), OPTIMIZERS[setting].optimizer
    lr, decay = OPTIMIZERS[setting].rates(STEPS)
    generator = torch.Generator().manual_seed(0)
    schedule = torch.randint(NUM_EXAMPLES, (STEPS, 4), generator=generator)

    def differentiate(loss, outer, parameters):
        layout = Layout.of(parameters)
        run = InnerRun(loss=loss, layout=layout, optimizer=optimizer, replay=Segments())
        start = optimizer.init(layout.flatten(parameters))
        return run.differentiate(outer, start, problem.examples, schedule, lr, decay=decay), layout

    starts = [
        {
            key: part + 0.1 * torch.randn(part.shape, generator=generator, dtype=part.dtype)
            for key, part in problem.parameters.items()
        }
        for _ in range(RUNS)
    ]
    stacked = {key: torch.stack([start[key] for start in starts]) for key in problem.parameters}
    together, layout = differentiate(
        lambda p, batch: torch.vmap(problem.loss, in_dims=(0, None))(p, batch).sum(),
        lambda p: torch.vmap(problem.outer)(p).sum(),
        stacked,
    )
    each = [differentiate(problem.loss, problem.outer, start) for start in starts]
    for key, part in together.examples.items():
        assert relative(part, sum(found.examples[key] for found, _ in each)) < 1e-10, key
    assert relative(together.lr, sum(found.lr for found, _ in each)) < 1e-10
    weights = layout.unflatten(together.weights)
    for number, (found, own) in enumerate(each):
        for key, part in own.unflatten(found.weights).items():
            assert relative(weights[key][number], part) < 1e-10, key
