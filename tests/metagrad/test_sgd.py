import pytest
import torch

from farzi.metagrad.sgd import SGD

KINDS = [SGD(), SGD(momentum=0.9), SGD(momentum=0.5, nesterov=True)]

kinds = pytest.mark.parametrize("optimizer", KINDS, ids=str)


@kinds
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_step_is_torchs(optimizer, decay):
    """Torch's own decay goes through the gradient; the decoupled one is done by hand."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(5, generator=generator, dtype=torch.float64)
    theirs = weights.clone().requires_grad_()
    reference = torch.optim.SGD([theirs], lr=0.05, momentum=optimizer.momentum, nesterov=optimizer.nesterov)
    state = optimizer.init(weights)
    for step in range(1, 61):
        grad = torch.randn(5, generator=generator, dtype=torch.float64) * torch.tensor([1, 1e-3, 1e3, 0, step % 2])
        theirs.grad = grad.clone()
        with torch.no_grad():
            theirs *= 1 - 0.05 * decay
        reference.step()
        state = optimizer.step(state, grad, optimizer.rates(1, 0.05, decay))
        assert state.count == step
        torch.testing.assert_close(state.weights, theirs.detach(), rtol=1e-12, atol=1e-14)
    if optimizer.momentum:
        torch.testing.assert_close(state.moments["velocity"], reference.state[theirs]["momentum_buffer"])
    else:
        assert state.moments == {}


@kinds
def test_step_leaves_the_state_alone(optimizer):
    grad = torch.tensor([1.0, -2.0])
    state = optimizer.step(optimizer.init(torch.tensor([0.5, 0.25])), grad, optimizer.rates(1, 0.1, 0.1))
    before = [part.clone() for part in (state.weights, *state.moments.values(), grad)]
    optimizer.step(state, grad, optimizer.rates(1, 0.1, 0.1))
    assert state.count == 1
    for now, then in zip([state.weights, *state.moments.values(), grad], before, strict=True):
        assert torch.equal(now, then)


def test_only_momentum_can_be_undone():
    assert [optimizer.reversible for optimizer in KINDS] == [False, True, False]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"momentum": -0.1}, "momentum is -0.1"),
        ({"momentum": float("nan")}, "momentum is nan"),
        ({"nesterov": True}, "nesterov is true, but momentum is 0"),
    ],
)
def test_values_out_of_range_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        SGD(**fields)
