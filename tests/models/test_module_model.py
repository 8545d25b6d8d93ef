"""Modules of torch as models: what goes beyond the suite that all models pass."""

import json
import pickle
from functools import partial

import pytest
import torch
from model_list import LENGTH, VOCAB, Recurrent, ids, settled
from torch import Tensor, nn

from farzi.metagrad import Adam, InnerRun, Layout
from farzi.metagrad.hvp import gradient, reverse_over_forward, reverse_over_reverse
from farzi.models import Batch, ModuleModel, describe_model, hidden_states, sequence_loss

MODEL = ModuleModel(module=Recurrent, dim=8, max_length=LENGTH)


class Attentive(nn.Module):
    """Torch's own attention: a mask as buffer, positions, and no second derivative unless its kernel is chosen."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(LENGTH, 8))
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(LENGTH))

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        return self.layer(x + self.position[:length], self.mask[:length, :length])


class SquareWithoutForwardMode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, d):
        return 2 * ctx.saved_tensors[0] * d


class Squares(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        return SquareWithoutForwardMode.apply(x * self.scale).cumsum(1)


class Noise(nn.Module):
    """Random features as a buffer, and one that is written to in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("features", torch.randn(8, 8))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        return x @ self.features + self.calls


class Normed(nn.Module):
    """Normalisations of torch, of which it differentiates tangents wrongly."""

    def __init__(self, *norms: nn.Module) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norms)

    def forward(self, x: Tensor) -> Tensor:
        for norm in self.norms:
            x = norm(x.cumsum(1))
        return x


def member(module, **sizes) -> ModuleModel:
    return ModuleModel(module=module, **{"dim": 8, "max_length": LENGTH, **sizes})


def test_the_module_is_called_with_scaled_embeddings():
    p, module = settled(MODEL), Recurrent().double()
    module.load_state_dict({name.removeprefix("module."): part for name, part in p.items() if name != "embedding"})
    embeddings = p["embedding"][ids(2, LENGTH)]
    wanted = module.eval()(embeddings * 8**0.5)
    torch.testing.assert_close(MODEL.hidden(p, embeddings), wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("module", [Attentive, Squares])
def test_without_forward_mode_the_inner_run_falls_back(module):
    model = member(module)
    p = settled(model)
    layout, batch = Layout.of(p), {"inputs": ids(3, 5), "targets": ids(3, 5).roll(1, 1)}
    weights = layout.flatten(p)
    along = torch.randn(weights.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def loss(p, batch):
        return sequence_loss(model, p, Batch(**batch))

    with pytest.raises(RuntimeError):
        reverse_over_forward(loss, layout, weights, batch, along)
    product, _ = reverse_over_reverse(loss, layout, weights, batch, along)
    ahead, behind = (gradient(loss, layout, weights + s * along, batch)[1] for s in (1e-6, -1e-6))
    torch.testing.assert_close(product, (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-6)

    run, schedule = InnerRun(loss=loss, layout=layout), torch.arange(3)[:, None]
    found = run.differentiate(lambda p: loss(p, batch), Adam().init(weights), batch, schedule, 0.01)
    only = InnerRun(loss=loss, layout=layout, engines=(reverse_over_reverse,))
    wanted = only.differentiate(lambda p: loss(p, batch), Adam().init(weights), batch, schedule, 0.01)
    torch.testing.assert_close(found.weights, wanted.weights, rtol=1e-12, atol=1e-12)


def second_derivatives(model):
    """By both engines, in reverse and in forward mode last."""
    p = settled(model)
    layout, batch = Layout.of(p), {"inputs": ids(3, 5), "targets": ids(3, 5).roll(1, 1)}
    weights = layout.flatten(p)
    along = torch.randn(weights.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def loss(p, batch):
        return sequence_loss(model, p, Batch(**batch))

    for engine in (reverse_over_reverse, reverse_over_forward):
        yield engine(loss, layout, weights, batch, along)[0]


@pytest.mark.parametrize(
    "norms",
    [
        [nn.LayerNorm(8)],
        [nn.LayerNorm(8, eps=1e-3, bias=False), nn.LayerNorm(8, elementwise_affine=False)],
        [nn.Unflatten(2, (2, 4)), nn.LayerNorm((2, 4)), nn.Flatten(2)],
        [nn.RMSNorm(8)],
    ],
    ids=["layer", "other", "two axes", "rms"],
)
def test_normalisations_of_torch_have_right_second_derivatives(norms):
    """Of layer normalisation torch 2.13 gives numbers that are off by half, and no error."""
    wanted, found = second_derivatives(member(partial(Normed, *norms)))
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_batch_normalisation_falls_back_rather_than_be_wrong():
    swapped = [nn.Flatten(0, 1), nn.BatchNorm1d(8, track_running_stats=False), nn.Unflatten(0, (3, 5))]
    model = member(partial(Normed, *swapped))
    object.__setattr__(model, "_check", lambda _: None)  # what it makes of a batch depends on all of it
    engines = second_derivatives(model)
    next(engines)
    with pytest.raises(NotImplementedError, match="batch_norm of dual numbers"):
        next(engines)


def test_torchs_attention_is_blind_to_padding():
    model = member(Attentive)
    p, short = settled(model), ids(2, 3)
    padded = torch.cat([torch.full((2, 2), -1), short], 1)
    torch.testing.assert_close(hidden_states(model, p, padded)[:, 2:], hidden_states(model, p, short))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_buffers_are_constants_in_any_precision(dtype):
    model = member(Noise)
    first, other = model.init(VOCAB, 1), model.init(VOCAB, 2)
    assert first.keys() == {"embedding"}
    x = torch.randn(1, 3, 8, dtype=dtype)
    states = model.hidden(first, x)
    assert states.dtype == dtype
    assert torch.equal(states, model.hidden(other, x))
    model.hidden(first, x, None, 0.5)
    assert torch.equal(model.hidden(first, x), states), "what is written to a buffer is forgotten"


def test_dropout_modules_drop_at_the_rate():
    model = member(lambda: nn.Dropout(0.9))
    torch.manual_seed(0)
    x = torch.ones(50, LENGTH, 8)
    assert torch.equal(model.hidden({}, x), x * 8**0.5)
    assert (model.hidden({}, x, None, 0.25) == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_a_module_that_someone_holds_is_left_alone():
    held = nn.Linear(8, 8)
    before = held.weight.detach().clone()
    member(lambda: held).init(VOCAB, 0)["module.weight"].add_(1)
    assert torch.equal(held.weight, before)


def test_a_module_in_place_of_what_makes_one_is_refused():
    with pytest.raises(ValueError, match="module is a Linear; it must be what makes one"):
        member(nn.Linear(8, 8))


def test_descriptions_tell_modules_apart():
    described = [describe_model(member(partial(Recurrent, 8, width))) for width in (12, 12, 13)]
    assert described[0] == described[1] != described[2]
    assert described[0].items() >= {"name": "module", "module": "model_list.Recurrent", "dim": 8}.items()
    assert describe_model(member(lambda: nn.Sequential(nn.Linear(8, 8), nn.ReLU()))) != describe_model(
        member(lambda: nn.Sequential(nn.Linear(8, 8), nn.GELU()))
    )
    assert json.loads(json.dumps(described[0])) == described[0]


def test_other_processes_get_the_same_model():
    again = pickle.loads(pickle.dumps(MODEL))
    assert again == MODEL
    p = settled(MODEL)
    assert torch.equal(hidden_states(again, p, ids(2, 4)), hidden_states(MODEL, p, ids(2, 4)))
