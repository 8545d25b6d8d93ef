"""The models that the conformance suite tests, small, and what tests of a single one need as well.

To add a model to ``MEMBERS`` is all it takes to have it tested.
"""

import torch
from torch import Tensor

from farzi.models import FMLP, GRU4Rec, ModernSASRec, Parameters, SASRec, SequenceModel

VOCAB = 11
LENGTH = 6

MEMBERS: list[SequenceModel] = [
    SASRec(dim=8, blocks=2, heads=2, max_length=LENGTH),
    ModernSASRec(dim=8, blocks=2, heads=2, max_length=LENGTH),
    GRU4Rec(dim=8, width=12, layers=2, max_length=LENGTH),
    FMLP(dim=8, blocks=2, max_length=LENGTH),
]


def settled(model: SequenceModel) -> Parameters:
    """In float64 and far from the initial ones, where attention hardly attends and biases are zero."""
    generator = torch.Generator().manual_seed(1)
    return {
        name: t + 0.5 * torch.randn(t.shape, generator=generator, dtype=torch.float64)
        for name, t in model.init(VOCAB, 0).items()
    }


def ids(*shape: int) -> Tensor:
    return torch.randint(VOCAB, shape, generator=torch.Generator().manual_seed(2))
