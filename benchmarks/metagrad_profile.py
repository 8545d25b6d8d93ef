"""Where the time of a compiled inner step goes: the profile behind the headline of benchmarks/metagrad.py.

    python benchmarks/metagrad_profile.py --json results/metagrad-profile.json

The problem is that of the headline: SASRec on 10 of 50 soft sequences a step, T = 100. The time of an inner step beyond
its two programs, there and back, goes into adding up what examples get, checks, and, shared out over the steps, the
outer loss. Beside it stand the bare matrix products that have a side of the vocabulary, as in
benchmarks/metagrad.py; programs called from C++ tell the profiler nothing. For torchopt, where it is installed, matrix
products are what the profiler says of all of them.

Of the output head, not compiled and on all 50 sequences, as in the ratios to its bare products in the headline, the
profiler tells what every operation takes.
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
from farzi import metagrad
from farzi.files import write_json

BATCH, STEPS, REPEATS, PRODUCT_REPEATS = 10, 100, 7, 20
OPERATIONS = {
    **dict.fromkeys(("aten::mm", "aten::addmm_"), "matrix products"),
    **dict.fromkeys(("aten::_softmax",), "softmax"),
    **dict.fromkeys(("aten::add_", "aten::dot"), "targets added, taken off and multiplied"),
    **dict.fromkeys(("aten::amax", "aten::sum"), "largest entries and sums of rows"),
    **dict.fromkeys(("aten::mul_", "aten::mul", "aten::addcmul_", "aten::neg"), "other passes over a chunk"),
}
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
    report = {
        "ms_per_step": measure(problem),
        "head_ms": head(problem),
        "batch": BATCH,
        "steps": STEPS,
        "machine": machine(0),
        "commit": commit(),
        "command": f"python benchmarks/metagrad_profile.py --data {options.data}",
    }
    print(report)
    if options.json:
        write_json(options.json, report)


def measure(problem: Problem) -> dict[str, dict[str, float]]:
    """Milliseconds of an inner step by what they are spent on: medians of turns, everybody once in each."""
    programs = metagrad.Compiled()
    some = replace(problem, inputs=problem.inputs[:BATCH], targets=problem.targets[:BATCH])
    turns = {"farzi compiled": lambda: {**farzi_step(problem, programs), "matrix products": products(some)}}
    try:
        torchopt_step(problem)
        turns["torchopt"] = lambda: torchopt_step(problem)
    except ImportError:
        print("torchopt is not installed")
    farzi_step(problem, programs)  # compiles
    found: dict[str, list[dict[str, float]]] = {name: [] for name in turns}
    for _ in range(REPEATS):
        for name, turn in turns.items():
            found[name].append(turn())
    return {
        name: {part: statistics.median(one[part] for one in each) for part in each[0]} for name, each in found.items()
    }


def farzi_step(problem: Problem, programs: metagrad.Compiled) -> dict[str, float]:
    """A step of farzi with compiled steps, and how much of it are calls of the programs."""
    spent = Counter[str]()

    def timed(function: Callable[..., Any], *arguments: Any) -> Any:
        began = time.perf_counter()
        result = programs(function, *arguments)
        spent[function.__name__] += time.perf_counter() - began
        return result

    began = time.perf_counter()
    contenders.differentiate(problem, "StoreAll", timed)
    spent["all"] = time.perf_counter() - began
    return {name: 1000 * seconds / STEPS for name, seconds in spent.items()}


def products(problem: Problem) -> float:
    """A step's bare matrix products."""
    found = floor.measure(problem, PRODUCT_REPEATS)
    return 1000 * (found["model gradient"]["floor_seconds"] + found["model hvp"]["floor_seconds"])


def head(problem: Problem) -> dict[str, dict[str, float]]:
    """Milliseconds of the head's gradient and Hessian-vector product by operation, and of their bare products."""
    found = floor.measure(problem, PRODUCT_REPEATS)
    parts: dict[str, dict[str, float]] = {}
    for name, compute in floor.computations(problem, metagrad.Eager()).items():
        if not name.startswith("head"):
            continue
        with profile(activities=[ProfilerActivity.CPU]) as record:
            for _ in range(PRODUCT_REPEATS):
                compute()
        spent = Counter[str]()
        for event in record.key_averages():
            spent[OPERATIONS.get(event.key, "all else")] += event.self_cpu_time_total / 1000 / PRODUCT_REPEATS
        bare, whole = (1000 * found[name][key] for key in ("floor_seconds", "seconds"))
        compiled = 1000 * found[name]["compiled_seconds"]
        parts[name] = {"whole": whole, "compiled": compiled, "bare matrix products": bare, **dict(spent.most_common())}
    return parts


def torchopt_step(problem: Problem) -> dict[str, float]:
    """A step of torchopt; and of a second one, under the profiler, the matrix products."""
    began = time.perf_counter()
    contenders.torchopt(problem, "")
    seconds = time.perf_counter() - began
    with profile(activities=[ProfilerActivity.CPU]) as record:
        contenders.torchopt(problem, "")
    spent = sum(event.self_cpu_time_total for event in record.key_averages() if event.key in PRODUCTS)
    return {"all": 1000 * seconds / STEPS, "matrix products": spent / 1000 / STEPS}


if __name__ == "__main__":
    main()
