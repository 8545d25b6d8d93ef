import pytest
import torch
from torch.autograd import grad, gradcheck, gradgradcheck

from farzi.models.layers import dropout, layer_norm, masked_softmax


def normal(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("with_bias", [True, False])
def test_layer_norm_is_torchs(with_bias):
    x, weight, bias = normal(3, 5, 7), normal(7), normal(7) if with_bias else None
    inputs = [t for t in (x, weight, bias) if t is not None]
    ours = layer_norm(x, weight, bias)
    theirs = torch.nn.functional.layer_norm(x, (7,), weight, bias)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)
    for mine, its in zip(grad(ours.sin().sum(), inputs), grad(theirs.sin().sum(), inputs), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-11, atol=1e-12)


def test_layer_norm_derivatives():
    inputs = normal(2, 4), normal(4), normal(5)[:4]
    assert gradcheck(layer_norm, inputs, check_forward_ad=True)
    assert gradgradcheck(layer_norm, inputs, check_fwd_over_rev=True, check_rev_over_rev=True)


def test_layer_norm_of_equal_entries_is_the_bias():
    weight, bias = torch.full((4,), 3.0), torch.arange(4.0)
    assert torch.equal(layer_norm(torch.full((2, 4), 5.0), weight, bias), bias.expand(2, 4))


def test_masked_softmax_is_torchs():
    scores = normal(2, 3, 4, 4)
    masked = torch.ones(4, 4, dtype=torch.bool).triu(1)
    ours = masked_softmax(scores, masked)
    theirs = scores.masked_fill(masked, -torch.inf).softmax(-1)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    assert not ours[..., masked].any()
    for mine, its in zip(grad(ours.sin().sum(), scores), grad(theirs.sin().sum(), scores), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-11, atol=1e-13)


def test_masked_softmax_derivatives_with_a_row_all_masked():
    masked = torch.tensor([[True, True, True], [False, True, False], [False, False, False]])
    assert gradcheck(lambda s: masked_softmax(s, masked), normal(3, 3), check_forward_ad=True)
    assert gradgradcheck(lambda s: masked_softmax(s, masked), normal(3, 3), check_fwd_over_rev=True)


@pytest.mark.parametrize("size", [1.0, 1e4])
def test_a_row_all_masked_gives_zeros_and_finite_derivatives_in_single_precision(size):
    scores = (size * normal(2, 3).detach().float()).requires_grad_()
    weights = masked_softmax(scores, torch.tensor([[True, True, True], [False, False, True]]))
    assert weights[0].tolist() == [0, 0, 0]
    assert weights[1].sum().item() == pytest.approx(1)
    (first,) = grad(weights.square().sum(), scores, create_graph=True)
    (second,) = grad(first.square().sum() + first.sum(), scores)
    assert first.isfinite().all()
    assert second.isfinite().all()
    assert not first[0].any()
    assert not second[0].any()


def test_no_dropout_returns_its_input():
    x = normal(3)
    assert dropout(x, 0.0) is x


def test_dropout_keeps_the_mean():
    torch.manual_seed(0)
    dropped = dropout(torch.ones(10_000), 0.25)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
