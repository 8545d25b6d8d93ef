"""A run's record of its outer steps, one line of JSON for each."""

import json
from dataclasses import asdict
from pathlib import Path

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
