"""What a summary's file says of itself: where it came from, how to train on it, and what was measured."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Advice:
    """How to train on a summary, as found on validation data.

    Args:
        lr: learning rate of Adam.
        batch_size: sequences a step.
        steps: number of steps.
        decay: share of the steps, the last ones, over which the learning rate falls in a straight line to nothing.
        weight_decay: decoupled weight decay (AdamW).
        crop: most that a step may leave out of its sequences' ends, a share of their length.

    Raises:
        ValueError: a number is not positive, or not finite; ``decay`` or ``crop`` is no share; or ``weight_decay`` is
            negative.
    """

    lr: float
    batch_size: int
    steps: int
    decay: float = 0.0
    weight_decay: float = 0.0
    crop: float = 0.0

    def __str__(self) -> str:
        """The advice in words."""
        falling = f", falling over the last {self.decay:.0%} of them" if self.decay else ""
        shrinking = f", weight decay {self.weight_decay:g}" if self.weight_decay else ""
        shorter = f", up to {self.crop:.0%} of each sequence's end left out" if self.crop else ""
        each = f"learning rate {self.lr:.3g}, {self.batch_size:,} sequences a step"
        return f"{each}, {self.steps:,} steps{falling}{shrinking}{shorter}"

    def __post_init__(self) -> None:
        if not 0 < _number("lr", self.lr) < math.inf:
            raise ValueError(f"lr is {self.lr}; it must be positive and finite")
        for name in ("batch_size", "steps"):
            _at_least_1(name, getattr(self, name))
        if not 0 <= _number("decay", self.decay) <= 1:
            raise ValueError(f"decay is {self.decay}; it must be between 0 and 1")
        if not 0 <= _number("weight_decay", self.weight_decay) < math.inf:
            raise ValueError(f"weight_decay is {self.weight_decay}; it must not be negative, and finite")
        if not 0 <= _number("crop", self.crop) < 1:
            raise ValueError(f"crop is {self.crop}; it must be at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class Retention:
    """What models trained on a summary alone keep of those trained on all data, as a study measured it on test data.

    Args:
        student: name of the model that was trained.
        seeds: how many were.
        kept: by metric, the mean on the summary divided by that on all data, for perplexity the inverse.

    Raises:
        ValueError: there are no seeds, or a share is negative or not finite.
    """

    student: str
    seeds: int
    kept: Mapping[str, float]

    def __post_init__(self) -> None:
        _text("student", self.student)
        _at_least_1("seeds", self.seeds)
        _mapping("kept", self.kept)
        for name, share in self.kept.items():
            if not 0 <= _number(name, share) < math.inf:
                raise ValueError(f"{name} is {share}; it must not be negative, and finite")


@dataclass(frozen=True, kw_only=True)
class Card:
    """Where a summary came from and how to use it.

    Args:
        data: name of the data set.
        data_fingerprint: of its events, see :attr:`farzi.events.EventData.fingerprint`.
        num_events: training events that it stands for.
        model: name and sizes of the model that it was distilled with.
        advice: how to train on it.
        origin: everything else that decided it: teachers, objective, outer loop, seed.
        licence: the terms of the data set, where they are known.
        retention: what it keeps, once that is measured.

    Raises:
        ValueError: there are no training events, or the model has no name.
    """

    data: str
    data_fingerprint: str
    num_events: int
    model: Mapping[str, Any]
    advice: Advice
    origin: Mapping[str, Any] = field(default_factory=dict[str, Any])
    licence: str | None = None
    retention: Retention | None = None

    def __post_init__(self) -> None:
        for name in ("data", "data_fingerprint"):
            _text(name, getattr(self, name))
        _at_least_1("num_events", self.num_events)
        for name in ("model", "origin"):
            _mapping(name, getattr(self, name))
        _text("name of the model", self.model.get("name"))
        if self.licence is not None:
            _text("licence", self.licence)


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}; it must be a text")


def _mapping(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is {value!r}; it must be a mapping")


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r}; it must be a number")
    return value


def _at_least_1(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} is {value!r}; it must be a whole number, at least 1")
