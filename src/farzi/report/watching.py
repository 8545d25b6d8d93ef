"""What is told of each kind of long job while it runs."""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from farzi.distill import OuterLoop, TeacherProgress, Watch
from farzi.distill import Progress as OuterProgress
from farzi.evaluation import Task, find_metric
from farzi.report.progress import Show


def watch_distillation(show: Show, task: Task, loop: OuterLoop, begin: Callable[[], None]) -> Watch:
    """Show the stages of a distillation.

    Args:
        show: told of them.
        task: says what scores mean.
        loop: its limits on steps and time.
        begin: called once the run has begun.

    Returns:
        what to give to :func:`farzi.distill.distill`.
    """

    def begun() -> None:
        begin()
        show("teachers", None, "out of the cache, or trained")

    full: float | None = None

    def taught(scores: Sequence[float]) -> None:
        nonlocal full
        full = statistics.mean(scores)

    def start() -> None:
        show("start", None, "sequences and what teachers expect after them, then a first judgement")

    share = 0.0

    def judgement(step: int) -> None:
        show("distillation", share, f"step {step} of {loop.steps}, students are trained to judge it")

    def progress(now: OuterProgress) -> None:
        nonlocal share
        share = min(max(now.step / loop.steps, now.seconds / (60 * loop.minutes)), 1.0)
        skipped = f", {now.skipped} skipped" if now.skipped else ""
        show(
            "distillation",
            share,
            f"step {now.step} of {loop.steps}{skipped}, loss {now.loss:.3f}, gradient {now.gradient_norm:.2g}, "
            f"{_valid(task, now.score, now.best_score, full)}",
        )

    teacher = _Teachers(show, task).tell
    return Watch(begin=begun, teacher=teacher, taught=taught, start=start, judgement=judgement, progress=progress)


def watch_study(show: Show) -> Callable[[int, int, str], None]:
    """Show the trainings of a study.

    Args:
        show: told of them.

    Returns:
        what to give to :func:`farzi.evaluation.evaluate`.
    """
    return lambda done, total, what: show("study", done / total, f"training {done + 1} of {total}: {what}")


def watch_training(show: Show, task: Task | None, steps: int) -> Callable[[int, Any, float], None]:
    """Show a single training.

    Args:
        show: told of it.
        task: says what scores mean; None where nothing is scored.
        steps: most that are taken.

    Returns:
        what to give to :func:`farzi.training.fit`.
    """
    best = -math.inf

    def look(step: int, _: Any, score: float) -> None:
        nonlocal best
        best = max(best, score)
        valid = f", {_valid(task, score, best)}" if task else ""
        show("training", step / steps, f"step {step} of {steps}{valid}")

    return look


class _Teachers:
    """Tells of teachers: as they end by patience, how long one takes is unknown until the first has ended."""

    def __init__(self, show: Show, task: Task) -> None:
        self._show, self._task = show, task
        self._usual: int | None = None
        self._number, self._best = 0, -math.inf

    def tell(self, now: TeacherProgress) -> None:
        if now.number != self._number:
            self._number, self._best = now.number, -math.inf
        self._best = max(self._best, now.score)
        if now.step == now.steps:
            self._usual = now.steps
        share = None
        if self._usual is not None:
            here = 1.0 if now.step == now.steps else min(now.step / self._usual, 0.99)
            share = (now.number - 1 + here) / now.count
        about = _valid(self._task, now.score, self._best)
        self._show("teachers", share, f"teacher {now.number} of {now.count}, step {now.step}, {about}")


def _valid(task: Task, score: float, best: float, full: float | None = None) -> str:
    """Scores now and at their best, and what they are of a score reached with all data."""
    told = f"valid {task.headline} {task.format(score)} (best {task.format(best)})"
    if full is None:
        return told
    retention = find_metric(task.headline).retention
    now, at_best = (f"{100 * retention(task.value(one), task.value(full)):.1f} %" for one in (score, best))
    return f"{told}, {now} of the teachers' (best {at_best})"
