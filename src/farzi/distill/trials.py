"""What a search has tried, and the file that keeps it."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from farzi.errors import InputError
from farzi.files import write_json


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A distillation that a search has tried.

    Args:
        number: from 1 on; the first has the options as they were given.
        parameters: value by option that is searched.
        state: ``complete``; ``pruned``, ended early as most others were better by then; or ``failed``.
        score: the best on validation data, higher is better; None of a trial that failed.
        judgements: outer step and the best score by then, of each judgement but the start's and the last.
        seconds: time taken; that of the first trial with the training of teachers.
        reason: why it failed.
    """

    number: int
    parameters: dict[str, Any]
    state: Literal["complete", "pruned", "failed"]
    score: float | None
    judgements: tuple[tuple[int, float], ...]
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class Tuned:
    """The trials of a search so far.

    Args:
        trials: in their order, the first of them complete.
    """

    trials: tuple[Trial, ...]

    @property
    def first(self) -> Trial:
        """The trial with the options as they were given."""
        return self.trials[0]

    @property
    def best(self) -> Trial:
        """The trial that did best on validation data; the earlier one of two that are level."""
        complete = [one for one in self.trials if one.state == "complete"]
        return max(complete, key=lambda one: -math.inf if one.score is None else one.score)

    @property
    def seconds(self) -> float:
        """Time that the trials have taken."""
        return sum(one.seconds for one in self.trials)


def write_trials(path: Path, trials: Sequence[Trial]) -> None:
    """Keep trials.

    Args:
        path: of the file.
        trials: all of them.

    Raises:
        InputError: the file cannot be written.
    """
    write_json(path, [asdict(one) for one in trials])


def read_trials(path: Path) -> tuple[Trial, ...]:
    """Read the trials of before.

    Args:
        path: of the file, which may be missing.

    Returns:
        the trials.

    Raises:
        InputError: the file is damaged.
    """
    if not path.exists():
        return ()
    try:
        return tuple(Trial(**one | {"judgements": _pairs(one["judgements"])}) for one in json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is damaged ({error}); start again in a new folder") from error


def _pairs(found: Sequence[Sequence[Any]]) -> tuple[tuple[int, float], ...]:
    return tuple((int(step), float(score)) for step, score in found)
