"""The loss of hard and soft sequences, in float64 against plain operations of torch."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from farzi.metagrad import Layout
from farzi.metagrad.hvp import gradient, reverse_over_forward, reverse_over_reverse
from farzi.models import Batch, Factored, Parameters, SASRec, scores, sequence_loss

VOCAB = 11
MODEL = SASRec(dim=4, max_length=6)
OUTPUTS = {"tied": (), "untied": ("output",), "bias": ("output_bias",), "both": ("output", "output_bias")}

engines = pytest.mark.parametrize("engine", [reverse_over_forward, reverse_over_reverse], ids=lambda e: e.__name__)
outputs = pytest.mark.parametrize("names", OUTPUTS.values(), ids=OUTPUTS)
close = {"rtol": 1e-10, "atol": 1e-13}


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def parameters(names: tuple[str, ...] = ()) -> Parameters:
    initial = {**MODEL.init(VOCAB, 0), "output": torch.zeros(VOCAB, MODEL.dim), "output_bias": torch.zeros(VOCAB)}
    chosen = {k: part for k, part in initial.items() if not k.startswith("output") or k in names}
    return {k: part + 0.5 * normal(*part.shape, seed=i) for i, (k, part) in enumerate(chosen.items())}


def plain(p: Parameters, inputs: Tensor, targets: Tensor) -> Tensor:
    """The loss of soft sequences."""
    logits = MODEL.hidden(p, inputs @ p["embedding"]) @ p.get("output", p["embedding"]).T + p.get("output_bias", 0)
    return -(targets * logits.log_softmax(-1)).sum(-1).mean()


def assert_same(engine, ours, theirs, p: Parameters, batch: dict[str, Tensor]) -> None:
    """Value, gradient, Hessian-vector product and mixed derivatives of two losses are the same."""
    layout = Layout.of(p)
    weights = layout.flatten(p)
    for mine, its in zip(*(gradient(loss, layout, weights, batch) for loss in (ours, theirs)), strict=True):
        torch.testing.assert_close(mine, its, **close)
    along = normal(len(weights), seed=7)
    product, mixed = engine(ours, layout, weights, batch, along)
    wanted, mixed_wanted = reverse_over_reverse(theirs, layout, weights, batch, along)
    torch.testing.assert_close(product, wanted, **close)
    torch.testing.assert_close(mixed, mixed_wanted, **close)


@engines
@outputs
def test_soft_sequences(engine, names):
    def soft(batch: dict[str, Tensor]) -> Batch:
        return Batch(*(part.softmax(-1) for part in batch.values()))

    batch = {"inputs": normal(3, 5, VOCAB), "targets": normal(3, 5, VOCAB, seed=1)}
    ours = lambda p, batch: sequence_loss(MODEL, p, soft(batch))  # noqa: E731
    assert_same(engine, ours, lambda p, batch: plain(p, *soft(batch)), parameters(names), batch)


@engines
@outputs
def test_hard_sequences(engine, names):
    events = torch.randint(VOCAB, (3, 6), generator=torch.Generator().manual_seed(2))
    batch = {"inputs": events[:, :-1], "targets": events[:, 1:]}
    ours = lambda p, batch: sequence_loss(MODEL, p, Batch(**batch))  # noqa: E731
    theirs = lambda p, batch: plain(p, *(one_hot(part, VOCAB).double() for part in batch.values()))  # noqa: E731
    assert_same(engine, ours, theirs, parameters(names), batch)


@engines
@outputs
@pytest.mark.parametrize("kind", ["free", "next"])
def test_soft_sequences_in_factors(engine, names, kind):
    def decoded(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        inputs, targets = (
            (batch[name] @ batch["decoder"] / 0.7).softmax(-1) if name in batch else None
            for name in ("latents", "targets")
        )
        return (inputs[:, :-1], inputs[:, 1:]) if targets is None else (inputs, targets)

    batch = {"latents": normal(3, 5, 4), "decoder": normal(4, VOCAB, seed=2)}
    if kind == "free":
        batch["targets"] = normal(3, 5, 4, seed=1)
    ours = lambda p, batch: sequence_loss(MODEL, p, Factored(**batch, temperature=0.7))  # noqa: E731
    assert_same(engine, ours, lambda p, batch: plain(p, *decoded(batch)), parameters(names), batch)


@outputs
def test_scores_are_what_the_loss_makes_its_predictions_of(names):
    p, inputs = parameters(names), normal(2, 5, VOCAB).softmax(-1)
    targets = normal(2, 5, VOCAB, seed=1).softmax(-1)
    logs = scores(p, MODEL.hidden(p, inputs @ p["embedding"])).log_softmax(-1)
    torch.testing.assert_close(plain(p, inputs, targets), -(targets * logs).sum(-1).mean())


def test_gradients_are_the_same_to_the_last_bit_every_time_also_with_two_threads():
    model, generator = SASRec(dim=32, max_length=50), torch.Generator().manual_seed(0)
    parameters = {name: part.requires_grad_() for name, part in model.init(50, 0).items()}
    tokens = torch.randint(50, (128, 51), generator=generator)
    batch, threads = Batch(tokens[:, :-1], tokens[:, 1:]), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        seen = [torch.autograd.grad(sequence_loss(model, parameters, batch), [*parameters.values()]) for _ in range(5)]
    finally:
        torch.set_num_threads(threads)
    for other in seen[1:]:
        assert all(torch.equal(a, b) for a, b in zip(seen[0], other, strict=True))
