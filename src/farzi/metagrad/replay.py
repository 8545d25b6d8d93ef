"""Which states of an inner run are at hand on the way back, and which are made again."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Protocol

import torch

from farzi.metagrad.optimizer import State
from farzi.metagrad.tensors import Tensors


class Step(NamedTuple):
    """One inner step as the adjoint needs it: its number, the states around it and the gradient that it used."""

    number: int
    before: State
    grad: torch.Tensor
    after: State


class Trainer(Protocol):
    """Takes the inner steps of one run."""

    def advance(self, number: int, state: State) -> Step:
        """Take step ``number`` from the state before it."""
        ...

    def retreat(self, number: int, state: State) -> Step:
        """Find step ``number`` from the state after it."""
        ...


class ReplayError(RuntimeError):
    """A step did not come out on the way back as it did on the way there, so that a gradient would be wrong."""


class Replay(Protocol):
    """A strategy for going through the steps of an inner run forwards and then backwards."""

    def forward(self, trainer: Trainer, start: State, num_steps: int) -> tuple[State, Iterator[Step]]:
        """Run all steps; return the final state, and the steps from the last to the first, each made when asked for."""
        ...


@dataclass(frozen=True)
class StoreAll:
    """Keep every step: no work is repeated, memory grows with the number of steps."""

    def forward(self, trainer: Trainer, start: State, num_steps: int) -> tuple[State, Iterator[Step]]:
        """Run all steps and keep them.

        Args:
            trainer: takes the steps.
            start: state before the first step.
            num_steps: number of steps.

        Returns:
            the final state, and the steps from the last to the first.
        """
        steps = _steps(trainer, start, 0, num_steps)
        return steps[-1].after if steps else start, _drain(steps)


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

    def forward(self, trainer: Trainer, start: State, num_steps: int) -> tuple[State, Iterator[Step]]:
        """Run all steps and keep each segment's first state; the last segment's steps are kept too.

        Args:
            trainer: takes the steps.
            start: state before the first step.
            num_steps: number of steps.

        Returns:
            the final state, and the steps from the last to the first.

        Raises:
            ReplayError: from the iterator, where a segment comes out differently the second time.
        """
        bounds = _split(0, num_steps, self.count or math.isqrt(num_steps))
        kept, state = _run_through(trainer, start, bounds, self.offload)
        steps = _steps(trainer, state, bounds[-2], num_steps)
        return steps[-1].after if steps else start, self._backward(trainer, steps, kept, bounds)

    def _backward(
        self, trainer: Trainer, last: list[Step], kept: list["_Kept"], bounds: Sequence[int]
    ) -> Iterator[Step]:
        end = kept.pop()
        yield from _drain(last)
        for low, high in reversed(list(pairwise(bounds[:-1]))):
            start = kept.pop()
            steps = _steps(trainer, start.fetch(), low, high)
            _check(steps, end)
            end = start
            yield from _drain(steps)


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

    def forward(self, trainer: Trainer, start: State, num_steps: int) -> tuple[State, Iterator[Step]]:
        """Run all steps and keep the states between the largest segments.

        Args:
            trainer: takes the steps.
            start: state before the first step.
            num_steps: number of steps.

        Returns:
            the final state, and the steps from the last to the first.

        Raises:
            ReplayError: from the iterator, where a segment comes out differently another time.
        """
        bounds = _split(0, num_steps, self.arity)
        kept, state = _run_through(trainer, start, bounds, self.offload)
        for number in range(bounds[-2], num_steps):
            state = trainer.advance(number, state).after
        return state, self._children(trainer, bounds, kept, _Kept(state, self.offload))

    def _children(self, trainer: Trainer, bounds: Sequence[int], kept: list["_Kept"], end: "_Kept") -> Iterator[Step]:
        for low, high in reversed(list(pairwise(bounds))):
            start = kept.pop()
            yield from self._backward(trainer, start, low, high, end)
            end = start

    def _backward(self, trainer: Trainer, start: "_Kept", low: int, high: int, end: "_Kept") -> Iterator[Step]:
        if high - low > self.arity:
            bounds = _split(low, high, self.arity)
            kept, _ = _run_through(trainer, start.fetch(), bounds, self.offload)
            yield from self._children(trainer, bounds, kept, end)
            return
        steps = _steps(trainer, start.fetch(), low, high)
        if steps:
            _check(steps, end)
        yield from _drain(steps)


_OTHERWISE = "take fewer steps, or replay with Segments() or Tree()"


@dataclass(frozen=True, kw_only=True)
class Unstep:
    """Keep the final state alone and undo each step (Farzi Data's way; Sachdeva et al., 2023; Maclaurin et al., 2015).

    Rounding grows by ``1 / beta1`` with every step that is undone, and by more where a second moment grew from nearly
    nothing, so states are held in float64, and the first one, which is kept beside the last, is compared with what was
    found. From fresh weights, or past some 200 steps, that fails (docs/adjoint.md): use :class:`Segments` or
    :class:`Tree`.

    Args:
        tolerance: largest relative distance of the state that was found from the one that training started from.

    Raises:
        ValueError: the tolerance is not positive.
    """

    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"tolerance is {self.tolerance}; it must be positive")

    def forward(self, trainer: Trainer, start: State, num_steps: int) -> tuple[State, Iterator[Step]]:
        """Run all steps, keeping the last state.

        Args:
            trainer: takes the steps.
            start: state before the first step.
            num_steps: number of steps.

        Returns:
            the final state, and the steps from the last to the first, all in the precision of the start.

        Raises:
            ReplayError: from the iterator, where the states have drifted past the tolerance.
        """
        state = first = _cast(start, torch.float64)
        for number in range(num_steps):
            state = trainer.advance(number, state).after
        dtype = start.weights.dtype
        return _cast(state, dtype), self._backward(trainer, first, state, num_steps, dtype)

    def _backward(
        self, trainer: Trainer, first: State, last: State, num_steps: int, dtype: torch.dtype
    ) -> Iterator[Step]:
        state = last
        for number in reversed(range(num_steps)):
            try:
                step = trainer.retreat(number, state)
            except ArithmeticError as error:  # what was finite on the way there is not on the way back
                raise ReplayError(f"undoing {num_steps} inner steps went astray ({error}); {_OTHERWISE}") from error
            state = step.before
            yield Step(step.number, _cast(step.before, dtype), step.grad.to(dtype), _cast(step.after, dtype))
        drift = _distance(state, first, last)
        if not drift <= self.tolerance:
            raise ReplayError(
                f"undoing {num_steps} inner steps led to a state off by {drift:.1e} (relative), past the tolerance of "
                f"{self.tolerance:.0e}; {_OTHERWISE}"
            )


@dataclass(frozen=True, kw_only=True)
class Window:
    """Go back over the last steps only (truncated backpropagation; RaT-BPTT, arXiv 2311.07025, ends runs at random).

    The gradient by the initial weights is then that by the weights where the window begins, and what examples do to
    earlier steps is left out, by choice.

    Args:
        steps: how many of the last steps, at least 1.
        within: how the window's own states are kept.

    Raises:
        ValueError: the window is empty.
    """

    steps: int
    within: Replay = field(default_factory=StoreAll)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; it must be at least 1")

    def forward(self, trainer: Trainer, start: State, num_steps: int) -> tuple[State, Iterator[Step]]:
        """Run up to the window keeping nothing, then through it.

        Args:
            trainer: takes the steps.
            start: state before the first step.
            num_steps: number of steps.

        Returns:
            the final state, and the window's steps from the last to the first.
        """
        skipped = max(num_steps - self.steps, 0)
        for number in range(skipped):
            start = trainer.advance(number, start).after
        return self.within.forward(_Later(trainer, skipped), start, num_steps - skipped)


@dataclass(frozen=True)
class _Later:
    """A trainer whose steps are counted from a later one."""

    trainer: Trainer
    by: int

    def advance(self, number: int, state: State) -> Step:
        return self.trainer.advance(number + self.by, state)

    def retreat(self, number: int, state: State) -> Step:
        return self.trainer.retreat(number + self.by, state)


class _Kept:
    """A state that waits, in main memory if wanted."""

    def __init__(self, state: State, offload: bool) -> None:
        self._device = state.weights.device
        self._state = _map(state, _to_main_memory) if offload and self._device.type != "cpu" else state

    def fetch(self) -> State:
        """The state where it came from."""
        return _map(self._state, lambda part: part.to(self._device, non_blocking=True))


def _to_main_memory(part: torch.Tensor) -> torch.Tensor:
    return torch.empty(part.shape, dtype=part.dtype, pin_memory=True).copy_(part)


def _map(state: State, change: "_Change") -> State:
    moments: Tensors = {name: change(part) for name, part in state.moments.items()}
    return State(state.count, change(state.weights), moments)


class _Change(Protocol):
    def __call__(self, part: torch.Tensor, /) -> torch.Tensor: ...


def _cast(state: State, dtype: torch.dtype) -> State:
    return _map(state, lambda part: part.to(dtype))


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


def _steps(trainer: Trainer, state: State, low: int, high: int) -> list[Step]:
    steps: list[Step] = []
    for number in range(low, high):
        steps.append(trainer.advance(number, state))
        state = steps[-1].after
    return steps


def _drain(steps: list[Step]) -> Iterator[Step]:
    """From the last to the first, letting go of each."""
    while steps:
        yield steps.pop()


def _check(steps: Sequence[Step], end: _Kept) -> None:
    found, wanted = steps[-1].after, end.fetch()
    same = torch.equal(found.weights, wanted.weights)
    if not same or not all(torch.equal(part, wanted.moments[name]) for name, part in found.moments.items()):
        raise ReplayError(
            f"inner steps {steps[0].number} to {steps[-1].number} came out differently when they were taken again, or "
            "some step before them did; the loss must be deterministic: no dropout, and no operation that adds up in "
            "another order every time"
        )


def _distance(found: State, wanted: State, scale: State) -> float:
    """The largest distance of a tensor of two states, relative to the largest that it was."""
    parts = zip(*([state.weights, *state.moments.values()] for state in (found, wanted, scale)), strict=True)
    return max(float((f - w).norm() / torch.maximum(w.norm(), s.norm()).clamp_min(1e-300)) for f, w, s in parts)
