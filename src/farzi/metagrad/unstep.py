"""The replay that keeps no states and undoes steps."""

from dataclasses import dataclass

import torch

from farzi.metagrad.optimizer import State, map_state
from farzi.metagrad.replay import ReplayError, Step, Steps, Trainer

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

    def forward(self, trainer: Trainer, start: State, num_steps: int) -> tuple[State, Steps]:
        """Run all steps, keeping the last state."""
        state = first = _cast(start, torch.float64)
        for number in range(num_steps):
            state = trainer.advance(number, state).after
        dtype = start.weights.dtype
        return _cast(state, dtype), self._backward(trainer, first, state, num_steps, dtype)

    def _backward(self, trainer: Trainer, first: State, last: State, num_steps: int, dtype: torch.dtype) -> Steps:
        state = last
        for number in reversed(range(num_steps)):
            try:
                step = trainer.retreat(number, state)
                state = step.before
                yield Step(step.number, _cast(step.before, dtype), step.grad.to(dtype), _cast(step.after, dtype))
            except ArithmeticError as error:  # what was finite on the way there is not on the way back
                raise ReplayError(f"undoing {num_steps} inner steps went astray ({error}); {_OTHERWISE}") from error
        drift = _distance(state, first, last)
        if not drift <= self.tolerance:
            raise ReplayError(
                f"undoing {num_steps} inner steps led to a state off by {drift:.1e} (relative), past the tolerance of "
                f"{self.tolerance:.0e}; {_OTHERWISE}"
            )


def _cast(state: State, dtype: torch.dtype) -> State:
    return map_state(state, lambda part: part.to(dtype))


def _distance(found: State, wanted: State, scale: State) -> float:
    """The largest distance of a tensor of two states, relative to the largest that it was."""
    parts = zip(*([state.weights, *state.moments.values()] for state in (found, wanted, scale)), strict=True)
    return max(float((f - w).norm() / torch.maximum(w.norm(), s.norm()).clamp_min(1e-300)) for f, w, s in parts)
