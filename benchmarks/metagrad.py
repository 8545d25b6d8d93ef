"""Differentiation through Adam: farzi.metagrad beside plain autograd, higher and torchopt, in time, memory and error.

    python benchmarks/metagrad.py --quick --json results/metagrad-quick.json
    python benchmarks/metagrad.py --contenders .contenders/bin/python --json results/metagrad.json

The other libraries need an environment of their own, which has farzi and the same torch; without one they are reported
as missing:

    python -m venv .contenders
    .contenders/bin/pip install -e . higher==0.2.1 torchopt==0.7.3

The problem: SASRec of width 32 is trained by Adam on batches of the 50 soft sequences of the committed summary of
ml-100k (50 positions, 1,349 events), from a state 30 steps into training; the outer loss is that of 32 real windows.
Wanted is its gradient by all inputs and targets and by the weights at the start. Where the data cannot be loaded, all
sequences are generated. farzi uses its own output head, which is part of what is compared; the others have the plain
one, ``log_softmax``. Errors are against plain autograd in float64, a step at a time, which gives the same numbers as
one graph of all steps. Every measurement has a process of its own, which is killed at 8 GiB and which repeats what is
short for five seconds; processes are repeated in turn, and the median of all counts. Linux only: memory is read from
/proc.
"""

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from metagrad_contenders.grid import FOREIGN, Case, frugal, full, groups, quick
from metagrad_contenders.problem import LENGTH, Shape, make
from metagrad_contenders.processes import FLOOR, MEMORY_GIB, Run, child, compare, measure
from metagrad_contenders.summary import NOTES, commit, headline, machine, row_of, table

import farzi
from farzi.files import write_json

FLOOR_REPEATS = 30
MOST_TRUE_STEPS = 200


class Bench:
    """Problems and gradients in a temporary folder, and the children that work on them."""

    def __init__(self, folder: str, options: argparse.Namespace, task: farzi.NextItem | None) -> None:
        self.folder, self.options, self.task = folder, options, task
        self.problems: dict[Shape, str] = {}
        self.truths: dict[Case, dict[str, Any]] = {}

    def prepare(self, cases: list[Case]) -> None:
        """Save the problem of every shape that occurs."""
        for shape in {case.shape: None for case in cases}:
            own = [case for case in cases if case.shape == shape]
            path = f"{self.folder}/problem-{shape.vocab}-{shape.sequences}-{shape.dim}.pt"
            batches = sorted({min(case.batch, shape.sequences) for case in own} | {shape.sequences})
            task = self.task if self.task and self.task.data.vocab_size == shape.vocab else None
            make(path, shape, max(case.steps for case in own), batches, task)
            self.problems[shape] = path

    def run(self, case: Case, gradients: str = "") -> dict[str, Any]:
        """One measurement."""
        run = Run(
            contender=case.contender,
            replay=case.replay,
            problem=self.problems[case.shape],
            batch=case.batch,
            steps=case.steps,
            dtype=case.dtype,
            zero_moments=case.zero_moments,
            threads=self.options.threads,
            seconds=240 if self.options.quick else 1800,
            gradients=gradients,
        )
        python = self.options.contenders if case.contender in FOREIGN else sys.executable
        result = measure(run, python, __file__, self.folder)
        name = f"{case.contender} {case.replay}".strip()
        took = f"{statistics.median(result['seconds']):8.2f} s" if "seconds" in result else f"  {result['status']}"
        print(f"  {name:24} {case.dtype} T={case.steps:<5} batch={case.batch:<3} {took}", flush=True)
        return result

    def errors(self, case: Case, gradients: str) -> dict[str, float]:
        """How far gradients are from the truth; nothing where there is none, or where it would take too long."""
        if case.shape != Shape() or case.steps > MOST_TRUE_STEPS:
            return {}
        if self.options.quick and case.replay == frugal() != "StoreAll":
            return {}
        path = f"{self.folder}/truth.pt"
        if case.truth not in self.truths:
            self.truths.clear()
            self.truths[case.truth] = self.run(case.truth, path)
        return compare(gradients, path) if self.truths[case.truth]["status"] == "ok" else {}

    def group(self, cases: list[Case]) -> list[dict[str, Any]]:
        """Measure cases that share a truth, repeats in turn; a case that fails once is not tried again."""
        found: dict[Case, list[dict[str, Any]]] = {case: [] for case in cases}
        errors: dict[Case, dict[str, float]] = {}
        path = f"{self.folder}/gradients.pt"
        for turn in range(max(case.repeats for case in cases)):
            for case, results in found.items():
                if turn < case.repeats and all(result["status"] == "ok" for result in results):
                    results.append(self.run(case, path if turn == 0 else ""))
                    if turn == 0 and results[0]["status"] == "ok":
                        errors[case] = self.errors(case, path)
        return [row_of(case, results, errors.get(case, {})) for case, results in found.items()]


def _task(options: argparse.Namespace) -> tuple[farzi.NextItem | None, str]:
    """The real data; where it cannot be loaded, none and why."""
    try:
        return farzi.NextItem(farzi.load_events(options.data, path=options.path)), options.data
    except farzi.InputError as error:
        return None, f"generated sequences and windows, as {options.data} could not be loaded ({type(error).__name__})"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--path", help="file to read the data from")
    parser.add_argument("--quick", action="store_true", help="only what the headline needs")
    parser.add_argument("--steps", type=int, nargs="+", help="of all cases, only those of so many steps")
    parser.add_argument("--threads", type=int, default=0, help="0: torch's own number")
    parser.add_argument("--contenders", default=sys.executable, help="a python that has torch, farzi, higher, torchopt")
    parser.add_argument("--json", help="file to write")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Run the grid."""
    options = _parse()
    if options.worker:
        return child(options.worker)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that the child and the folder go as well
    began = time.monotonic()
    cases = [
        case for case in (quick() if options.quick else full()) if not options.steps or case.steps in options.steps
    ]
    task, data = _task(options)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder, options, task)
        products = Case(contender=FLOOR, batch=Shape().sequences, steps=FLOOR_REPEATS)
        bench.prepare([products, *cases])
        floors = bench.run(products).get("floor", {})
        for group in groups(cases):
            rows += bench.group(group)
            report = {
                **headline(rows, floors),
                "data": data,
                "length": LENGTH,
                "memory_limit_gib": MEMORY_GIB,
                "notes": NOTES,
                "matmul_floor": floors,
                "machine": machine(options.threads),
                "commit": commit(),
                "command": " ".join(["python benchmarks/metagrad.py", *(_plain(word) for word in sys.argv[1:])]),
                "seconds": time.monotonic() - began,
                "rows": rows,
            }
            if options.json:
                write_json(options.json, report)
    table(rows)
    for name, value in headline(rows, floors).items():
        print(f"{name:36} {value}")
    return None


def _plain(word: str) -> str:
    """A word of the command line without folders, which are nobody's business."""
    return Path(word).name if os.path.isabs(word) else word


if __name__ == "__main__":
    main()
