"""How far a long job is: bars on a terminal, lines elsewhere."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from farzi.distill import OuterLoop, TeacherProgress, Watch
from farzi.distill import Progress as OuterProgress
from farzi.evaluation import Task

Show = Callable[[str, float, str], None]
"""Takes a stage of the work, the share of it that is done (0 to 1), and what there is to say about it."""

SECONDS_BETWEEN_LINES = 10.0
"""Where there is no terminal, a stage tells no more often than this."""


@contextmanager
def show_progress(console: Console) -> Generator[Show]:
    """Show how far a job is for as long as the block runs.

    Args:
        console: where to; bars if it is a terminal, plain lines if it is a file or a pipe.

    Yields:
        what to call with news.
    """
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Lines(console).show
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=console, speed_estimate_period=600) as progress:
        yield _Bars(progress).show


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

    def teacher(now: TeacherProgress) -> None:
        share = (now.number - 1 + now.step / now.steps) / now.count
        show(
            "teachers",
            share,
            f"teacher {now.number} of {now.count}, step {now.step}, valid {task.headline} {task.format(now.score)}",
        )

    def progress(now: OuterProgress) -> None:
        share = max(now.step / loop.steps, now.seconds / (60 * loop.minutes))
        skipped = f", {now.skipped} skipped" if now.skipped else ""
        show(
            "distillation",
            min(share, 1.0),
            f"step {now.step} of {loop.steps}{skipped}, loss {now.loss:.3f}, "
            f"valid {task.headline} {task.format(now.score)} (best {task.format(now.best_score)})",
        )

    return Watch(begin=begin, teacher=teacher, progress=progress)


def watch_study(show: Show) -> Callable[[int, int, str], None]:
    """Show the trainings of a study.

    Args:
        show: told of them.

    Returns:
        what to give to :func:`farzi.evaluation.evaluate`.
    """
    return lambda done, total, what: show("study", done / total, f"training {done + 1} of {total}: {what}")


class _Bars:
    """A bar for each stage; a stage is over when the next one begins."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, stage: str, share: float, detail: str) -> None:
        if stage not in self._tasks:
            for task in self._tasks.values():
                self._progress.update(task, completed=1.0)
            self._tasks[stage] = self._progress.add_task(stage, total=1.0, detail=detail)
        self._progress.update(self._tasks[stage], completed=share, detail=detail)


class _Lines:
    """A line now and then."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._stage = ""
        self._began = self._told = self._first_share = 0.0

    def show(self, stage: str, share: float, detail: str) -> None:
        now = self._clock()
        if stage != self._stage:
            self._stage, self._began, self._first_share = stage, now, share
        elif share < 1 and now - self._told < SECONDS_BETWEEN_LINES:
            return
        self._told = now
        gone = share - self._first_share
        left = f", about {_duration((now - self._began) * (1 - share) / gone)} left" if gone > 0 and share < 1 else ""
        self._console.print(f"{stage} {share:.0%}: {detail}{left}", highlight=False, soft_wrap=True, markup=False)


def _duration(seconds: float) -> str:
    """In the coarsest unit that is still of use."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
