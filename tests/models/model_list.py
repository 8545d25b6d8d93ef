"""The models that the conformance suite tests, small, and what tests of a single one need as well.

To add a model to ``MEMBERS`` is all it takes to have it tested.
"""

import torch
from torch import Tensor, nn

from farzi.models import (
    FMLP,
    GPT2,
    GRU,
    GRU4Rec,
    Llama,
    ModernSASRec,
    ModuleModel,
    Parameters,
    SASRec,
    SequenceModel,
    Transformer,
)

VOCAB = 11
LENGTH = 6


class Recurrent(nn.Module):
    """A module that knows nothing of farzi."""

    def __init__(self, dim: int = 8, width: int = 12) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.9)
        self.recurrent = nn.GRU(dim, width, batch_first=True)
        self.out = nn.Linear(width, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.recurrent(self.dropout(x))[0])


MEMBERS: list[SequenceModel] = [
    SASRec(dim=8, blocks=2, heads=2, max_length=LENGTH),
    ModernSASRec(dim=8, blocks=2, heads=2, max_length=LENGTH),
    GRU4Rec(dim=8, width=12, layers=2, max_length=LENGTH),
    FMLP(dim=8, blocks=2, max_length=LENGTH),
    Transformer(dim=8, blocks=1, heads=2, max_length=LENGTH),
    GRU(dim=8, width=12, layers=1, max_length=LENGTH),
    GPT2(dim=8, blocks=2, heads=2, max_length=LENGTH),
    Llama(dim=8, blocks=2, heads=2, max_length=LENGTH),
    ModuleModel(module=Recurrent, dim=8, max_length=LENGTH),
]


NEEDS = {"gpt2": "transformers", "llama": "transformers"}
"""What some models need beside torch; where it is missing their tests are skipped."""


def settled(model: SequenceModel) -> Parameters:
    """In float64 and far from the initial ones, where attention hardly attends and biases are zero."""
    generator = torch.Generator().manual_seed(1)
    return {
        name: t + 0.5 * torch.randn(t.shape, generator=generator, dtype=torch.float64)
        for name, t in model.init(VOCAB, 0).items()
    }


def ids(*shape: int) -> Tensor:
    return torch.randint(VOCAB, shape, generator=torch.Generator().manual_seed(2))
