"""Studies of what a summary's quality hangs on: one option varied, all else as in the benchmark of recommendation.

    python benchmarks/studies.py teachers rank steps start optimizer targets noise models --data-folder ../shared/data
    python benchmarks/studies.py text-steps text-optimizer

Each point is `farzi distill` and `farzi evaluate` in runs/studies/, on ml-100k with 10 sequences of 10, or for text on
tinyshakespeare with 100 windows of 50, where there is something to gain or lose; finished points are not repeated, and
the point with nothing varied is one for all studies of the same data. In the end the rows of all points finished here
are put into results/studies.json.

- teachers: how many teachers label the start; without any it is random sequences and the next events.
- rank: of the factors.
- steps: of the outer loop; 0 is the start itself.
- start: real sequences, or such as the teachers write.
- optimizer: of the inner loop. Students are trained with Adam all the same.
- targets: of their own, or the next position, the paper's form.
- noise: a tenth or three tenths of the training events replaced by items drawn evenly; what is held out stays as it is.
  The full-data models and the teachers are trained on the noisy events too.
- models: teachers and inner loop of one kind, students of all.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from cases import HERE, farzi, put_rows
from language import LANGUAGE
from recommendation import RECOMMENDATION

from farzi import EventData, load_events
from farzi.files import atomic_write

RUNS = HERE / "runs" / "studies"
TEXT = RUNS / "text-usual"
COMMON = ["--size.sequences", "10", "--size.length", "10", "--loop.steps", "240"]
COMMON_TEXT = [
    *LANGUAGE.options,
    *("--objective.lr", "0.01", "--size.sequences", "100", "--size.length", "50", "--loop.steps", "120"),
]
SGD = ["--objective.inner", "SGD", "--objective.inner.momentum", "0.9", "--objective.lr"]
STUDIES = {
    "teachers": {"0": ["--teachers.count", "0"]}
    | {"1": ["--teachers.count", "1"], "2": ["--teachers.count", "2"], "4": [], "8": ["--teachers.count", "8"]},
    "rank": {"8": ["--size.rank", "8"], "16": ["--size.rank", "16"], "32": [], "64": ["--size.rank", "64"]},
    "steps": {"0": ["--loop.steps", "0"], "80": ["--loop.steps", "80"], "240": []},
    "start": {"real": [], "generated": ["--size.start", "generated"]},
    "optimizer": {"Adam": [], "SGD": [*SGD, "1"]},
    "targets": {"free": [], "next": ["--size.targets", "next"]},
    "noise": {"0": [], "10": [], "30": []},
    "models": {"sasrec": [], "gru4rec": ["--model", "gru4rec"]},
    "text-steps": {"0": ["--loop.steps", "0"], "120": []},
    "text-optimizer": {"Adam": [], "SGD": [*SGD, "0.1"]},
}
STUDENTS = {"sasrec": [], "sasrec-modern": [], "gru4rec": ["--reference.dropout", "0.4"], "fmlp": []}
"""Kinds, and what sets their training on all events apart, chosen on validation (docs/log.md, 2026-11-30)."""


def make_noisy(data: EventData, percent: int, path: Path) -> None:
    """Write sequences in which some of the events are drawn anew, but for each user's last two."""
    chance = np.random.default_rng(percent)
    lines: list[str] = []
    for user in range(data.num_sequences):
        events = data.sequence(user).copy()
        replaced = np.flatnonzero(chance.random(len(events) - 2) < percent / 100)
        events[replaced] = chance.integers(data.vocab_size, size=len(replaced))
        lines.append(" ".join(data.vocabulary.ids[event] for event in events))
    with atomic_write(path) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def is_noisy(study: str, label: str) -> bool:
    """Whether a point has data of its own."""
    return study == "noise" and label != "0"


def is_text(study: str) -> bool:
    """Whether a study is of text."""
    return study.startswith("text-")


def common_words(study: str, label: str, folder: Path) -> list[str]:
    """Which data a point is made from, as the command line takes it, and options that are not varied."""
    if is_text(study):
        return ["tinyshakespeare", "--path", str(folder / LANGUAGE.files["tinyshakespeare"]), *COMMON_TEXT]
    return [*data_words(study, label, folder), *COMMON]


def data_words(study: str, label: str, folder: Path) -> list[str]:
    """Which items a point is made from."""
    source = folder / RECOMMENDATION.files["ml-100k"]
    if not is_noisy(study, label):
        return ["ml-100k", "--path", str(source)]
    noisy = RUNS / f"noise-{label}.txt"
    if not noisy.exists():
        make_noisy(load_events("ml-100k", path=source), int(label), noisy)
    return [str(noisy.relative_to(HERE)), "--format", "sequences", "--min_count", "1"]


def run_of(study: str, label: str) -> Path:
    """The folder of a point; where nothing is varied it is the same for all studies."""
    varied = STUDIES[study][label] or is_noisy(study, label)
    usual = TEXT if is_text(study) else RUNS / "usual"
    return RUNS / f"{study}-{label}" if varied else usual


def points(studies: list[str]) -> list[tuple[str, str, Path]]:
    """Every point of some studies: study, label and folder."""
    return [(study, label, run_of(study, label)) for study in studies for label in STUDIES[study]]


def main() -> None:
    """Run the points of the studies, then gather."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=", ".join(STUDIES))
    parser.add_argument("--data-folder", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    for study in set(options.studies) - STUDIES.keys():
        parser.error(f"{study} is not a study; there are {', '.join(STUDIES)}")
    for study, label, folder in points(options.studies):
        run = str(folder.relative_to(HERE))
        if not (folder / "summary.safetensors").exists():
            common = common_words(study, label, options.data_folder)
            farzi(["distill", *common, *STUDIES[study][label], "-o", run, "--resume"])
        if not (folder / "result.json").exists():
            once = is_text(study) and folder != TEXT  # a student of text takes minutes, and random windows are the same
            farzi(["evaluate", run, "--methods", "full", *([] if once else ["random_teacher"]), "farzi"])
        for student, reference in STUDENTS.items() if study == "models" else ():
            output = folder / f"result-{student}.json"
            if not output.exists():
                words = ["--methods", "full", "farzi", *reference, "-o", str(output.relative_to(HERE))]
                farzi(["evaluate", run, "--model", student, *words])
    rows: list[dict] = []
    for study, label, folder in points(list(STUDIES)):
        for result in sorted(folder.glob("result-*.json" if study == "models" else "result.json")):
            rows += [{"study": study, "label": label, **row} for row in json.loads(result.read_text())]
    put_rows("studies", rows, ("study", "label", "student", "method"))


if __name__ == "__main__":
    main()
