"""Where the time of a compiled inner step goes: the profile behind the headline of benchmarks/metagrad.py.

    python benchmarks/metagrad_profile.py --json results/metagrad-profile.json

The problem is that of the headline: SASRec on 10 of 50 soft sequences a step, T = 100. The time of an inner step beyond
gradient and Hessian-vector product goes into gathering batches, the optimiser and its adjoint, checks, and, shared out
over the steps, the outer loss. Beside it stand the bare matrix products that have a side of the vocabulary, as in
benchmarks/metagrad.py; programs called from C++ tell the profiler nothing. For torchopt, where it is installed, matrix
products are what the profiler says of all of them.
"""

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from metagrad_contenders import contenders, floor
from metagrad_contenders.problem import Problem, Shape, load, make
from metagrad_contenders.summary import commit, machine
from torch.profiler import ProfilerActivity, profile

import farzi
from farzi.files import write_json
from farzi.metagrad import Compiled

BATCH, STEPS, REPEATS = 10, 100, 7
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--path", help="file to read the data from")
    parser.add_argument("--json", help="file to write")
    options = parser.parse_args()
    task = farzi.NextItem(farzi.load_events(options.data, path=options.path))
    with tempfile.TemporaryDirectory() as folder:
        make(f"{folder}/problem.pt", Shape(), STEPS, [BATCH], task)
        problem = load(f"{folder}/problem.pt", BATCH, STEPS, torch.float32, False)
    report: dict[str, Any] = {"ms_per_step": {"farzi compiled": farzi_step(problem)}}
    try:
        report["ms_per_step"]["torchopt"] = torchopt_step(problem)
    except ImportError:
        print("torchopt is not installed")
    command = f"python benchmarks/metagrad_profile.py --data {options.data}"
    report |= {"batch": BATCH, "steps": STEPS, "machine": machine(0), "commit": commit(), "command": command}
    print(report)
    if options.json:
        write_json(options.json, report)


def farzi_step(problem: Problem) -> dict[str, float]:
    """Milliseconds of an inner step by what they are spent on."""
    programs, seconds = Compiled(), Counter[str]()

    def timed(function: Callable[..., Any], *arguments: Any) -> Any:
        began = time.perf_counter()
        result = programs(function, *arguments)
        seconds[function.__name__] += time.perf_counter() - began
        return result

    def run() -> None:
        seconds.clear()
        contenders.differentiate(problem, "StoreAll", timed)

    contenders.differentiate(replace(problem, schedule=problem.schedule[:1]), "StoreAll", programs)
    found = {"all": whole(problem, run), "matrix products": products(problem)}
    each: dict[str, list[float]] = {name: [] for name in seconds}
    for _ in range(REPEATS):
        run()
        for name, spent in seconds.items():
            each[name].append(1000 * spent / STEPS)
    return found | {name: statistics.median(spent) for name, spent in each.items()}


def products(problem: Problem) -> float:
    """Milliseconds of a step's bare matrix products."""
    some = replace(problem, inputs=problem.inputs[:BATCH], targets=problem.targets[:BATCH])
    found = floor.measure(some, 10 * REPEATS)
    return 1000 * (found["model gradient"]["floor_seconds"] + found["model hvp"]["floor_seconds"])


def torchopt_step(problem: Problem) -> dict[str, float]:
    """Milliseconds of an inner step, and of its matrix products."""

    def run() -> None:
        contenders.torchopt(problem, "")

    found = whole(problem, run)
    with profile(activities=[ProfilerActivity.CPU]) as record:
        run()
    spent = sum(event.self_cpu_time_total for event in record.key_averages() if event.key in PRODUCTS)
    return {"all": found, "matrix products": spent / 1000 / STEPS}


def whole(problem: Problem, run: Callable[[], object]) -> float:
    """Milliseconds a step of a run, once it was warmed up."""
    run()
    spent: list[float] = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        run()
        spent.append(1000 * (time.perf_counter() - began) / len(problem.schedule))
    return statistics.median(spent)


if __name__ == "__main__":
    main()
