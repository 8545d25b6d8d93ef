"""Distil recommendation data into many sizes, compare each, and gather results/recommendation.json.

    python benchmarks/recommendation.py ml-100k-50x50-free ml-1m-100x50-free --data-folder ../shared/data
    python benchmarks/recommendation.py ml-100k-50x50-free --student gru4rec
    python benchmarks/recommendation.py --gather

A case is a data set, a size, a kind of targets and, after the first, a seed of the distillation
(``ml-100k-50x50-free-seed1``). Each is `farzi distill` and `farzi evaluate` in runs/recommendation/, as anybody would
call them, and is resumed where it was left; options that are not known here are passed on to `farzi distill`. With
--student, models of another kind are trained on the same summary. In the end the rows of all finished cases are
gathered, and some summaries are copied to results/summaries/.
"""

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from farzi.files import write_json

HERE = Path(__file__).parents[1]
RUNS, RESULTS = HERE / "runs" / "recommendation", HERE / "results"
FILES = {
    "ml-100k": "ml-100k/u.data",
    "amazon-magazine": "amazon-magazine/Magazine_Subscriptions.csv",
    "ml-1m": "ml-1m/sasrec",
}
CASE = re.compile(r"(?P<data>.+)-(?P<sequences>\d+)x(?P<length>\d+)-(?P<targets>free|next)(-seed(?P<seed>\d+))?")
KEPT = (
    "ml-100k-50x10-free",
    "ml-100k-50x50-free",
    "ml-100k-100x5-next",
    "amazon-magazine-25x20-free",
    "ml-1m-500x10-free",
)


def distillation(case: str, folder: Path, more: list[str]) -> list[str]:
    """What a user would type to distil a case."""
    found = CASE.fullmatch(case)
    if found is None:
        sys.exit(f"{case} is not a case: give DATA-SEQUENCESxLENGTH-free or -next, with -seedN after the first seed")
    size = [
        "--size.sequences",
        found["sequences"],
        "--size.length",
        found["length"],
        "--size.targets",
        found["targets"],
    ]
    path, seed = str(folder / FILES[found["data"]]), found["seed"] or "0"
    return ["distill", found["data"], "--path", path, *size, "--seed", seed, *more, "-o", _shown(case), "--resume"]


def evaluation(case: str, student: str | None) -> list[str]:
    """What a user would type to compare a case's summary."""
    if student is None:
        return ["evaluate", _shown(case)]
    return [
        "evaluate",
        _shown(case),
        "--model",
        student,
        "--methods",
        "full",
        "farzi",
        "-o",
        _shown(_result(case, student)),
    ]


def farzi(words: list[str]) -> None:
    """Run a command of farzi and stop where it fails."""
    print(shlex.join(["farzi", *words]), flush=True)
    subprocess.run([sys.executable, "-m", "farzi", *words], cwd=HERE, check=True)


def _result(case: str, student: str | None) -> Path:
    return RUNS / case / (f"result-{student}.json" if student else "result.json")


def _shown(path: str | Path) -> str:
    return str((RUNS / path).relative_to(HERE))


def gather() -> None:
    """Put the rows of all finished cases into one record, and keep their summaries."""
    rows = []
    for result in sorted(RUNS.glob("*/result*.json")):
        rows += [{"case": result.parent.name, **row} for row in json.loads(result.read_text())]
        summary = result.with_name("summary.safetensors")
        if result.parent.name in KEPT:
            shutil.copyfile(summary, RESULTS / "summaries" / f"{result.parent.name}.safetensors")
    write_json(RESULTS / "recommendation.json", rows)


def main() -> None:
    """Run the cases, then gather."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--data-folder", type=Path, default=Path("../shared/data"))
    parser.add_argument("--student", help="model to train on the summaries; by default the one they were made with")
    parser.add_argument("--gather", action="store_true", help="gather what is finished, run nothing")
    options, more = parser.parse_known_args()
    for case in options.cases:
        if not (RUNS / case / "summary.safetensors").exists():
            farzi(distillation(case, options.data_folder, more))
        if not _result(case, options.student).exists():
            farzi(evaluation(case, options.student))
    gather()


if __name__ == "__main__":
    main()
