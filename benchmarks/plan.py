"""What `farzi plan` tells beforehand, beside what `farzi distill` then takes.

    python benchmarks/plan.py --data-folder ../shared/data --json results/plan.json

Each case is planned and then run for some outer steps, in processes of their own, teachers shortened, for they change
neither the memory nor the time of an outer step. What was held is the most of what all of a run's processes held at one
time, looked at every 20 ms; a step's time is the median over the run. Run it with nothing else on the machine.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psutil
from metagrad_contenders.summary import commit

from farzi.distill import read_metrics
from farzi.files import write_json

SHORT = (
    "--teachers.count 2 --teachers.training.steps 40 --teachers.training.evaluate_every 20 --judges 1 "
    "--steps 9 --loop.evaluate_every 9"
)
ML_100K = "ml-100k --path {data}/ml-100k/u.data"
WIDE = "--sequences 50 --length 50 --objective.window 100"
CASES = {
    "ml-100k, 50 of 10": f"{ML_100K} --sequences 50",
    "ml-100k, 50 of 50, window of 100": f"{ML_100K} {WIDE}",
    "the same, Segments": f"{ML_100K} {WIDE} --objective.replay farzi.metagrad.Segments",
    "the same, Tree": f"{ML_100K} {WIDE} --objective.replay farzi.metagrad.Tree",
    "ml-100k, 50 of 10, 2 workers": f"{ML_100K} --sequences 50 --workers 2",
    "ml-1m, 500 of 10": "ml-1m --path {data}/ml-1m/sasrec --sequences 500",
    "Shakespeare, characters, 100 of 50": (
        "tinyshakespeare --path {data}/tinyshakespeare/input.txt --sequences 100 --length 50 --model.max_length 50"
    ),
    "Penn Treebank, 100 of 20, rank 16": (
        "ptb --path {data}/ptb --sequences 100 --length 20 --size.rank 16 --model.max_length 20"
    ),
}
"""What is planned and run, by name."""


def main() -> None:
    """Plan and run the cases, and keep what was told and what was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--data-folder", type=Path, default=Path("../shared/data"))
    parser.add_argument("--beside", default="nothing", help="other work that the machine has")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    machine = {"processor": processor(), "cores": os.cpu_count(), "python": platform.python_version()}
    rows = []
    for case in options.cases:
        words = [*CASES[case].format(data=options.data_folder).split(), *SHORT.split()]
        if "--workers" in words:  # two judges are two trainings side by side
            words = [*words, "--judges", "2"]
        rows.append({"case": case, "command": " ".join(words), "beside": options.beside, **compared(words)})
        print(json.dumps(rows[-1]), flush=True)
        if options.json:  # after each case, for the last ones take minutes
            write_json(options.json, {"commit": commit(), "machine": machine, "rows": rows})


def compared(words: list[str]) -> dict[str, float]:
    """What is told of a distillation, and what it takes."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "FARZI_CACHE": f"{folder}/cache", "COLUMNS": "200"}
        began = time.monotonic()
        plan = [sys.executable, "-m", "farzi", "plan", *words]
        told = subprocess.run(plan, env=environment, capture_output=True, text=True, check=True).stdout
        plan_s = time.monotonic() - began
        memory, step = re.search(r"\(as given\) +([\d,]+) +([\d.,]+) ", told).groups()
        distil = [sys.executable, "-m", "farzi", "distill", *words, "-o", f"{folder}/run", "--quiet"]
        with subprocess.Popen(distil, env=environment, stdout=subprocess.DEVNULL) as run:
            seen = max(held(run))
        if run.returncode:
            sys.exit(f"farzi distill {' '.join(words)} failed")
        of_itself = json.loads(Path(folder, "run", "run.json").read_text())["peak_mb"]
        ends = [progress.seconds for progress in read_metrics(Path(folder, "run", "metrics.jsonl"))]
    steps = [end - begin for begin, end in pairwise(ends[:-1])]  # the first begins, the last is judged
    was = {"memory_mb": max(seen, of_itself), "step_s": statistics.median(steps)}
    said = {"memory_mb": float(memory.replace(",", "")), "step_s": float(step.replace(",", ""))}
    off = {f"{name}_off": said[name] / was[name] - 1 for name in was}
    return {**{f"{name}_told": value for name, value in said.items()}, **was, **off, "plan_s": plan_s}


def held(run: subprocess.Popen) -> Iterator[float]:
    """The megabytes that a process and its children hold, again and again until it ends."""
    process = psutil.Process(run.pid)
    while run.poll() is None:
        total = 0
        try:
            for one in (process, *process.children(recursive=True)):
                total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue  # it has just ended
        yield total / 2**20
        time.sleep(0.02)


def processor() -> str:
    """The processor's name."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.processor()


if __name__ == "__main__":
    main()
