"""A run's record of its outer steps, one line of JSON for each."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from farzi.distill.loop import Progress
from farzi.errors import InputError
from farzi.files import atomic_write


class MetricsFile:
    """Outer steps as lines in a file; steps that are taken again replace those of before.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begun = False

    def add(self, progress: Progress) -> None:
        """Write a line.

        Args:
            progress: of an outer step.

        Raises:
            InputError: the file cannot be written.
        """
        if not self._begun:
            self._forget_from(progress.step)
            self._begun = True
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(progress)) + "\n")
        except OSError as error:
            raise InputError(
                f"{self._path} cannot be written: {error.strerror or error}; free space and go on with --resume"
            ) from error

    def _forget_from(self, step: int) -> None:
        """Keep the lines of the steps before this one: what was killed had gone on after its last checkpoint."""
        kept = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
        with atomic_write(self._path) as file:
            file.writelines(kept[: step - 1])


def read_metrics(path: Path) -> list[Progress]:
    """Read a run's record of its outer steps, which may be written at this moment.

    Args:
        path: of the file; where it is missing there were no steps yet.

    Returns:
        the steps, without a last one that is not written whole; what runs of before did not record is not a number.

    Raises:
        InputError: the file cannot be read, or a line is damaged.
    """
    if not path.exists():
        return []
    steps = list[Progress]()
    try:
        *lines, _ = path.read_bytes().split(b"\n")
        for line in lines:
            steps.append(_progress(json.loads(line)))
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(f"line {len(steps) + 1} of {path} is damaged ({error}); copy the run again") from error
    return steps


def _progress(content: dict[str, Any]) -> Progress:
    return Progress(
        step=int(content["step"]),
        seconds=float(content["seconds"]),
        loss=float(content["loss"]),
        gradient_norm=float(content.get("gradient_norm", "nan")),
        peak_mb=float(content.get("peak_mb", "nan")),
        score=float(content["score"]),
        best_score=float(content["best_score"]),
        best_step=int(content["best_step"]),
        lr=float(content["lr"]),
        skipped=int(content["skipped"]),
    )
