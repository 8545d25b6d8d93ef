"""How far a long job is: bars on a terminal, lines elsewhere."""

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from farzi.evaluation import peak_mb

Show = Callable[[str, float | None, str], None]
"""Takes a stage of the work, the share of it that is done (0 to 1, None if unknown), and what there is to say of it."""

SECONDS_BETWEEN_LINES = 10.0
"""Where there is no terminal, a stage tells about this often at most, and less often the longer it lasts.

After long silence two pieces of news that come together are both told, as when a training ends and the next begins.
"""

MOST_SECONDS_BETWEEN_LINES = 600.0
"""As long as there is news, a stage tells about this often, however long it lasts."""


@contextmanager
def show_progress(console: Console, quiet: bool = False) -> Generator[Show]:
    """Show how far a job is for as long as the block runs, and the most memory that this process has had.

    Args:
        console: where to; bars if it is a terminal, plain lines if it is a file or a pipe.
        quiet: whether to show nothing.

    Yields:
        what to call with news.
    """
    if quiet:
        yield lambda _stage, _share, _detail: None
    elif not console.is_terminal or console.is_dumb_terminal:
        yield _Lines(console).show
    else:
        with _Bars(console) as bars:
            yield bars.show


class _Bars(Progress):
    """A bar for each stage, and what there is to say of the one at work; it is over when the next one begins."""

    def __init__(self, console: Console) -> None:
        self._detail = Text()
        self._stages: dict[str, TaskID] = {}
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            speed_estimate_period=600,
            expand=True,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield self._detail

    def show(self, stage: str, share: float | None, detail: str) -> None:
        if stage not in self._stages:
            for task in self._stages.values():
                self.update(task, total=1.0, completed=1.0)
            self._stages[stage] = self.add_task(stage, total=None)
        self._detail = Text(_with_memory(detail))
        if share is not None:
            self.update(self._stages[stage], total=1.0, completed=share)


class _Lines:
    """A line now and then."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._stage = ""
        self._began = self._due = self._first_share = 0.0

    def show(self, stage: str, share: float | None, detail: str) -> None:
        now = self._clock()
        if stage != self._stage:
            self._stage, self._began, self._first_share = stage, now, share or 0.0
            self._due = now
        elif share != 1 and now < self._due:
            return
        self._due = max(self._due + self._pause(now), now)
        told, left = f"{stage}:", ""
        if share is not None:
            gone = share - self._first_share
            told = f"{stage} {share:.0%}:"
            if gone > 0 and share < 1:
                left = f", about {_duration((now - self._began) * (1 - share) / gone)} left"
        line = f"{told} {_with_memory(detail)}{left}"
        self._console.print(line, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def _pause(self, now: float) -> float:
        return min(max(SECONDS_BETWEEN_LINES, (now - self._began) / 10), MOST_SECONDS_BETWEEN_LINES)


def _with_memory(detail: str) -> str:
    return f"{detail}, {peak_mb():,.0f} MB"


def _duration(seconds: float) -> str:
    """In the coarsest unit that is still of use."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
