"""The layers against plain operations of torch, in float64: values, both derivatives, forward mode."""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, grad
from torch.nn import functional

from farzi.models.fmlp import causal_filter
from farzi.models.layers import attention, dropout, gelu, layer_norm, linear, mix
from farzi.models.layers_modern import rms_norm, rotary, swiglu
from farzi.models.recurrent import gated_recurrence

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


def plain_rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight


def plain_swiglu(x: Tensor) -> Tensor:
    gate, up = x.chunk(2, -1)
    return gate / (1 + (-gate).exp()) * up


def plain_rotary(x: Tensor) -> Tensor:
    """As multiplication by complex numbers of modulus 1."""
    (length, dim), half = x.shape[-2:], x.shape[-1] // 2
    rotated = []
    for t in range(length):
        for pair in range(half):
            angle = (t + 1 - length) * 10_000 ** (-2 * pair / dim)
            number = torch.complex(x[..., t, pair], x[..., t, pair + half]) * complex(math.cos(angle), math.sin(angle))
            rotated.append(torch.view_as_real(number))
    pairs = torch.stack(rotated, -2).unflatten(-2, (length, half))
    return torch.cat(pairs.unbind(-1), -1)


def plain_recurrence(inputs: Tensor, weight: Tensor) -> Tensor:
    h, states = inputs.new_zeros(inputs.shape[1], weight.shape[1]), []
    for a_r, a_z, a_n in (step.chunk(3, -1) for step in inputs):
        s_r, s_z, s_n = (h @ weight.T).chunk(3, -1)
        r, z = (a_r + s_r).sigmoid(), (a_z + s_z).sigmoid()
        h = (1 - z) * (a_n + r * s_n).tanh() + z * h
        states.append(h)
    return torch.stack(states)


def plain_filter(x: Tensor, response: Tensor) -> Tensor:
    times = range(x.shape[1])
    return torch.stack([sum(x[:, s] * response[:, t - s] for s in range(t + 1)) for t in times], 1)


LAYERS = {
    "layer_norm": (layer_norm, plain_layer_norm, [(2, 3, 5), (5,), (5,)]),
    "gelu": (gelu, plain_gelu, [(3, 4)]),
    "linear": (linear, lambda x, weight: x @ weight.T, [(2, 3, 4), (5, 4)]),
    "mix": (mix, torch.matmul, [(2, 3, 4), (4, 5)]),
    "rms_norm": (rms_norm, plain_rms_norm, [(2, 3, 5), (5,)]),
    "swiglu": (swiglu, plain_swiglu, [(2, 3, 8)]),
    "rotary": (rotary, plain_rotary, [(2, 4, 6)]),
    "gated_recurrence": (gated_recurrence, plain_recurrence, [(4, 2, 9), (9, 3)]),
    "one_step": (gated_recurrence, plain_recurrence, [(1, 2, 9), (9, 3)]),
    "causal_filter": (causal_filter, plain_filter, [(2, 4, 3), (3, 5)]),
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
        grad(bend(*pair) + 0 * inputs[0].sum(), inputs, allow_unused=True, materialize_grads=True)
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


def test_an_infinite_update_gate_keeps_the_state():
    inputs, weight = normals([(5, 2, 9), (9, 3)])
    closed = inputs.detach().index_fill(0, torch.tensor([0, 1]), 0)
    closed[:2, :, 3:6] = torch.inf
    closed.requires_grad_()
    states = gated_recurrence(closed, weight)
    assert not states[:2].any()
    torch.testing.assert_close(states[2:], gated_recurrence(inputs[2:], weight), **close)
    first = grad(states.sin().sum(), [closed, weight], create_graph=True)
    second = grad(sum(g.sum() for g in first), [closed, weight])
    for found in (*first, *second):
        assert found.isfinite().all()
    assert not first[0][:2].any()


def test_rotated_vectors_agree_by_their_distance():
    q, k = normals([(3,), (3,)])
    q, k = (rotary(torch.cat([x, x]).expand(1, 6, 6)) for x in (q, k))
    scores = (q @ k.mT)[0]
    torch.testing.assert_close(scores[1:, 1:], scores[:-1, :-1], **close)


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
