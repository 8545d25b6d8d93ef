"""The output head against log_softmax, in float64: value, gradient, second derivatives, forward mode."""

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, grad, gradcheck, gradgradcheck

from farzi.models import head, log_partition, softmax_cross_entropy

DIM, VOCAB = 4, 9
ROWS = [1, 5, head.CHUNK_ROWS, 2 * head.CHUNK_ROWS + 17]

rows = pytest.mark.parametrize("rows", ROWS)
kinds = pytest.mark.parametrize("kind", ["soft", "hard"])
close = {"rtol": 1e-10, "atol": 1e-13}


def normals(*shapes: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def problem(rows: int, kind: str) -> tuple[list[Tensor], Tensor]:
    """Hidden states, weights and, for soft targets, their logits: all that is differentiated; and hard targets."""
    leaves = normals((rows, DIM), (VOCAB, DIM), (rows, VOCAB))
    hard = torch.randint(VOCAB, (rows,), generator=torch.Generator().manual_seed(1))
    return (leaves if kind == "soft" else leaves[:2]), hard


def ours(hidden: Tensor, weight: Tensor, *rest: Tensor) -> Tensor:
    target = rest[0].softmax(1) if rest[0].is_floating_point() else rest[0]
    return softmax_cross_entropy(hidden, weight, target)


def plain(hidden: Tensor, weight: Tensor, *rest: Tensor) -> Tensor:
    logs = (hidden @ weight.T).log_softmax(1)
    if rest[0].is_floating_point():
        return -(rest[0].softmax(1) * logs).sum(1).mean()
    return -logs[torch.arange(len(logs)), rest[0]].mean()


@rows
@kinds
def test_value_and_gradient(rows, kind):
    leaves, hard = problem(rows, kind)
    values = [3 * loss(*leaves, hard) for loss in (ours, plain)]
    torch.testing.assert_close(*values, **close)
    for found, wanted in zip(*(grad(value, leaves) for value in values), strict=True):
        torch.testing.assert_close(found, wanted, **close)


@rows
@kinds
@pytest.mark.parametrize("bend", [lambda x: x, torch.exp], ids=["plain", "exponential"])
def test_hessian_products_in_reverse(rows, kind, bend):
    leaves, hard = problem(rows, kind)
    along = normals(*(leaf.shape for leaf in leaves), seed=2)
    products = []
    for loss in (ours, plain):
        first = grad(bend(loss(*leaves, hard)), leaves, create_graph=True)
        products.append(grad(sum((g * a.detach()).sum() for g, a in zip(first, along, strict=True)), leaves))
    for found, wanted in zip(*products, strict=True):
        torch.testing.assert_close(found, wanted, **close)


@rows
@kinds
@pytest.mark.parametrize("moving", [(True, True), (True, False), (False, True)], ids=["both", "hidden", "weight"])
@pytest.mark.parametrize("bend", [lambda x: x, torch.exp], ids=["plain", "exponential"])
def test_directional_derivative_and_its_gradient(rows, kind, moving, bend):
    leaves, hard = problem(rows, kind)
    along = [a.detach() * moves for a, moves in zip(normals((rows, DIM), (VOCAB, DIM), seed=2), moving, strict=True)]
    with forward_ad.dual_level():
        duals = [
            forward_ad.make_dual(leaf, a) if moves else leaf
            for leaf, a, moves in zip(leaves[:2], along, moving, strict=True)
        ]
        found = forward_ad.unpack_dual(bend(ours(*duals, *leaves[2:], hard)))
    value = bend(plain(*leaves, hard))
    slope = sum((g * a).sum() for g, a in zip(grad(value, leaves[:2], create_graph=True), along, strict=True))
    torch.testing.assert_close(found.primal, value, **close)
    torch.testing.assert_close(found.tangent, slope, **close)
    for ours_, theirs in zip(grad(found.tangent, leaves), grad(slope, leaves), strict=True):
        torch.testing.assert_close(ours_, theirs, **close)


@kinds
def test_numerical_derivatives_across_chunks(kind, monkeypatch):
    """Also where the targets' rows do not sum to one: value and derivatives belong to one and the same function."""
    monkeypatch.setattr(head, "CHUNK_ROWS", 2)
    (hidden, weight, *_), hard = problem(5, kind)
    (soft,) = normals((5, VOCAB), seed=3)
    inputs = (hidden, weight, soft if kind == "soft" else hard)
    assert gradcheck(softmax_cross_entropy, inputs)
    assert gradgradcheck(softmax_cross_entropy, inputs)


@kinds
def test_a_bias_is_added_to_the_scores(kind, monkeypatch):
    monkeypatch.setattr(head, "CHUNK_ROWS", 2)
    (hidden, weight, *_), hard = problem(5, kind)
    soft, bias = normals((5, VOCAB), (VOCAB,), seed=3)
    target = soft if kind == "soft" else hard
    logs = (hidden @ weight.T + bias).log_softmax(1)
    wanted = -(soft.softmax(1) * logs).sum(1).mean() if kind == "soft" else -logs[torch.arange(5), hard].mean()
    found = softmax_cross_entropy(hidden, weight, soft.softmax(1) if kind == "soft" else hard, bias)
    torch.testing.assert_close(found, wanted, **close)
    assert gradgradcheck(softmax_cross_entropy, (hidden, weight, target, bias))


def test_a_bias_of_another_vocabulary_is_refused():
    with pytest.raises(ValueError, match=r"bias is \(8,\); it must be \(9,\)"):
        softmax_cross_entropy(torch.zeros(5, 4), torch.zeros(9, 4), torch.zeros(5, dtype=torch.long), torch.zeros(8))


def test_without_targets_the_log_of_the_sum_of_exponentials_is_left(monkeypatch):
    monkeypatch.setattr(head, "CHUNK_ROWS", 2)
    hidden, weight = inputs = normals((5, DIM), (VOCAB, DIM))
    torch.testing.assert_close(log_partition(*inputs), (hidden @ weight.T).logsumexp(1).mean(), **close)
    assert gradcheck(log_partition, inputs)
    assert gradgradcheck(log_partition, inputs)


def test_the_size_of_chunks_does_not_matter(monkeypatch):
    leaves, hard = problem(7, "hard")
    monkeypatch.setattr(head, "CHUNK_ROWS", 3)
    assert ours(*leaves, hard).item() == pytest.approx(plain(*leaves, hard).item(), rel=1e-13)
    assert torch.equal(leaves[0], problem(7, "hard")[0][0]), "inputs are left alone"


@kinds
def test_only_one_input_is_differentiated(kind):
    leaves, hard = problem(5, kind)
    for chosen in range(len(leaves)):
        inputs = [leaf if i == chosen else leaf.detach() for i, leaf in enumerate(leaves)]
        found, wanted = (grad(loss(*inputs, hard), inputs[chosen])[0] for loss in (ours, plain))
        torch.testing.assert_close(found, wanted, **close)


@kinds
def test_strided_inputs(kind):
    (hidden, weight, *soft), hard = problem(6, kind)
    strided = [t.detach().T.contiguous().T.requires_grad_() for t in (hidden, weight, *soft)]
    assert not strided[0].is_contiguous()
    found = grad(ours(*strided, hard), strided)
    wanted = grad(plain(hidden, weight, *soft, hard), [hidden, weight, *soft])
    for mine, its in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, its, **close)


