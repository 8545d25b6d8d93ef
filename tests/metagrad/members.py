"""The families that meet in the conformance suite; adding a member to its list is all it takes to be tested."""

from dataclasses import dataclass

import torch
from torch import Tensor

from farzi.metagrad.adam import Adam
from farzi.metagrad.hvp import Hvp, reverse_over_forward, reverse_over_reverse
from farzi.metagrad.optimizer import Optimizer
from farzi.metagrad.replay import Replay, StoreAll, Window
from farzi.metagrad.segments import Segments, Tree
from farzi.metagrad.sgd import SGD
from farzi.metagrad.unstep import Unstep


@dataclass(frozen=True)
class Setting:
    """An optimiser with its rates: one number each, or one for each step, falling."""

    optimizer: Optimizer
    lr: float
    decay: float = 0.0
    per_step: bool = False

    def rates(self, steps: int) -> tuple[float | Tensor, float | Tensor]:
        """Learning rate and decay of a run."""
        if not self.per_step:
            return self.lr, self.decay
        falling = torch.linspace(1.5, 0.5, steps, dtype=torch.float64)
        return self.lr * falling, self.decay * falling**2


OPTIMIZERS: dict[str, Setting] = {
    "adam": Setting(Adam(), lr=0.01),
    "adamw": Setting(Adam(), lr=0.01, decay=0.5),
    "adamw_per_step": Setting(Adam(beta1=0.8, beta2=0.95), lr=0.01, decay=0.5, per_step=True),
    "smooth_adam": Setting(Adam(epsilon_root=1e-3), lr=0.02),
    "sgd": Setting(SGD(), lr=0.05),
    "sgd_per_step": Setting(SGD(), lr=0.05, decay=0.5, per_step=True),
    "momentum": Setting(SGD(momentum=0.9), lr=0.02, decay=0.5),
    "nesterov": Setting(SGD(momentum=0.8, nesterov=True), lr=0.02, decay=0.5),
}

REPLAYS: list[Replay] = [
    StoreAll(),
    Segments(),
    Segments(count=3, offload=True),
    Tree(),
    Tree(arity=2, offload=True),
    Unstep(),
    Window(steps=1000, within=Tree(arity=3)),
]

ENGINES: list[Hvp] = [reverse_over_forward, reverse_over_reverse]
