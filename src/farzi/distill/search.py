"""What a search varies: options by their names, each in a range around what it is without a search."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from farzi.distill.meta_matching import MetaMatching
from farzi.distill.work import Work
from farzi.errors import InputError

_SPREAD: Mapping[str, float] = {
    "loop.lr": 10.0,
    "objective.lr": 10.0,
    "objective.steps": 4.0,
    "objective.window": 4.0,
    "objective.teacher_share": 0.0,
    "size.rank": 2.0,  # the summary's file grows with it
    "objective.batch_size": 4.0,
}
"""By what factor a value may be smaller or larger; 0 for a share, which may be anything from 0 to 1."""

SEARCHABLE = tuple(_SPREAD)
"""The options that a search can vary, as the command line names them."""


class UnfitError(InputError):
    """Values do not go together."""


class Range(NamedTuple):
    """What an option may be, whole numbers if both ends are.

    Args:
        low: the least.
        high: the most.
        log: whether a value and its double are as far apart everywhere.
    """

    low: float
    high: float
    log: bool


def ranges(work: Work, names: Collection[str]) -> dict[str, Range]:
    """What a search draws from; the values without a search are among it.

    Args:
        work: the distillation without a search.
        names: of the options.

    Returns:
        range by option.

    Raises:
        InputError: an option cannot be searched, or there is none.
    """
    known = isinstance(work.objective, MetaMatching)
    possible = [name for name in SEARCHABLE if known or not name.startswith("objective.")]
    wrong = [name for name in names if name not in possible]
    if wrong or not names:
        told = f"names {wrong[0]!r}" if wrong else "names nothing"
        raise InputError(f"--search {told}; what can be searched is {', '.join(possible)}")
    return {name: _range(work, name) for name in possible if name in names}


def values(work: Work, names: Collection[str]) -> dict[str, Any]:
    """What options are in a distillation.

    Args:
        work: the distillation.
        names: of the options.

    Returns:
        value by option.
    """
    return {name: _value(work, name) for name in names}


def vary(work: Work, parameters: Mapping[str, Any]) -> Work:
    """The same distillation with other values.

    Args:
        work: the distillation.
        parameters: value by option.

    Returns:
        the other distillation.

    Raises:
        UnfitError: values do not go together.
    """
    changes: dict[str, dict[str, Any]] = {}
    for name, value in parameters.items():
        group, field = name.split(".")
        changes.setdefault(group, {})[field] = value
    try:
        varied = {group: replace(getattr(work, group), **fields) for group, fields in changes.items()}
        other = replace(work, **varied)
        other.check()
    except ValueError as error:
        raise UnfitError(str(error)) from error
    return other


def _value(work: Work, name: str) -> Any:
    group, field = name.split(".")
    return getattr(getattr(work, group), field)


def _range(work: Work, name: str) -> Range:
    value, spread = _value(work, name), _SPREAD[name]
    if not spread:
        return Range(0.0, 1.0, log=False)
    low, high = value / spread, value * spread
    if name.endswith(".lr"):
        return Range(low, high, log=True)
    if name == "objective.batch_size":  # a larger one than there are sequences is as good as their number
        low, high = min(low, work.size.sequences / spread), max(value, min(high, work.size.sequences))
    if name == "objective.steps":
        low = max(low, _least_steps(work))
    if name == "objective.window":
        high = min(high, _least_steps(work))
    return Range(max(1, round(low)), round(high), log=True)


def _least_steps(work: Work) -> int:
    """Inner runs are at least so long, and windows at most, so that any window has room in any run."""
    steps, window = (_value(work, f"objective.{name}") for name in ("steps", "window"))
    return max(round(steps / _SPREAD["objective.steps"]), window)
