"""Exact differentiation through training: optimisers and their adjoints, Hessian-vector products, replay."""

from farzi.metagrad.adam import Adam, FoldedAdam
from farzi.metagrad.execution import Compiled, CompileError, Eager, Execution
from farzi.metagrad.hvp import Hvp, gradient, reverse_over_forward, reverse_over_reverse
from farzi.metagrad.optimizer import Cotangent, Optimizer, Rates, State
from farzi.metagrad.replay import Replay, ReplayError, Step, Steps, StoreAll, Trainer, Window
from farzi.metagrad.replay_cost import ReplayCost, replay_cost
from farzi.metagrad.segments import Segments, Tree
from farzi.metagrad.sgd import SGD
from farzi.metagrad.tensors import Layout, Loss, Tensors
from farzi.metagrad.unroll import InnerRun, MetaGradient, NonFiniteError, OuterLoss
from farzi.metagrad.unstep import Unstep

__all__ = [
    "SGD",
    "Adam",
    "CompileError",
    "Compiled",
    "Cotangent",
    "Eager",
    "Execution",
    "FoldedAdam",
    "Hvp",
    "InnerRun",
    "Layout",
    "Loss",
    "MetaGradient",
    "NonFiniteError",
    "Optimizer",
    "OuterLoss",
    "Rates",
    "Replay",
    "ReplayCost",
    "ReplayError",
    "Segments",
    "State",
    "Step",
    "Steps",
    "StoreAll",
    "Tensors",
    "Trainer",
    "Tree",
    "Unstep",
    "Window",
    "gradient",
    "replay_cost",
    "reverse_over_forward",
    "reverse_over_reverse",
]
