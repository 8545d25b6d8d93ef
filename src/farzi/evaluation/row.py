"""One line of a result table."""

import statistics
from dataclasses import dataclass, field, replace
from typing import Any

from farzi.evaluation.metric import find_metric
from farzi.evaluation.students import Method


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What it took to make a summary, where that is known; seconds and megabytes.

    Args:
        teacher_s: training of all teachers.
        distill_s: the outer loop, with its start.
        peak_mb: most memory in use.
        assistants_s: training of the students that continue the summary for others.
    """

    teacher_s: float | None = None
    distill_s: float | None = None
    peak_mb: float | None = None
    assistants_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a result table, in the form of docs/protocol.md's record.

    Args:
        dataset: its name.
        method: ``full``, ``random``, ``random_teacher``, ``farzi`` or ``assisted``.
        teacher: the model that the summary was distilled with, or empty.
        student: the model that was trained.
        sequences: number of training sequences.
        length: their positions; for full data the model's window.
        targets: ``hard``, ``free`` or ``next``.
        share_of_events: positions by the number of training events.
        bytes: of the training sequences in their smallest form.
        metrics: ``mean``, ``std`` and ``seeds`` (values) by metric, on test data.
        retention: mean by the full data's mean, by metric; for perplexity the inverse.
        min_retention: the lowest of them.
        training: settings of the students, and the steps they chose.
        cost: seconds, megabytes, and after how many trainings the summary has paid for itself.
    """

    dataset: str
    method: Method
    teacher: str
    student: str
    sequences: int
    length: int
    targets: str
    share_of_events: float
    bytes: int
    metrics: dict[str, dict[str, Any]]
    retention: dict[str, float] = field(default_factory=dict[str, float])
    min_retention: float = 0.0
    training: dict[str, Any] = field(default_factory=dict[str, Any])
    cost: dict[str, float | None] = field(default_factory=dict[str, float | None])


def spread(values: list[float]) -> dict[str, Any]:
    """Mean, standard deviation (that of a sample; 0 of a single value) and the values of each seed."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.mean(values), "std": deviation, "seeds": values}


def compare(row: Row, full: Row, costs: Costs) -> Row:
    """Fill in what needs the full data's row.

    Args:
        row: of a method.
        full: of the full data.
        costs: of the summary, where known.

    Returns:
        the row with its retention, costs and break-even.
    """
    retention = {
        name: find_metric(name).retention(value["mean"], full.metrics[name]["mean"])
        for name, value in row.metrics.items()
    }
    fit_s, fit_full_s = row.cost["fit_s"], full.cost["fit_s"]
    assert fit_s is not None
    assert fit_full_s is not None
    cost: dict[str, float | None] = {"fit_full_s": fit_full_s, "fit_s": fit_s}
    if row.method in ("farzi", "assisted"):
        cost |= {"teacher_s": costs.teacher_s, "distill_s": costs.distill_s, "peak_mb": costs.peak_mb}
        assistants_s = costs.assistants_s if row.method == "assisted" else 0.0
        if assistants_s:
            cost["assistants_s"] = assistants_s
        if costs.teacher_s is not None and costs.distill_s is not None and fit_full_s > fit_s:
            cost["break_even"] = (costs.teacher_s + costs.distill_s + assistants_s) / (fit_full_s - fit_s)
    return replace(row, retention=retention, min_retention=min(retention.values()), cost=cost)
