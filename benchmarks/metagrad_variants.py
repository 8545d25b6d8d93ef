"""Two ways to make differentiation through Adam cheaper that change no formula: bfloat16, and many runs at once.

    python benchmarks/metagrad_variants.py --json results/metagrad-variants.json

**bfloat16**: the inner model of benchmarks/metagrad.py under torch's autocast (its plain head, reverse over reverse:
forward mode and farzi's own head take one precision only), by what is left of the meta-gradient and by time.
**Many runs**: independent inner runs as one run whose parameters are stacked, with ``torch.vmap`` over the loss,
against one after the other; a perceptron of 20 x 64 x 10, and SASRec with its plain head. The weights at the start
differ, the examples are the same. Medians of repeats in turn, in one process.
"""

import argparse
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from metagrad_contenders.floor import interleaved
from metagrad_contenders.problem import LR, Problem, Shape, load, make
from metagrad_contenders.summary import commit, machine
from torch import Tensor
from torch.nn.functional import cross_entropy

import farzi
from farzi.files import write_json
from farzi.metagrad import Adam, InnerRun, Layout, Loss, MetaGradient, Tensors, gradient, reverse_over_reverse

BATCH, REPEATS = 10, 7
LENGTHS = (1, 10, 50, 100)
RUNS = (1, 4, 16)
VMAP_STEPS = 10


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--path", help="file to read the data from")
    parser.add_argument("--json", help="file to write")
    options = parser.parse_args()
    task = farzi.NextItem(farzi.load_events(options.data, path=options.path))
    with tempfile.TemporaryDirectory() as folder:
        make(f"{folder}/problem.pt", Shape(), max(LENGTHS), [BATCH], task)
        problem = load(f"{folder}/problem.pt", BATCH, max(LENGTHS), torch.float32, False)
    report = {
        "bfloat16": bfloat16(problem),
        "many_runs": {"perceptron": many_runs(*perceptron()), "sasrec": many_runs(*sasrec(problem))},
        "machine": machine(0),
        "commit": commit(),
        "command": f"python benchmarks/metagrad_variants.py --data {options.data}",
    }
    print(report)
    if options.json:
        write_json(options.json, report)


def bfloat16(problem: Problem) -> dict[str, Any]:
    """How far the meta-gradient is off by the number of steps, and how long gradient and product take."""

    def exact(parameters: Tensors, batch: Tensors) -> Tensor:
        return problem.plain(parameters, batch["inputs"], batch["targets"])

    def rough(parameters: Tensors, batch: Tensors) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return exact(parameters, batch)

    errors = {}
    for steps in LENGTHS:
        found, wanted = (_examples(_through(problem, loss, steps)) for loss in (rough, exact))
        cosine = torch.dot(found, wanted) / (found.norm() * wanted.norm())
        errors[steps] = {"error": float((found - wanted).norm() / wanted.norm()), "cosine": float(cosine)}
    layout = Layout.of(problem.parameters)
    weights = layout.flatten(problem.parameters)
    direction = torch.randn(weights.shape, generator=torch.Generator().manual_seed(0))
    batch = {name: part[problem.schedule[0]] for name, part in _inputs(problem).items()}
    tasks: dict[str, Callable[[], object]] = {}
    for name, loss in (("float32", exact), ("bfloat16", rough)):
        tasks[f"gradient {name}"] = lambda loss=loss: gradient(loss, layout, weights, batch)
        tasks[f"hvp {name}"] = lambda loss=loss: reverse_over_reverse(loss, layout, weights, batch, direction)
    return {"against_float32": errors, "seconds": interleaved(tasks, REPEATS)}


def _through(problem: Problem, loss: Loss, steps: int) -> MetaGradient:
    layout = Layout.of(problem.parameters)
    run = InnerRun(loss=loss, layout=layout, engines=(reverse_over_reverse,))
    moments = {"first": layout.flatten(problem.first), "second": layout.flatten(problem.second)}
    start = Adam().init(layout.flatten(problem.parameters))._replace(count=problem.count, moments=moments)
    return run.differentiate(problem.plain_outer, start, _inputs(problem), problem.schedule[:steps], LR)


def _inputs(problem: Problem) -> Tensors:
    return {"inputs": problem.inputs, "targets": problem.targets}


def _examples(found: MetaGradient) -> Tensor:
    """The gradients by the examples in one vector; a target's mean over events means nothing."""
    targets = found.examples["targets"]
    return torch.cat([found.examples["inputs"].flatten(), (targets - targets.mean(-1, keepdim=True)).flatten()])


Setting = tuple[Loss, Tensors, Tensors]
"""A loss, parameters to start from, and examples."""


def perceptron() -> Setting:
    """Classification of noise by a small network: its operations are so short that starting them is what takes time."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def loss(parameters: Tensors, batch: Tensors) -> Tensor:
        inner = torch.tanh(batch["x"] @ parameters["up"] + parameters["bias"])
        return cross_entropy(inner @ parameters["down"], batch["y"])

    parameters = {"up": normal(20, 64) / 20**0.5, "bias": torch.zeros(64), "down": normal(64, 10) / 8}
    return loss, parameters, {"x": normal(50, 20), "y": torch.randint(10, (50,), generator=generator)}


def sasrec(problem: Problem) -> Setting:
    """The problem of the benchmark."""

    def loss(parameters: Tensors, batch: Tensors) -> Tensor:
        return problem.plain(parameters, batch["inputs"], batch["targets"])

    return loss, problem.parameters, _inputs(problem)


def many_runs(loss: Loss, parameters: Tensors, examples: Tensors) -> dict[int, dict[str, float]]:
    """Seconds of independent runs, one after the other and stacked."""
    generator = torch.Generator().manual_seed(0)
    schedule = torch.stack([torch.randperm(50, generator=generator)[:BATCH] for _ in range(VMAP_STEPS)])
    found = {}
    for count in RUNS:
        starts = [
            {name: part + 0.01 * torch.randn(part.shape, generator=generator) for name, part in parameters.items()}
            for _ in range(count)
        ]
        stacked = {name: torch.stack([start[name] for start in starts]) for name in parameters}

        def together(parameters: Tensors, batch: Tensors) -> Tensor:
            return torch.vmap(loss, in_dims=(0, None))(parameters, batch).sum()

        def differentiate(loss: Loss, start: Tensors) -> MetaGradient:
            layout = Layout.of(start)
            run = InnerRun(loss=loss, layout=layout, engines=(reverse_over_reverse,))
            outer_batch = {name: part[:BATCH] for name, part in examples.items()}
            begin = Adam().init(layout.flatten(start))
            return run.differentiate(lambda last: loss(last, outer_batch), begin, examples, schedule, LR)

        tasks = {
            "one by one": lambda starts=starts: [differentiate(loss, start) for start in starts],
            "stacked": lambda stacked=stacked: differentiate(together, stacked),
        }
        found[count] = interleaved(tasks, REPEATS)
    return found


if __name__ == "__main__":
    main()
