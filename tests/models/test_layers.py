"""The layers against plain operations of torch, in float64: values, both derivatives, forward mode."""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, grad
from torch.nn import functional

from farzi.models.layers import attention, dropout, gelu, layer_norm, linear, mix

FUTURE = torch.ones(4, 4, dtype=torch.bool).triu(1)


def plain_layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight + bias


def plain_gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def plain_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    weights = scores.exp().masked_fill(FUTURE, 0)
    return weights / weights.sum(-1, keepdim=True) @ v


LAYERS = {
    "layer_norm": (layer_norm, plain_layer_norm, [(2, 3, 5), (5,), (5,)]),
    "gelu": (gelu, plain_gelu, [(3, 4)]),
    "linear": (linear, lambda x, weight: x @ weight.T, [(2, 3, 4), (5, 4)]),
    "mix": (mix, torch.matmul, [(2, 3, 4), (4, 5)]),
    "attention": (lambda q, k, v: attention(q, k, v, FUTURE), plain_attention, [(2, 1, 4, 3)] * 3),
}

layers = pytest.mark.parametrize(("layer", "plain", "shapes"), LAYERS.values(), ids=LAYERS)
close = {"rtol": 1e-10, "atol": 1e-12}


def normals(shapes: list[tuple[int, ...]], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


@layers
def test_value_and_gradient(layer, plain, shapes):
    inputs = normals(shapes)
    found, wanted = layer(*inputs), plain(*inputs)
    torch.testing.assert_close(found, wanted, **close)
    for mine, its in zip(grad(found.sin().sum(), inputs), grad(wanted.sin().sum(), inputs), strict=True):
        torch.testing.assert_close(mine, its, **close)


@layers
def test_second_derivative_in_reverse(layer, plain, shapes):
    inputs, along = normals(shapes), normals(shapes, seed=1)
    products = []
    for function in (layer, plain):
        first = grad(function(*inputs).sin().sum(), inputs, create_graph=True)
        products.append(grad(sum((g * a.detach()).sum() for g, a in zip(first, along, strict=True)), inputs))
    for mine, its in zip(*products, strict=True):
        torch.testing.assert_close(mine, its, **close)


@layers
@pytest.mark.parametrize("of", ["tangent", "both"])
def test_directional_derivative_and_its_gradient(layer, plain, shapes, of):
    """``mix`` carries no direction along its first argument."""
    inputs = normals(shapes)
    along = [a.detach() for a in normals(shapes, seed=1)]
    if layer is mix:
        along[0].zero_()
    with forward_ad.dual_level():
        duals = [
            x if layer is mix and x is inputs[0] else forward_ad.make_dual(x, a)
            for x, a in zip(inputs, along, strict=True)
        ]
        primal, tangent = forward_ad.unpack_dual(layer(*duals))
    out = plain(*inputs)
    seen = torch.ones_like(out).requires_grad_()
    pulled = grad(out, inputs, seen, create_graph=True)
    (slope,) = grad(sum((g * a).sum() for g, a in zip(pulled, along, strict=True)), seen, create_graph=True)
    torch.testing.assert_close(primal, out, **close)
    torch.testing.assert_close(tangent, slope, **close)
    bend = lambda y, y_dot: (y_dot * y_dot.detach()).sum() + (y.sin().sum() if of == "both" else 0)  # noqa: E731
    found, wanted = (
        grad(bend(*pair), inputs, allow_unused=True, materialize_grads=True)
        for pair in ((primal, tangent), (out, slope))
    )
    for mine, its in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, its, **close)


def test_layer_norm_without_bias():
    x, weight, _ = normals([(2, 3, 5), (5,), (5,)])
    torch.testing.assert_close(layer_norm(x, weight), plain_layer_norm(x, weight, torch.zeros(5)), **close)
    with forward_ad.dual_level():
        dual = layer_norm(forward_ad.make_dual(x, torch.ones_like(x)), weight)
        assert forward_ad.unpack_dual(dual).tangent.abs().max() < 1e-12, "a shift of all entries changes nothing"


def test_layer_norm_of_equal_entries_is_the_bias():
    weight, bias = torch.full((4,), 3.0), torch.arange(4.0)
    assert torch.equal(layer_norm(torch.full((2, 4), 5.0), weight, bias), bias.expand(2, 4))


def test_attention_looks_at_nothing_that_is_masked():
    q, k, v = normals([(2, 1, 4, 3)] * 3)
    out = attention(q, k, v, FUTURE)
    assert torch.equal(out[..., 0, :], v[..., 0, :])
    assert not grad(out[..., 1, :].sum(), v)[0][..., 2:, :].any()


def test_attention_weights_are_dropped():
    torch.manual_seed(0)
    v = torch.eye(4).expand(500, 1, 4, 4)
    dropped = attention(torch.zeros_like(v), torch.zeros_like(v), v, torch.zeros(4, 4, dtype=torch.bool), 0.25)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert dropped.mean().item() == pytest.approx(0.25, abs=0.02)


def test_no_dropout_returns_its_input():
    x = torch.ones(3)
    assert dropout(x, 0.0) is x


def test_dropout_keeps_the_mean():
    torch.manual_seed(0)
    dropped = dropout(torch.ones(10_000), 0.25)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)


def test_gelu_is_torchs():
    x = torch.linspace(-6, 6, 50, dtype=torch.float64)
    torch.testing.assert_close(gelu(x), functional.gelu(x), **close)
