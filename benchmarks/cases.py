"""Summaries of many data sets, sizes and kinds of targets: each distilled, compared, and gathered into one record.

A case is a data set, a size, a kind of targets and, after the first, a seed of the distillation
(``ml-100k-50x50-free-seed1``), and last what is not as usual: a start that teachers write
(``ptb-400x50-free-generated``), or the model it is distilled by (``ml-100k-250x10-free-by-gru4rec``). Each is `farzi
distill` and `farzi evaluate` in a folder of its own, as anybody would call them, and is resumed where it was left;
options that are not known here are passed on to `farzi distill`. With --student, models of another kind are trained on
the same summary, and such options are passed on to `farzi evaluate`. In the end the rows of all cases finished here are
put into the record, which keeps those of other machines, and some summaries are copied to results/summaries/.
"""

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metagrad_contenders.summary import commit, machine

from farzi.files import write_json

HERE = Path(__file__).parents[1]
RESULTS = HERE / "results"
COMMIT = commit()  # that the process began with
CASE = re.compile(
    r"(?P<data>.+)-(?P<sequences>\d+)x(?P<length>\d+)-(?P<targets>free|next)(-seed(?P<seed>\d+))?"
    r"(-(?P<start>generated))?(-by-(?P<model>.+))?"
)


@dataclass(frozen=True)
class Cases:
    """The cases of one record.

    Args:
        name: of the record and of the folder of its runs.
        files: where each data set is, below the folder of data.
        options: of every distillation, unless others are given.
        kept: cases whose summaries are copied.
    """

    name: str
    files: Mapping[str, str]
    options: Sequence[str]
    kept: Sequence[str]

    @property
    def runs(self) -> Path:
        """The folder of all runs."""
        return HERE / "runs" / self.name

    def distillation(self, case: str, folder: Path, more: Sequence[str]) -> list[str]:
        """What a user would type to distil a case."""
        found = CASE.fullmatch(case)
        if found is None or found["data"] not in self.files:
            sys.exit(
                f"{case} is not a case: give DATA-SEQUENCESxLENGTH-free or -next, with -seedN after the first seed, "
                "-generated for a start that teachers write and -by-MODEL for another model; "
                f"DATA is {' or '.join(self.files)}"
            )
        size = {name: found[name] for name in ("sequences", "length", "targets", "start") if found[name]}
        sizes = [word for name, value in size.items() for word in (f"--size.{name}", value)]
        data = [found["data"], "--path", str(folder / self.files[found["data"]])]
        sizes += ["--seed", found["seed"] or "0"]
        model = ["--model", found["model"]] if found["model"] else []
        return ["distill", *data, *self.options, *model, *sizes, *more, "-o", self._shown(case), "--resume"]

    def evaluation(self, case: str, student: str | None, more: Sequence[str]) -> list[str]:
        """What a user would type to compare a case's summary."""
        words = ["evaluate", self._shown(case)]
        if student is None:
            return [*words, *more]
        output = self._shown(self.result(case, student))
        return [*words, "--model", student, "--methods", "full", "farzi", *more, "-o", output]

    def result(self, case: str, student: str | None) -> Path:
        """The file of a comparison."""
        return self.runs / case / (f"result-{student}.json" if student else "result.json")

    def gather(self) -> None:
        """Put the rows of all finished cases into the record, and keep their summaries."""
        rows = []
        for result in sorted(self.runs.glob("*/result*.json")):
            rows += [{"case": result.parent.name, **row} for row in json.loads(result.read_text())]
            summary = result.with_name("summary.safetensors")
            if result.parent.name in self.kept:
                shutil.copyfile(summary, RESULTS / "summaries" / f"{result.parent.name}.safetensors")
        put_rows(self.name, rows, ("case", "student", "method"))

    def _shown(self, path: str | Path) -> str:
        return str((self.runs / path).relative_to(HERE))


def farzi(words: Sequence[str]) -> None:
    """Run a command of farzi and stop where it fails."""
    print(shlex.join(["farzi", *words]), flush=True)
    subprocess.run([sys.executable, "-m", "farzi", *words], cwd=HERE, check=True)


def put_rows(record: str, rows: Sequence[Mapping[str, Any]], key: Sequence[str]) -> None:
    """Put rows into results/RECORD.json, each in the place of the one that its key names; all others stay."""
    path = RESULTS / f"{record}.json"
    found = json.loads(path.read_text()) if path.exists() else []
    all_rows = {tuple(row[name] for name in key): row for row in [*found, *rows]}
    write_json(path, list(all_rows.values()))


def about(threads: int = 0) -> dict[str, Any]:
    """What it takes to get a row again, and where it was measured, with so many threads or this process's."""
    return {"command": shlex.join(["python", *sys.argv]), "commit": COMMIT, "machine": machine(threads)}


def record_summaries(measure: Callable[[str, Path], list[dict[str, Any]]], name: str, description: str | None) -> None:
    """Measure the summaries that the command line names, and write results/NAME.json."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+")
    parser.add_argument("--data-folder", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    rows = [row for case in options.cases for row in measure(case, options.data_folder)]
    write_json(RESULTS / f"{name}.json", rows)


def main(cases: Cases, description: str) -> None:
    """Run the cases that the command line names, then gather."""
    parser = argparse.ArgumentParser(
        description=f"{description}\n{__doc__}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--data-folder", type=Path, default=Path("../shared/data"))
    parser.add_argument("--student", help="model to train on the summaries; by default the one they were made with")
    parser.add_argument("--gather", action="store_true", help="gather what is finished, run nothing")
    options, more = parser.parse_known_args()
    distilling, evaluating = ([], more) if options.student else (more, [])
    for case in options.cases:
        if not (cases.runs / case / "summary.safetensors").exists():
            farzi(cases.distillation(case, options.data_folder, distilling))
        if not cases.result(case, options.student).exists():
            farzi(cases.evaluation(case, options.student, evaluating))
    cases.gather()
