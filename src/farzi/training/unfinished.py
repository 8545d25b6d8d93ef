"""A training that is under way, written down now and then, so that one that is stopped is not begun again."""

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from farzi.devices import CPU, random_states, set_random_states
from farzi.errors import InputError
from farzi.models import Parameters
from farzi.reading import in_a_line
from farzi.states import read_state, write_state

logger = logging.getLogger(__name__)

SECONDS_BETWEEN = 300.0
"""Between two times that a training is written down; one that is shorter never is."""

FORM = 1
"""Of the file; raised when :class:`Course` carries something else than before."""


class Course:
    """Everything that a training carries from step to step.

    Args:
        parameters: that are trained, in place.
        optimizer: trains them.
    """

    def __init__(self, parameters: Parameters, optimizer: torch.optim.Optimizer) -> None:
        self._parameters, self._optimizer = parameters, optimizer
        self.step = self.best_step = 0
        self.best_score = -math.inf
        self.best: Parameters = {}
        self.curve: list[tuple[int, float]] = []

    def look(self, now: Parameters, score: float) -> None:
        """Keep the parameters if they are the best so far; the first are, whatever their score.

        Args:
            now: the parameters.
            score: theirs; higher is better.
        """
        self.curve.append((self.step, score))
        if not self.best or score > self.best_score:
            self.best_score, self.best_step = score, self.step
            self.best = {name: part.to(CPU, copy=True) for name, part in now.items()}

    def state_dict(self) -> dict[str, Any]:
        """Everything, torch's random states among it, as it is now."""
        return {
            "step": self.step,
            "best_step": self.best_step,
            "best_score": self.best_score,
            "best": self.best,
            "curve": self.curve,
            "parameters": {name: part.detach() for name, part in self._parameters.items()},
            "optimizer": self._optimizer.state_dict(),
            "random": random_states(self._device),
        }

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave; parameters are filled in place.

        Args:
            content: of the same training.
        """
        for name in ("step", "best_step", "best_score", "best", "curve"):
            setattr(self, name, content[name])
        for name, part in self._parameters.items():
            part.detach().copy_(content["parameters"][name])
        self._optimizer.load_state_dict(content["optimizer"])
        set_random_states(content["random"], self._device)

    @property
    def _device(self) -> torch.device:
        return next(iter(self._parameters.values())).device


class Unfinished:
    """The file of one training, there only while that is under way or was stopped.

    Nothing in it says which training it is of: its path has to, and whoever gave it removes it.

    Args:
        path: of the file.

    Attributes:
        seen: parameters that whoever observes the training wants back when it goes on; kept with the rest.
    """

    def __init__(self, path: Path) -> None:
        self.seen: list[Parameters] = []
        self._path, self._written = path, time.monotonic()

    def restore(self) -> dict[str, Any] | None:
        """Read what was written down.

        Returns:
            what :meth:`keep` was given, or None if there is nothing, or nothing that can be read.
        """
        if not self._path.is_file():
            return None
        try:
            content = read_state(self._path)
            if content["form"] != FORM:
                raise ValueError("it is of another version of farzi")
            self.seen = content["seen"]
        except Exception as error:  # what is whole but no state fails in any way
            logger.warning("%s cannot be read, and its training begins again (%s)", self._path, in_a_line(error))
            return None
        return content["course"]

    def keep(self, content: Callable[[], dict[str, Any]]) -> None:
        """Write down where a training is, if that was not done lately; where that fails, it goes on all the same.

        Args:
            content: gives everything that it takes to go on.
        """
        if time.monotonic() - self._written < SECONDS_BETWEEN:
            return
        try:
            write_state(self._path, {"form": FORM, "course": content(), "seen": self.seen})
        except InputError as error:
            logger.warning("a training is not written down: %s", error)
        self._written = time.monotonic()

    def remove(self) -> None:
        """Say that the training has ended."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