def test_huge_logits_stay_finite():
    hidden, weight = (1e4 * t.detach() for t in normals((3, DIM), (VOCAB, DIM)))
    hidden.requires_grad_()
    best = (hidden @ weight.T).argmax(1)
    loss = softmax_cross_entropy(hidden, weight, best)
    assert loss.item() == 0
    assert not grad(loss, hidden)[0].any()


@pytest.mark.parametrize(
    ("hidden", "weight", "target", "message"),
    [
        ((5, 4), (9, 3), (5,), r"hidden \(5, 4\), weight \(9, 3\)"),
        ((5, 4), (9, 4), (6,), r"target \(6,\)"),
        ((5, 4), (9, 4), (6, 9), r"target \(6, 9\)"),
        ((5, 4), (9, 4), (5, 8), "8 columns, the vocabulary 9 events"),
        ((1, 5, 4), (9, 4), (1, 5), r"hidden \(1, 5, 4\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(hidden, weight, target, message):
    with pytest.raises(ValueError, match=message):
        softmax_cross_entropy(torch.zeros(hidden), torch.zeros(weight), torch.zeros(target, dtype=torch.long))


def test_a_direction_in_the_targets_is_refused():
    """It has no formula; a wrong derivative would be worse than none."""
    (hidden, weight, soft), _ = problem(5, "soft")
    with forward_ad.dual_level():
        hidden = forward_ad.make_dual(hidden, torch.ones_like(hidden))
        target = forward_ad.make_dual(soft.softmax(1).detach(), torch.ones_like(soft))
        with pytest.raises(NotImplementedError):
            softmax_cross_entropy(hidden, weight, target)


def test_a_mean_over_no_position_is_refused():
    with pytest.raises(ValueError, match="there are no positions to predict at"):
        softmax_cross_entropy(torch.zeros(0, 3), torch.zeros(4, 3), torch.zeros(0, dtype=torch.long))
