"""Studies of what a summary's quality hangs on: one option varied, all else as in the benchmark of recommendation.

    python benchmarks/studies.py teachers rank noise --data-folder ../shared/data

Each point is `farzi distill` and `farzi evaluate` in runs/studies/, on ml-100k with 20 sequences of 10, where there is
something to gain or lose; finished points are not repeated. In the end the rows of all points are gathered into
results/studies.json.

- teachers: how many teachers label the start.
- rank: of the factors.
- noise: a tenth or three tenths of the training events replaced by items drawn evenly; what is held out stays as it is.
  The full-data models and the teachers are trained on the noisy events too.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from cases import HERE, RESULTS, farzi
from recommendation import RECOMMENDATION

from farzi import EventData, load_events
from farzi.files import atomic_write, write_json

RUNS = HERE / "runs" / "studies"
COMMON = ["--size.sequences", "20", "--size.length", "10", "--loop.steps", "240", "--loop.evaluate_every", "40"]
STUDIES = {
    "teachers": {str(count): ["--teachers.count", str(count)] for count in (0, 1, 2, 4, 8)},
    "rank": {str(rank): ["--size.rank", str(rank)] for rank in (8, 16, 32, 64)},
    "noise": {"0": [], "10": [], "30": []},
}


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


def data_words(study: str, label: str, folder: Path) -> list[str]:
    """Which data a point is made from, as the command line takes it."""
    source = folder / RECOMMENDATION.files["ml-100k"]
    if study != "noise" or label == "0":
        return ["ml-100k", "--path", str(source)]
    noisy = RUNS / f"noise-{label}.txt"
    if not noisy.exists():
        make_noisy(load_events("ml-100k", path=source), int(label), noisy)
    return [str(noisy.relative_to(HERE)), "--format", "sequences", "--min_count", "1"]


def main() -> None:
    """Run the points of the studies, then gather."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", choices=list(STUDIES))
    parser.add_argument("--data-folder", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    for study in options.studies:
        for label, more in STUDIES[study].items():
            run = str((RUNS / f"{study}-{label}").relative_to(HERE))
            if not (HERE / run / "summary.safetensors").exists():
                data = data_words(study, label, options.data_folder)
                farzi(["distill", *data, *COMMON, *more, "-o", run, "--resume"])
            if not (HERE / run / "result.json").exists():
                farzi(["evaluate", run, "--methods", "random_teacher", "farzi"])
    rows: list[dict] = []
    for result in sorted(RUNS.glob("*/result.json")):
        study, label = result.parent.name.split("-")
        rows += [{"study": study, "label": label, **row} for row in json.loads(result.read_text())]
    write_json(RESULTS / "studies.json", rows)


if __name__ == "__main__":
    main()
