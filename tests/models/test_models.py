"""What every model keeps to: see ``model_list`` for those that are tested."""

from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from model_list import LENGTH, MEMBERS, NEEDS, VOCAB, ids, settled
from torch import Tensor
from torch.nn.functional import one_hot

from farzi.errors import InputError
from farzi.events import load_events
from farzi.metagrad.hvp import gradient, reverse_over_forward, reverse_over_reverse
from farzi.metagrad.tensors import Layout
from farzi.models import MODELS, Batch, Parameters, build_model, describe_model, hidden_states, sequence_loss
from farzi.training import RealSequences

SHARED = Path(__file__).parents[3] / "shared" / "data"

models = pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, marks=pytest.mark.skipif(find_spec(NEEDS[model.name]) is None, reason=NEEDS[model.name]))
        if model.name in NEEDS
        else model
        for model in MEMBERS
    ],
    ids=lambda model: model.name,
)
sizes = pytest.mark.parametrize(
    ("model", "field"),
    [
        (model, field.name)
        for model in MEMBERS
        for field in fields(model)
        if isinstance(getattr(model, field.name), int)
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)


def events(kind: str) -> dict[str, Tensor]:
    """Sequences with targets."""
    if kind == "soft":
        tensors = torch.randn(2, 3, 5, VOCAB, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        return dict(zip(("inputs", "targets"), tensors.softmax(-1), strict=True))
    rows = ids(3, LENGTH)
    if kind == "padded":
        rows[0, :3] = rows[2] = -1
    return {"inputs": rows[:, :-1], "targets": rows[:, 1:].masked_fill(rows[:, :-1] < 0, -1)}


def train(model, batches, vocab_size: int, lr: float) -> list[float]:
    """Losses of some steps of Adam, from fresh parameters."""
    p = {name: part.requires_grad_() for name, part in model.init(vocab_size, 0).items()}
    optimizer, losses = torch.optim.Adam(p.values(), lr=lr), []
    for batch in batches:
        loss = sequence_loss(model, p, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_every_model_that_farzi_brings_is_tested():
    assert set(MODELS) <= {model.name for model in MEMBERS}
    assert len({model.name for model in MEMBERS}) == len(MEMBERS)


@models
def test_every_past_event_and_no_future_one_has_influence(model):
    p = settled(model)
    embeddings = p["embedding"][ids(1, LENGTH)]
    influence = torch.autograd.functional.jacobian(lambda e: model.hidden(p, e)[0], embeddings)
    influence = influence.abs().amax((1, 2, 4))
    assert (influence > 0).equal(torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril())


@models
def test_another_event_changes_no_state_before_it(model):
    p, inputs = settled(model), ids(2, LENGTH)
    states = hidden_states(model, p, inputs)
    for at in range(LENGTH):
        changed = inputs.clone()
        changed[:, at] = (changed[:, at] + 1) % VOCAB
        others = hidden_states(model, p, changed)
        assert torch.equal(others[:, :at], states[:, :at])
        assert not torch.isclose(others[:, at:], states[:, at:]).all((0, 2)).any()


@models
@pytest.mark.parametrize("padding", [1, 3])
def test_padding_changes_nothing(model, padding):
    p = settled(model)
    p["embedding"].requires_grad_()
    short = ids(2, 3).clamp_min(1)
    padded = torch.cat([torch.full((2, padding), -1), short], 1)
    beside_longer = torch.cat([padded, ids(1, 3 + padding)])
    for inputs in (padded, beside_longer):
        hidden = hidden_states(model, p, inputs)[:2, padding:]
        torch.testing.assert_close(hidden, hidden_states(model, p, short), rtol=1e-12, atol=1e-13)
    (grad,) = torch.autograd.grad(hidden_states(model, p, padded)[:, padding:].sum(), p["embedding"])
    assert not grad[0].any(), "padding is read as event 0 and then masked"


@models
def test_a_history_of_padding_alone_is_finite(model):
    p = {name: part.float().requires_grad_() for name, part in settled(model).items()}
    hidden = hidden_states(model, p, torch.full((1, 4), -1))
    grads = torch.autograd.grad(hidden.square().sum(), list(p.values()), allow_unused=True)
    assert hidden.isfinite().all()
    assert all(grad is None or grad.isfinite().all() for grad in grads)


@models
def test_soft_one_hot_equals_hard(model):
    p, inputs, targets = settled(model), ids(3, 5), ids(3, LENGTH)[:, 1:]
    soft_inputs, soft_targets = (one_hot(t, VOCAB).double() for t in (inputs, targets))
    torch.testing.assert_close(hidden_states(model, p, inputs), hidden_states(model, p, soft_inputs))
    hard = sequence_loss(model, p, Batch(inputs, targets))
    for batch in (Batch(soft_inputs, soft_targets), Batch(soft_inputs, targets), Batch(inputs, soft_targets)):
        torch.testing.assert_close(sequence_loss(model, p, batch), hard, rtol=1e-12, atol=0)


@models
def test_soft_inputs_are_expected_embeddings(model):
    p, soft = settled(model), torch.randn(2, 4, VOCAB, dtype=torch.float64).softmax(-1)
    assert torch.equal(hidden_states(model, p, soft), model.hidden(p, soft @ p["embedding"]))


@models
@pytest.mark.parametrize("kind", ["soft", "hard", "padded"])
def test_second_derivatives_equal_differences_of_gradients(model, kind):
    p, batch = settled(model), events(kind)

    def loss(p: Parameters, batch: dict[str, Tensor]) -> Tensor:
        return sequence_loss(model, p, Batch(**batch))

    layout = Layout.of(p)
    weights = layout.flatten(p)
    along = torch.randn(weights.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    product, mixed = reverse_over_forward(loss, layout, weights, batch, along)
    width = 1e-6
    ahead, behind = (gradient(loss, layout, weights + s * along, batch)[1] for s in (width, -width))
    torch.testing.assert_close(product, (ahead - behind) / (2 * width), rtol=1e-5, atol=1e-6)
    assert mixed.keys() == (batch.keys() if kind == "soft" else set())
    for key, part in mixed.items():
        step = torch.randn(part.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        ahead, behind = (
            gradient(loss, layout, weights, {**batch, key: batch[key] + s * step})[1] for s in (width, -width)
        )
        wanted = float((ahead - behind) @ along) / (2 * width)
        assert float((part * step).sum()) == pytest.approx(wanted, rel=1e-5)
    other_product, other_mixed = reverse_over_reverse(loss, layout, weights, batch, along)
    torch.testing.assert_close(other_product, product, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(other_mixed, mixed, rtol=1e-10, atol=1e-10)


@models
def test_everything_is_made_on_the_device_of_the_inputs(model):
    """The meta device takes no tensor of another."""
    p = {name: part.to("meta").requires_grad_() for name, part in settled(model).items()}
    for padding in (None, torch.zeros(2, LENGTH, dtype=torch.bool, device="meta")):
        states = model.hidden(p, torch.empty(2, LENGTH, model.dim, dtype=torch.float64, device="meta"), padding)
        (grad,) = torch.autograd.grad(states.sum(), next(p[name] for name in p if name != "embedding"))
        assert (states.device.type, states.dtype, grad.device.type) == ("meta", torch.float64, "meta")


@models
def test_longer_sequences_are_refused(model):
    with pytest.raises(ValueError, match="7 positions do not fit max_length = 6"):
        hidden_states(model, settled(model), ids(1, LENGTH + 1))


@models
def test_shorter_sequences_are_read(model):
    assert hidden_states(model, settled(model), ids(2, 1)).shape == (2, 1, model.dim)


@sizes
def test_sizes_that_are_not_positive_are_named(model, field):
    for size in (0, -1):
        with pytest.raises(ValueError, match=f"{field} is {size}"):
            replace(model, **{field: size})


@models
def test_a_description_gives_the_model_back(model):
    description = describe_model(model)
    assert description["name"] == model.name
    if model.name in MODELS:
        assert build_model(description) == model
        with pytest.raises(InputError, match="max_length is 0"):
            build_model(description | {"max_length": 0})
    else:
        with pytest.raises(InputError, match="is not one that farzi brings"):
            build_model(description)


@models
def test_initial_parameters_follow_from_the_seed(model):
    before = torch.random.get_rng_state()
    first, again, other = model.init(VOCAB, 3), model.init(VOCAB, 3), model.init(VOCAB, 4)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.keys() == again.keys() == other.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["embedding"], other["embedding"])
    assert first["embedding"].shape == (VOCAB, model.dim)
    assert {part.dtype for part in first.values()} == {torch.float32}


@models
def test_every_parameter_takes_part(model):
    p = {name: part.requires_grad_() for name, part in settled(model).items()}
    grads = torch.autograd.grad(sequence_loss(model, p, Batch(**events("hard"))), list(p.values()))
    assert all(grad.any() for grad in grads)


@models
@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_dropout_acts_only_when_asked_for(model, kind):
    p, inputs = settled(model), ids(2, 5)
    inputs = one_hot(inputs, VOCAB).double() if kind == "soft" else inputs
    torch.manual_seed(0)
    still, dropped, again, after = (hidden_states(model, p, inputs, rate) for rate in (0.0, 0.5, 0.5, 0.0))
    assert torch.equal(still, after)
    assert not torch.equal(dropped, still)
    assert not torch.equal(dropped, again)


@models
def test_learns_what_only_order_tells(model):
    """The next event depends on the last two; with either of them unread the loss stays above 0.6 nats."""
    first, second = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T
    rows = [first, second]
    for _ in range(5):
        rows.append((rows[-1] + 3 * rows[-2] + 1) % 4)
    rows = torch.stack(rows, 1)
    batch = Batch(rows[:, :-1], rows[:, 1:].clone().index_fill_(1, torch.tensor([0]), -1))
    losses = train(model, [batch] * 200, vocab_size=4, lr=0.02)
    assert losses[0] > 1.2
    assert losses[-1] < 0.1


@models
def test_the_loss_falls_on_real_data(model):
    """It starts at log 1349 = 7.21; a model that learns nothing stays there."""
    path = SHARED / "ml-100k" / "u.data"
    if not path.is_file():
        pytest.skip("the data of MovieLens-100k is not beside the repository")
    data = load_events("ml-100k", path=path)
    batches = RealSequences(data=data, length=LENGTH).batches(128, torch.Generator().manual_seed(0))
    losses = train(model, [next(batches) for _ in range(60)], data.vocab_size, lr=0.02)
    assert losses[0] == pytest.approx(7.2, abs=0.1)
    assert sum(losses[-10:]) / 10 < 6.7
