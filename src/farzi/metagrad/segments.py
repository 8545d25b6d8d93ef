"""Replays that keep some states and take the steps between them again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from farzi.metagrad.optimizer import State, map_state
from farzi.metagrad.replay import ReplayError, Step, Steps, Trainer, drain, take_steps


@dataclass(frozen=True, kw_only=True)
class Segments:
    """Keep the states between segments, and make the steps of one segment at a time again (Chen et al., 2016).

    With ``sqrt(T)`` segments about ``2 sqrt(T)`` states are alive, for ``T`` steps more.

    Args:
        count: number of segments; 0 takes ``sqrt(T)``.
        offload: whether kept states rest in (pinned) main memory while the model runs elsewhere.

    Raises:
        ValueError: the count is negative.
    """

    count: int = 0
    offload: bool = False

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count is {self.count}; it must not be negative")

    def forward(self, trainer: Trainer, start: State, num_steps: int) -> tuple[State, Steps]:
        """Run all steps and keep each segment's first state; the last segment's steps are kept too."""
        bounds = _split(0, num_steps, self.count or math.isqrt(num_steps))
        kept, state = _run_through(trainer, start, bounds, self.offload)
        steps = take_steps(trainer, state, bounds[-2], num_steps)
        return steps[-1].after if steps else start, self._backward(trainer, steps, kept, bounds)

    def _backward(self, trainer: Trainer, last: list[Step], kept: list["_Kept"], bounds: Sequence[int]) -> Steps:
        end = kept.pop()
        yield from drain(last)
        for low, high in reversed(list(pairwise(bounds[:-1]))):
            start = kept.pop()
            steps = take_steps(trainer, start.fetch(), low, high)
            _check(steps, end)
            end = start
            yield from drain(steps)


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Keep states along one branch of a tree of segments of segments (as REPLAY, arXiv 2503.13751).

    ``(arity - 1) log(T) / log(arity)`` states are alive, and at most ``T log(T) / log(arity)`` steps are taken again.

    Args:
        arity: parts into which a segment is cut, at least 2.
        offload: whether kept states rest in (pinned) main memory while the model runs elsewhere.

    Raises:
        ValueError: the arity is below 2.
    """

    arity: int = 4
    offload: bool = False

    def __post_init__(self) -> None:
        if self.arity < 2:
            raise ValueError(f"arity is {self.arity}; it must be at least 2")

    def forward(self, trainer: Trainer, start: State, num_steps: int) -> tuple[State, Steps]:
        """Run all steps and keep the states between the largest segments."""
        bounds = _split(0, num_steps, self.arity)
        kept, state = _run_through(trainer, start, bounds, self.offload)
        for number in range(bounds[-2], num_steps):
            state = trainer.advance(number, state).after
        return state, self._children(trainer, bounds, kept, _Kept(state, self.offload))

    def _children(self, trainer: Trainer, bounds: Sequence[int], kept: list["_Kept"], end: "_Kept") -> Steps:
        for low, high in reversed(list(pairwise(bounds))):
            start = kept.pop()
            yield from self._backward(trainer, start, low, high, end)
            end = start

    def _backward(self, trainer: Trainer, start: "_Kept", low: int, high: int, end: "_Kept") -> Steps:
        if high - low > self.arity:
            bounds = _split(low, high, self.arity)
            kept, _ = _run_through(trainer, start.fetch(), bounds, self.offload)
            yield from self._children(trainer, bounds, kept, end)
            return
        steps = take_steps(trainer, start.fetch(), low, high)
        if steps:
            _check(steps, end)
        yield from drain(steps)


class _Kept:
    """A state that waits, in main memory if wanted."""

    def __init__(self, state: State, offload: bool) -> None:
        self._device = state.weights.device
        self._state = map_state(state, _to_main_memory) if offload and self._device.type != "cpu" else state

    def fetch(self) -> State:
        """The state where it came from."""
        return map_state(self._state, lambda part: part.to(self._device, non_blocking=True))


def _to_main_memory(part: torch.Tensor) -> torch.Tensor:
    return torch.empty(part.shape, dtype=part.dtype, pin_memory=True).copy_(part)


def _split(low: int, high: int, count: int) -> list[int]:
    """Bounds of ``count`` parts of nearly equal length; fewer where there are fewer steps, but at least one."""
    count = max(min(count, high - low), 1)
    return [low + (high - low) * part // count for part in range(count + 1)]


def _run_through(trainer: Trainer, start: State, bounds: Sequence[int], offload: bool) -> tuple[list[_Kept], State]:
    """Run to the last part's first step, keeping each part's first state; and that part's state."""
    kept, state = [_Kept(start, offload)], start
    for low, high in pairwise(bounds[:-1]):
        for number in range(low, high):
            state = trainer.advance(number, state).after
        kept.append(_Kept(state, offload))
    return kept, state


def _check(steps: Sequence[Step], end: _Kept) -> None:
    found, wanted = steps[-1].after, end.fetch()
    same = torch.equal(found.weights, wanted.weights)
    if not same or not all(torch.equal(part, wanted.moments[name]) for name, part in found.moments.items()):
        raise ReplayError(
            f"inner steps {steps[0].number} to {steps[-1].number} came out differently when they were taken again, or "
            "some step before them did; the loss must be deterministic: no dropout, and no operation that adds up in "
            "another order every time"
        )
