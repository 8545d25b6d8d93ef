"""Where the time of a compiled inner step goes: the profile behind the headline of benchmarks/metagrad.py.

    python benchmarks/metagrad_profile.py --json results/metagrad-profile.json

The problem is that of the headline: SASRec on 10 of 50 soft sequences a step, T = 100. Matrix products are what torch's
profiler says of them; the time of an inner step beyond gradient and Hessian-vector product goes into gathering batches,
the optimiser and its adjoint, checks, and, shared out over the steps, the outer loss. Beside it stand torchopt's own
matrix products, where torchopt is installed.
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
from metagrad_contenders import contenders
from metagrad_contenders.problem import Problem, Shape, load, make
from metagrad_contenders.summary import commit, machine
from torch.profiler import ProfilerActivity, profile

import farzi
from farzi.files import write_json
from farzi.metagrad import Compiled

BATCH, STEPS, REPEATS = 10, 100, 7
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm")


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
        report["ms_per_step"]["torchopt"] = whole(problem, lambda: contenders.torchopt(problem, ""))
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
    found = whole(problem, run)
    each: dict[str, list[float]] = {name: [] for name in seconds}
    for _ in range(REPEATS):
        run()
        for name, spent in seconds.items():
            each[name].append(1000 * spent / STEPS)
    return found | {name: statistics.median(spent) for name, spent in each.items()}


def whole(problem: Problem, run: Callable[[], object]) -> dict[str, float]:
    """Milliseconds a step of a run that was warmed up, and those that matrix products took."""
    run()
    spent: list[float] = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        run()
        spent.append(1000 * (time.perf_counter() - began) / len(problem.schedule))
    with profile(activities=[ProfilerActivity.CPU]) as record:
        run()
    products = sum(
        event.self_cpu_time_total
        for event in record.key_averages()
        if event.key.removeprefix("aten::").removesuffix("_out").rstrip("_") in PRODUCTS
    )
    return {"all": statistics.median(spent), "matrix products": products / 1000 / len(problem.schedule)}


if __name__ == "__main__":
    main()
