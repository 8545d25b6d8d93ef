"""How many meta-gradients a second one process takes, and several under torchrun, one thread each.

    python benchmarks/ranks.py --data-folder ../shared/data --json results/ranks.json

Each number of ranks distils MovieLens-100k into 50 sequences of 10 for some outer steps, in turn and again and again;
teachers are short, for they do not change a step's time, and trained once. A step of N ranks follows N gradients; its
time is the median over a run's steps but for the first few. Run it with nothing else on the machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from cases import about

from farzi.distill import read_metrics
from farzi.files import write_json

WORDS = (
    "distill ml-100k --sequences 50 --teachers.count 2 --teachers.training.steps 500 --judges 1 "
    "--steps 60 --loop.evaluate_every 1000 --quiet"
)
WARM_UP = 10  # steps that are not counted


def main() -> None:
    """Measure, and keep what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data-folder", type=Path, default=Path("../shared/data"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    taken: dict[int, list[float]] = {count: [] for count in options.ranks}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(options.repeats):
            for count in options.ranks:
                run = Path(folder, f"{count}-{repeat}")
                taken[count].append(seconds_a_step(count, options.data_folder, run))
                print(f"{count} ranks: {taken[count][-1]:.3f} s a step", flush=True)
    step_s = {count: statistics.median(seconds) for count, seconds in taken.items()}
    first = options.ranks[0]
    rows = [
        {
            "ranks": count,
            "step_s": seconds,
            "all_step_s": taken[count],
            "gradients_per_s": count / seconds,
            "speedup": (count / seconds) / (first / step_s[first]),
        }
        for count, seconds in step_s.items()
    ]
    print(json.dumps(rows, indent=2))
    if options.json:
        write_json(options.json, about(threads=1) | {"rows": rows})


def seconds_a_step(ranks: int, data: Path, run: Path) -> float:
    """Distil with so many ranks: the seconds of an outer step."""
    alone = [sys.executable, "-m", "farzi"]
    together = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    words = [*WORDS.split(), "--path", str(data / "ml-100k" / "u.data"), "-o", str(run)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "FARZI_CACHE": str(run.parent / "cache")}
    started = alone if ranks == 1 else [*together, "-m", "farzi"]
    subprocess.run([*started, *words], env=environment, stdout=subprocess.DEVNULL, check=True)
    ends = [progress.seconds for progress in read_metrics(run / "metrics.jsonl")]
    return statistics.median(end - begin for begin, end in pairwise(ends[WARM_UP:-1]))  # the last is judged


if __name__ == "__main__":
    main()
