"""Exact differentiation through training: optimisers and their adjoints, Hessian-vector products, replay."""

from farzi.metagrad.adam import Adam, AdamState, Cotangent
from farzi.metagrad.hvp import Hvp, gradient, reverse_over_forward, reverse_over_reverse
from farzi.metagrad.replay import Advance, Replay, Step, StoreAll
from farzi.metagrad.tensors import Layout, Loss, Tensors
from farzi.metagrad.unroll import InnerRun, MetaGradient, OuterLoss

__all__ = [
    "Adam",
    "AdamState",
    "Advance",
    "Cotangent",
    "Hvp",
    "InnerRun",
    "Layout",
    "Loss",
    "MetaGradient",
    "OuterLoss",
    "Replay",
    "Step",
    "StoreAll",
    "Tensors",
    "gradient",
    "reverse_over_forward",
    "reverse_over_reverse",
]
