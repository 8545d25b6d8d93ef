"""What people see of a search: its progress, and what it found."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from rich.table import Table

from farzi.distill import OuterLoop, Progress, SearchWatch, TeacherProgress, Trial, Tuned
from farzi.evaluation import Task
from farzi.report.progress import Show
from farzi.report.watching import watch_distillation


def watch_search(
    show: Show,
    task: Task,
    loop: OuterLoop,
    trials: int,
    minutes: float,
    keep: Callable[[Tuned], None],
) -> SearchWatch:
    """Show the stages of a search.

    Args:
        show: told of them.
        task: says what scores mean.
        loop: limits on steps and time of each trial.
        trials: how many there are to be.
        minutes: after which no further one begins.
        keep: called after each trial.

    Returns:
        what to give to :func:`farzi.distill.tune`.
    """
    tuned = Tuned(())

    def finished(now: Tuned) -> None:
        nonlocal tuned
        tuned = now
        keep(now)

    def progress(now: Progress) -> None:
        done = len(tuned.trials)
        in_trial = min(max(now.step / loop.steps, now.seconds / (60 * loop.minutes)), 1.0)
        share = max((done + in_trial) / trials, (tuned.seconds + now.seconds) / (60 * minutes))
        best = f", best trial {_score(task, tuned.best)}" if done else ""
        show(
            "search",
            min(share, 1.0),
            f"trial {done + 1} of {trials}, step {now.step} of {loop.steps}, "
            f"loss {now.loss:.3f}, gradient {now.gradient_norm:.2g}, "
            f"valid {task.headline} {task.format(now.best_score)}{best}",
        )

    first = watch_distillation(show, task, loop, lambda: None)

    def teacher(now: TeacherProgress) -> None:
        if not tuned.trials:  # later they come out of the store
            first.teacher(now)

    return SearchWatch(begin=first.begin, teacher=teacher, progress=progress, finished=finished)


def search_table(tuned: Tuned, task: Task) -> Table:
    """What the best trial of a search gains over the first, and with what.

    Args:
        tuned: the trials.
        task: says what scores mean.

    Returns:
        options and validation score as they were given and of the best trial, and how trials ended.
    """
    first, best = tuned.first, tuned.best
    states = Counter(one.state for one in tuned.trials)
    table = Table(caption=", ".join(f"{count} {state}" for state, count in states.items()), caption_justify="left")
    for column in ("", "as given", "as given is best" if best is first else f"trial {best.number}, the best"):
        table.add_column(column, justify="right" if column else "left")
    for name, given in first.parameters.items():
        table.add_row(name, _number(given), _number(best.parameters[name]))
    table.add_row(f"valid {task.headline}", _score(task, first), _score(task, best), style="bold")
    return table


def _score(task: Task, trial: Trial) -> str:
    return "" if trial.score is None else task.format(trial.score)


def _number(value: Any) -> str:
    return f"{value}" if isinstance(value, int) else f"{value:.3g}"
