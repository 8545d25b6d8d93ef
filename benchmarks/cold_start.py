"""Who keeps what: full data and summaries, for users with few events and with many, for seldom items and common ones.

    python benchmarks/cold_start.py ml-100k-50x10-free --data-folder ../shared/data

A case is a summary in results/summaries/. Test events are sorted by how many training events their user has, and again
by how many their item has, and cut into quarters of as many test events each; every quarter is measured by itself.
Models are those of `farzi evaluate`: three on all data, three from scratch on the summary. Written to
results/cold-start.json.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from cases import CASE, RESULTS, about, record_summaries
from numpy.typing import NDArray
from recommendation import RECOMMENDATION

import farzi
from farzi.evaluation import Students, ranking_metrics, ranks, spread
from farzi.training import Teachers, TrajectoryStore

QUARTERS, SEEDS = 4, 3


def opened(case: str, folder: Path) -> tuple[farzi.NextItem, farzi.Summary]:
    """The data and the summary of a case."""
    named = CASE.fullmatch(case)
    if named is None or named["data"] not in RECOMMENDATION.files:
        sys.exit(f"{case} is not a summary of a data set that is known here; there are {RECOMMENDATION.kept}")
    task = farzi.NextItem(farzi.load_events(named["data"], path=folder / RECOMMENDATION.files[named["data"]]))
    return task, farzi.load(RESULTS / "summaries" / f"{case}.safetensors")


def measure(case: str, folder: Path) -> list[dict[str, Any]]:
    """A row for each quarter of the test events, by user and by item."""
    task, summary = opened(case, folder)
    students = Students(
        summary=summary, task=task, model=task.default_model, teachers=Teachers(count=0), store=TrajectoryStore()
    )
    trainings = {"full": task.full_data, "farzi": task.as_advised(summary.card.advice)}
    found: dict[str, list[NDArray[np.int64]]] = {}
    for method, training in trainings.items():
        model = students.student(method)
        trained = (students.train(method, training, seed, seed) for seed in range(SEEDS))
        found[method] = [ranks(model, task.at_work(one.parameters), task.splits.test) for one in trained]
    train, targets = task.train_data, task.splits.test.targets
    counts = {
        "user": np.diff(train.offsets),
        "item": np.bincount(train.events, minlength=train.vocab_size)[targets],
    }
    rows: list[dict[str, Any]] = []
    for by, count in counts.items():
        for number, part in enumerate(np.array_split(np.argsort(count, kind="stable"), QUARTERS), 1):
            each = {
                method: spreads([ranking_metrics(one[part], train.vocab_size) for one in all_ranks])
                for method, all_ranks in found.items()
            }
            row = {"case": case, "by": by, "quarter": number, "test_events": len(part)}
            row |= {"least": int(count[part].min()), "most": int(count[part].max()), "metrics": each}
            print(row, flush=True)
            rows.append(row | about())
    return rows


def spreads(each: list[dict[str, float]]) -> dict[str, Any]:
    """Mean, standard deviation and values over models, by metric."""
    return {name: spread([one[name] for one in each]) for name in each[0]}


if __name__ == "__main__":
    record_summaries(measure, "cold-start", __doc__)
