"""Expected rows of distributions in factors against plain operations of torch, in float64, and what they hold."""

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, grad, gradcheck
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from farzi.metagrad import Layout
from farzi.metagrad.hvp import gradient, reverse_over_forward, reverse_over_reverse
from farzi.models import Factored, SASRec, chunks, expected, head, sequence_loss

RANK, VOCAB, DIM = 3, 9, 4
close = {"rtol": 1e-10, "atol": 1e-13}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(head, "CHUNK_ROWS", 4)


def normals(*shapes: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def leaves(seed: int = 0) -> list[Tensor]:
    """Latents, decoder and rows."""
    return normals((2, 5, RANK), (RANK, VOCAB), (VOCAB, DIM), seed=seed)


def plain(latents: Tensor, decoder: Tensor, rows: Tensor) -> Tensor:
    return (latents @ decoder).softmax(-1) @ rows


def test_value_and_gradient():
    inputs = leaves()
    found, wanted = (function(*inputs) for function in (expected, plain))
    torch.testing.assert_close(found, wanted, **close)
    torch.testing.assert_close(grad(found.sin().sum(), inputs), grad(wanted.sin().sum(), inputs), **close)


@pytest.mark.parametrize("chosen", range(3))
def test_only_one_input_is_differentiated(chosen):
    inputs = [part if i == chosen else part.detach() for i, part in enumerate(leaves())]
    found, wanted = (grad(function(*inputs).sin().sum(), inputs[chosen]) for function in (expected, plain))
    torch.testing.assert_close(found, wanted, **close)


def test_second_derivative_in_reverse():
    """Of a loss that bends, so that cotangents have derivatives too."""
    inputs, (along,) = leaves(), normals((VOCAB, DIM), seed=1)
    products = []
    for function in (expected, plain):
        (first,) = grad(function(*inputs).sin().sum(), inputs[2], create_graph=True)
        products.append(grad((first * along.detach()).sum(), inputs))
    torch.testing.assert_close(*products, **close)


@pytest.mark.parametrize("of", ["tangent", "both"])
@pytest.mark.parametrize("moving", ["constant", "learned"])
def test_directional_derivative_and_its_gradient(of, moving):
    inputs, (along,) = leaves(), normals((VOCAB, DIM), seed=1)
    along.requires_grad_(moving == "learned")
    by = [*inputs, along] if moving == "learned" else inputs
    bend = lambda y, y_dot: (y_dot * y_dot.detach()).sum() + (y.sin().sum() if of == "both" else 0)  # noqa: E731
    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(expected(*inputs[:2], forward_ad.make_dual(inputs[2], along)))
        primal, tangent = found.primal, found.tangent
    wanted = plain(*inputs), plain(*inputs[:2], along)
    torch.testing.assert_close((primal, tangent), wanted, **close)
    torch.testing.assert_close(
        grad(bend(primal, tangent), by, materialize_grads=True),
        grad(bend(*wanted), by, allow_unused=True, materialize_grads=True),
        **close,
    )


def test_numerical_derivatives():
    assert gradcheck(expected, leaves())


@pytest.mark.parametrize("of", [0, 1])
def test_a_second_derivative_without_a_formula_is_refused(of):
    inputs = leaves()
    (first,) = grad(expected(*inputs).sin().sum(), inputs[of], create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        grad(first.sum(), inputs)


@pytest.mark.parametrize("of", [0, 1])
@pytest.mark.parametrize("rows_too", [True, False])
def test_a_direction_in_the_factors_is_refused(of, rows_too):
    inputs = leaves()
    with forward_ad.dual_level():
        for i in {of, 2} if rows_too else {of}:
            inputs[i] = forward_ad.make_dual(inputs[i], torch.ones_like(inputs[i]))
        with pytest.raises(NotImplementedError):
            expected(*inputs)


@pytest.mark.parametrize(("rows", "vocab", "size"), [(9, 5, 4), (8, 5, 4), (3, 5, 3), (0, 5, 0)])
def test_chunks_cover_all_positions_once(rows, vocab, size):
    found = list(chunks(rows, vocab))
    assert [i for part in found for i in range(rows)[part]] == list(range(rows))
    assert all(part.stop - part.start <= size for part in found)


def test_chunks_are_lower_where_the_vocabulary_is_large(monkeypatch):
    monkeypatch.setattr(head, "CHUNK_ROWS", 256)
    sizes = [next(chunks(1000, vocab)).stop for vocab in (1349, 10_000, 10**7)]
    assert sizes == [256, 104, head.LEAST_ROWS]


class Largest(TorchDispatchMode):
    """Watches how many entries the largest array has that is made."""

    def __init__(self):
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.entries = max([self.entries, *(part.numel() for part in tree_leaves(out) if isinstance(part, Tensor))])
        return out


@pytest.mark.parametrize("engine", [reverse_over_forward, reverse_over_reverse], ids=lambda e: e.__name__)
@pytest.mark.parametrize("kind", ["free", "next"])
def test_no_array_of_all_positions_and_events_is_ever_made(engine, kind):
    model, vocab, positions = SASRec(dim=2, max_length=8), 500, 10 * 8
    parameters = model.init(vocab, 0)
    layout = Layout.of(parameters)
    weights = layout.flatten(parameters)
    torch.manual_seed(0)
    batch = {"latents": torch.randn(10, 8 + (kind == "next"), 3), "decoder": torch.randn(3, vocab)}
    if kind == "free":
        batch["targets"] = torch.randn(10, 8, 3)
    loss = lambda p, batch: sequence_loss(model, p, Factored(**batch))  # noqa: E731
    with Largest() as made:
        gradient(loss, layout, weights, batch)
        engine(loss, layout, weights, batch, torch.randn(len(weights)))
    assert made.entries < positions * vocab / 8
