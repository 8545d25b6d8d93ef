"""Trackers of experiments, which are told what ``metrics.jsonl`` holds; none of them is needed."""

import secrets
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from farzi.distill import Progress, Watch
from farzi.errors import InputError
from farzi.files import atomic_write


class Tracker(Protocol):
    """Keeps numbers by step."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the numbers of a step; the first one of a run that was resumed is where it went on."""
        ...

    def close(self) -> None:
        """Write what is not written yet; nothing is logged afterwards."""
        ...


class TensorBoard:
    """Event files in a run folder's ``tensorboard`` (extra ``tensorboard``).

    Args:
        folder: of the run.

    Raises:
        InputError: the package is missing.
    """

    def __init__(self, folder: str | Path) -> None:
        _library("tensorboard")
        self._folder, self._writer = Path(folder) / "tensorboard", None

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See :meth:`Tracker.log`."""
        if self._writer is None:  # what a killed run wrote of this step and later ones is not shown
            writers = import_module("torch.utils.tensorboard")
            self._writer: Any = writers.SummaryWriter(str(self._folder), purge_step=step)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """See :meth:`Tracker.close`."""
        if self._writer is not None:
            self._writer.close()


class Session:
    """A run in Weights & Biases or trackio, whose interfaces are alike (extras ``wandb`` and ``trackio``).

    The run folder's ``tracked-as.txt`` keeps its name, by which a run that is resumed is found again.

    Args:
        package: ``wandb`` or ``trackio``.
        folder: of the run.

    Raises:
        InputError: the package is missing.
    """

    def __init__(self, package: str, folder: str | Path) -> None:
        self._library, self._folder, self._found_by_id = _library(package), Path(folder), package == "wandb"
        self._run: Any = None

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See :meth:`Tracker.log`."""
        if self._run is None:
            name = self._name()
            more = {"id": name, "dir": str(self._folder)} if self._found_by_id else {}
            self._run = self._library.init(project="farzi", name=name, resume="allow", **more)
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """See :meth:`Tracker.close`."""
        if self._run is not None:
            self._run.finish()

    def _name(self) -> str:
        path = self._folder / "tracked-as.txt"
        if not path.exists():
            with atomic_write(path) as file:
                file.write(f"{self._folder.resolve().name}-{secrets.token_hex(4)}".encode())
        return path.read_text(encoding="utf-8")


TRACKERS: Mapping[str, Callable[[Path], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": partial(Session, "wandb"),
    "trackio": partial(Session, "trackio"),
}
"""The trackers by name; each is given the folder of a run, in which it writes nothing before the first step."""


@contextmanager
def tracked(watch: Watch, tracker: Tracker | None) -> Generator[Watch]:
    """Have a tracker told of each outer step too, and close it at the end of the block.

    Args:
        watch: told as before.
        tracker: told all numbers of :class:`farzi.distill.Progress`, by their names; None tells nobody else.

    Yields:
        what to give to :func:`farzi.distill.distill`.
    """
    if tracker is None:
        yield watch
        return

    def progress(now: Progress) -> None:
        values = asdict(now)
        tracker.log(values.pop("step"), values)
        watch.progress(now)

    try:
        yield replace(watch, progress=progress)
    finally:
        tracker.close()


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(
            f"--track {name} needs the package {name}; install it with pip install 'farzi[{name}]'"
        ) from error
