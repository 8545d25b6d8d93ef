import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, one_hot

from farzi.metagrad.hvp import gradient, reverse_over_forward, reverse_over_reverse
from farzi.metagrad.tensors import Layout
from farzi.models import Batch, Parameters, SASRec, hidden_states, sequence_loss

VOCAB = 11
MODEL = SASRec(dim=8, blocks=2, heads=2, max_length=6)


def parameters(model: SASRec = MODEL) -> Parameters:
    """In float64 and far from the initial ones, where attention hardly attends and biases are zero."""
    generator = torch.Generator().manual_seed(1)
    initial = model.init(VOCAB, 0)
    return {
        name: t + 0.5 * torch.randn(t.shape, generator=generator, dtype=torch.float64) for name, t in initial.items()
    }


def ids(*shape: int) -> Tensor:
    return torch.randint(VOCAB, shape, generator=torch.Generator().manual_seed(2))


def reference(p: Parameters, embeddings: Tensor) -> Tensor:
    """The same network out of torch's own attention and normalisation."""
    dim, length = MODEL.dim, embeddings.shape[1]
    x = embeddings * dim**0.5 + p["position"][-length:]
    future = nn.Transformer.generate_square_subsequent_mask(length, dtype=torch.float64)
    for block in range(MODEL.blocks):
        attention = nn.MultiheadAttention(dim, MODEL.heads, bias=False, batch_first=True, dtype=torch.float64)
        attention.load_state_dict(
            {"in_proj_weight": p[f"{block}.attention.qkv"], "out_proj.weight": p[f"{block}.attention.out"]}
        )
        normed = nn.functional.layer_norm(x, (dim,), p[f"{block}.attention.norm"])
        x = x + attention(normed, normed, normed, attn_mask=future, need_weights=False)[0]
        normed = nn.functional.layer_norm(x, (dim,), p[f"{block}.mlp.norm"])
        up = nn.functional.linear(normed, p[f"{block}.mlp.up"], p[f"{block}.mlp.up_bias"])
        x = x + nn.functional.linear(gelu(up), p[f"{block}.mlp.down"])
    return nn.functional.layer_norm(x, (dim,), p["norm"], p["norm_bias"])


@pytest.mark.parametrize("length", [1, 4, 6])
def test_computes_what_torchs_layers_compute(length):
    p = parameters()
    embeddings = p["embedding"][ids(3, length)]
    torch.testing.assert_close(MODEL.hidden(p, embeddings), reference(p, embeddings), rtol=1e-10, atol=1e-12)


def test_sees_the_past_and_never_the_future():
    p = parameters()
    embeddings = p["embedding"][ids(1, 6)]
    influence = torch.autograd.functional.jacobian(lambda e: MODEL.hidden(p, e)[0], embeddings)
    influence = influence.abs().amax((1, 2, 4))
    assert (influence > 0).equal(torch.ones(6, 6, dtype=torch.bool).tril())


@pytest.mark.parametrize("padding", [1, 3])
def test_padding_changes_nothing(padding):
    p = parameters()
    p["embedding"].requires_grad_()
    short = ids(2, 3).clamp_min(1)
    padded = torch.cat([torch.full((2, padding), -1), short], 1)
    beside_longer = torch.cat([padded, ids(1, 3 + padding)])
    for inputs in (padded, beside_longer):
        hidden = hidden_states(MODEL, p, inputs)[:2, padding:]
        torch.testing.assert_close(hidden, hidden_states(MODEL, p, short), rtol=1e-12, atol=1e-13)
    (grad,) = torch.autograd.grad(hidden_states(MODEL, p, padded)[:, padding:].sum(), p["embedding"])
    assert not grad[0].any(), "padding is read as event 0 and then masked"


def test_a_history_of_padding_alone_is_finite():
    p = {name: part.float().requires_grad_() for name, part in parameters().items()}
    hidden = hidden_states(MODEL, p, torch.full((1, 4), -1))
    grads = torch.autograd.grad(hidden.square().sum(), list(p.values()), allow_unused=True)
    assert hidden.isfinite().all()
    assert all(grad is None or grad.isfinite().all() for grad in grads)


def test_soft_one_hot_equals_hard():
    p, inputs, targets = parameters(), ids(3, 5), ids(3, 6)[:, 1:]
    soft_inputs, soft_targets = (one_hot(t, VOCAB).double() for t in (inputs, targets))
    torch.testing.assert_close(hidden_states(MODEL, p, inputs), hidden_states(MODEL, p, soft_inputs))
    hard = sequence_loss(MODEL, p, Batch(inputs, targets))
    for batch in (Batch(soft_inputs, soft_targets), Batch(soft_inputs, targets), Batch(inputs, soft_targets)):
        torch.testing.assert_close(sequence_loss(MODEL, p, batch), hard, rtol=1e-12, atol=0)


