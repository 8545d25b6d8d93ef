"""Which states of an inner run are at hand on the way back, and which are made again."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch

from farzi.metagrad.optimizer import State


class Step(NamedTuple):
    """One inner step as the adjoint needs it: its number, the states around it and the gradient that it used."""

    number: int
    before: State
    grad: torch.Tensor
    after: State


Steps = Generator[Step, None, None]
"""Steps from the last to the first, each made when it is asked for.

Whoever goes back through them throws an error of theirs in here, so that a strategy may say what it comes from.
"""


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

    def forward(self, trainer: Trainer, start: State, num_steps: int) -> tuple[State, Steps]:
        """Run all steps.

        Args:
            trainer: takes the steps.
            start: state before the first step.
            num_steps: number of steps.

        Returns:
            the final state, and the steps from the last to the first.

        Raises:
            ReplayError: from the steps, where they do not come out as they did on the way there.
        """
        ...


@dataclass(frozen=True)
class StoreAll:
    """Keep every step: no work is repeated, memory grows with the number of steps."""

    def forward(self, trainer: Trainer, start: State, num_steps: int) -> tuple[State, Steps]:
        """Run all steps and keep them."""
        steps = take_steps(trainer, start, 0, num_steps)
        return steps[-1].after if steps else start, drain(steps)


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

    def forward(self, trainer: Trainer, start: State, num_steps: int) -> tuple[State, Steps]:
        """Run up to the window keeping nothing, then through it."""
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


def take_steps(trainer: Trainer, state: State, low: int, high: int) -> list[Step]:
    """Steps ``low`` to ``high - 1``, from the state before them."""
    steps: list[Step] = []
    for number in range(low, high):
        steps.append(trainer.advance(number, state))
        state = steps[-1].after
    return steps


def drain(steps: list[Step]) -> Steps:
    """From the last to the first, letting go of each."""
    while steps:
        yield steps.pop()
