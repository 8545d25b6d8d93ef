"""What a replay costs, counted by going through its motions."""

import weakref
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from farzi.metagrad.optimizer import Optimizer, State, map_state
from farzi.metagrad.replay import Replay, Step


class ReplayCost(NamedTuple):
    """What one meta-gradient takes with a replay, whatever the model.

    Args:
        gradients: inner gradients, on the way there and to take or undo steps again.
        products: steps gone back over, each of which takes a Hessian-vector product.
        bytes_per_parameter: most memory that states and gradients take at once, for each float32 parameter.
    """

    gradients: int
    products: int
    bytes_per_parameter: int


def replay_cost(replay: Replay, optimizer: Optimizer, num_steps: int) -> ReplayCost:
    """Count what a replay does, by letting it replay steps of a single parameter that stays where it is.

    Args:
        replay: the strategy.
        optimizer: says which moments a state has.
        num_steps: inner steps, at least 1.

    Returns:
        its work and its memory.
    """
    trainer, memory = _Still(), _Memory()
    with memory:
        _, steps = replay.forward(trainer, optimizer.init(torch.zeros(1)), num_steps)
        products = sum(1 for _ in steps)
    return ReplayCost(trainer.gradients, products, memory.most)


class _Still:
    """A trainer whose steps lead nowhere."""

    def __init__(self) -> None:
        self.gradients = 0

    def advance(self, number: int, state: State) -> Step:
        return Step(number, state, *self._step(state, 1))

    def retreat(self, number: int, state: State) -> Step:
        grad, before = self._step(state, -1)
        return Step(number, before, grad, state)

    def _step(self, state: State, by: int) -> tuple[Tensor, State]:
        self.gradients += 1
        moved = map_state(state, torch.zeros_like)
        return torch.zeros_like(state.weights), State(state.count + by, moved.weights, moved.moments)


class _Memory(TorchDispatchMode):
    """Counts the bytes of tensors that are made under it, until they are gone."""

    def __init__(self) -> None:
        super().__init__()
        self.most = self._now = 0
        self._alive = weakref.WeakSet[torch.UntypedStorage]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in tree_leaves(result):
            if isinstance(part, Tensor) and (storage := part.untyped_storage()) not in self._alive:
                self._alive.add(storage)
                self._change(storage.nbytes())
                weakref.finalize(storage, self._change, -storage.nbytes())
        return result

    def _change(self, by: int) -> None:
        self._now += by
        self.most = max(self.most, self._now)
