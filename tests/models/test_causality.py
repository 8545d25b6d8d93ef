"""Models that look ahead are refused, wherever they do."""

from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from model_list import LENGTH, MEMBERS, VOCAB
from torch import Tensor, nn

import farzi
from farzi.errors import InputError
from farzi.models import SASRec, check_causal
from farzi.training import TensorSequences


class Ahead(nn.Module):
    """Reads the event so many positions on."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        return x + nn.functional.pad(x[:, self.steps :], (0, 0, 0, self.steps))


class Gated(nn.Module):
    """Adds the mean of the whole sequence, by a gate that is shut in the beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gate * x.mean(1, keepdim=True)


class BothWays(nn.Module):
    """Attention without a mask, whose output begins at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        nn.init.zeros_(self.attention.out_proj.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attention(x, x, x, need_weights=False)[0]


@dataclass(frozen=True, kw_only=True)
class Peeking(SASRec):
    """A model of one's own whose last positions see each other."""

    def hidden(self, parameters, embeddings, padding=None, rate=0.0):
        states = super().hidden(parameters, embeddings, padding, rate)
        return torch.cat([states[:, :-2], states[:, -2:] + embeddings[:, -1:]], 1)


def member(module) -> farzi.ModuleModel:
    return farzi.ModuleModel(module=module, dim=8, max_length=20, name="mine")


@pytest.mark.parametrize("model", MEMBERS, ids=lambda model: model.name)
@pytest.mark.parametrize("length", [1, 2, LENGTH])
def test_models_that_do_not_look_ahead_pass(model, length):
    if model.name in ("gpt2", "llama"):
        pytest.importorskip("transformers")
    shorter = replace(model, max_length=length)
    check_causal(shorter, shorter.init(VOCAB, 0))


@pytest.mark.parametrize(
    "model",
    [
        *(member(partial(Ahead, steps)) for steps in (1, 5, 19)),
        member(Gated),
        member(BothWays),
        Peeking(dim=8, max_length=20),
    ],
    ids=["next", "five on", "the last", "gated", "both ways", "own"],
)
def test_models_that_look_ahead_are_refused_before_they_are_trained(model):
    data = TensorSequences(
        inputs=torch.zeros(1, 3, dtype=torch.long), targets=torch.ones(1, 3, dtype=torch.long), vocab_size=9
    )
    with pytest.raises(InputError, match=f"the model '{model.name}' is not causal"):
        farzi.fit(model, data)


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (partial(nn.GRU, 8, 8, batch_first=True), r"makes tuple of \(2, 20, 8\)"),
        (partial(nn.Linear, 8, 4), r"makes \(2, 20, 4\) of \(2, 20, 8\)"),
    ],
)
def test_states_of_another_shape_are_refused(module, told):
    model = member(module)
    with pytest.raises(InputError, match=f"the model 'mine' {told}"):
        check_causal(model, model.init(VOCAB, 0))