def test_soft_inputs_are_expected_embeddings():
    p, soft = parameters(), torch.randn(2, 4, VOCAB, dtype=torch.float64).softmax(-1)
    assert torch.equal(hidden_states(MODEL, p, soft), MODEL.hidden(p, soft @ p["embedding"]))


def test_the_loss_is_the_mean_over_positions_with_a_target():
    p = parameters()
    inputs = torch.tensor([[-1, -1, 3, 4], [5, 6, 7, 8]])
    targets = torch.tensor([[-1, -1, 4, -1], [6, 7, 8, 9]])
    logs = (hidden_states(MODEL, p, inputs) @ p["embedding"].T).log_softmax(-1)
    wanted = -(logs[0, 2, 4] + sum(logs[1, t, 6 + t] for t in range(4))) / 5
    torch.testing.assert_close(sequence_loss(MODEL, p, Batch(inputs, targets)), wanted)


@pytest.mark.parametrize("engine", [reverse_over_forward, reverse_over_reverse], ids=lambda engine: engine.__name__)
@pytest.mark.parametrize("kind", ["soft", "hard", "padded"])
def test_second_derivatives_equal_differences_of_gradients(engine, kind):
    p = parameters()
    if kind == "soft":
        tensors = torch.randn(2, 3, 5, VOCAB, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        batch = dict(zip(("inputs", "targets"), tensors.softmax(-1), strict=True))
    else:
        events = ids(3, 6)
        if kind == "padded":
            events[0, :3] = events[2] = -1
        batch = {"inputs": events[:, :-1], "targets": events[:, 1:].masked_fill(events[:, :-1] < 0, -1)}

    def loss(p: Parameters, batch: dict[str, Tensor]) -> Tensor:
        return sequence_loss(MODEL, p, Batch(**batch))

    layout = Layout.of(p)
    weights = layout.flatten(p)
    along = torch.randn(weights.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    product, mixed = engine(loss, layout, weights, batch, along)
    width = 1e-6
    ahead, behind = (gradient(loss, layout, weights + s * along, batch)[1] for s in (width, -width))
    torch.testing.assert_close(product, (ahead - behind) / (2 * width), rtol=1e-5, atol=1e-7)
    assert mixed.keys() == (batch.keys() if kind == "soft" else set())
    for key, part in mixed.items():
        step = torch.randn(part.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        ahead, behind = (
            gradient(loss, layout, weights, {**batch, key: batch[key] + s * step})[1] for s in (width, -width)
        )
        wanted = float((ahead - behind) @ along) / (2 * width)
        assert float((part * step).sum()) == pytest.approx(wanted, rel=1e-5)


def test_longer_sequences_are_refused():
    with pytest.raises(ValueError, match="7 positions do not fit max_length = 6"):
        hidden_states(MODEL, parameters(), ids(1, 7))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 0}, "dim is 0"),
        ({"blocks": 0}, "blocks is 0"),
        ({"heads": -1}, "heads is -1"),
        ({"max_length": 0}, "max_length is 0"),
        ({"dim": 6, "heads": 4}, "heads is 4; it must divide dim = 6"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        SASRec(**settings)


def test_initial_parameters_follow_from_the_seed():
    torch.manual_seed(0)
    first, again, other = MODEL.init(VOCAB, 3), MODEL.init(VOCAB, 3), MODEL.init(VOCAB, 4)
    assert first.keys() == again.keys() == other.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["embedding"], other["embedding"])
    assert first["embedding"].shape == (VOCAB, MODEL.dim)
    assert {part.dtype for part in first.values()} == {torch.float32}


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_dropout_acts_only_when_asked_for(kind):
    p, inputs = parameters(), ids(2, 5)
    inputs = one_hot(inputs, VOCAB).double() if kind == "soft" else inputs
    torch.manual_seed(0)
    still, dropped, again = (hidden_states(MODEL, p, inputs, rate) for rate in (0.0, 0.5, 0.5))
    assert torch.equal(still, hidden_states(MODEL, p, inputs))
    assert not torch.equal(dropped, still)
    assert not torch.equal(dropped, again)


def test_learns_what_only_order_tells():
    """The next event depends on the last two; with either of them unread the loss stays above 0.6 nats."""
    first, second = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T
    events = [first, second]
    for _ in range(5):
        events.append((events[-1] + 3 * events[-2] + 1) % 4)
    rows = torch.stack(events, 1)
    batch = Batch(rows[:, :-1], rows[:, 1:].clone().index_fill_(1, torch.tensor([0]), -1))
    model = SASRec(dim=16, blocks=1, heads=2, max_length=6)
    p = {name: part.requires_grad_() for name, part in model.init(4, 0).items()}
    optimizer = torch.optim.Adam(p.values(), lr=0.02)
    losses = []
    for _ in range(120):
        losses.append(sequence_loss(model, p, batch))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[0].item() > 1.2
    assert losses[-1].item() < 0.1
