"""Which states of an inner run are at hand on the way back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from farzi.metagrad.adam import AdamState


class Step(NamedTuple):
    """One inner step as the adjoint needs it: its number, the states around it and the gradient that it used."""

    number: int
    before: AdamState
    grad: Tensor
    after: AdamState


Advance = Callable[[int, AdamState], Step]
"""Take inner step ``number`` from a state."""


class Replay(Protocol):
    """A strategy for going through the steps of an inner run forwards and then backwards."""

    def forward(self, advance: Advance, start: AdamState, num_steps: int) -> tuple[AdamState, Iterator[Step]]:
        """Run all steps; return the final state, and the steps from the last to the first, each made when asked for."""
        ...


@dataclass(frozen=True)
class StoreAll:
    """Keep every step: no work is repeated, memory grows with the number of steps."""

    def forward(self, advance: Advance, start: AdamState, num_steps: int) -> tuple[AdamState, Iterator[Step]]:
        """Run all steps and keep them.

        Args:
            advance: takes one step.
            start: state before the first step.
            num_steps: number of steps.

        Returns:
            the final state, and the steps from the last to the first.
        """
        state, steps = start, list[Step]()
        for number in range(num_steps):
            steps.append(advance(number, state))
            state = steps[-1].after
        return state, reversed(steps)
