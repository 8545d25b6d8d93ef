import pytest
import torch

from farzi.metagrad.adam import Adam


@pytest.mark.parametrize(
    ("beta1", "beta2", "epsilon"), [(0.9, 0.999, 1e-8), (0.5, 0.9, 1e-3), (0.0, 0.99, 1e-8), (0.9, 0.0, 1e-4)]
)
def test_step_is_torchs(beta1, beta2, epsilon):
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(7, generator=generator, dtype=torch.float64)
    theirs = weights.clone().requires_grad_()
    reference = torch.optim.Adam([theirs], lr=0.03, betas=(beta1, beta2), eps=epsilon)
    optimizer = Adam(beta1=beta1, beta2=beta2, epsilon=epsilon)
    state = optimizer.init(weights)
    for step in range(1, 61):
        grad = torch.randn(7, generator=generator, dtype=torch.float64) * torch.tensor(
            [1, 1, 1, 1e-3, 1e3, 0, step % 2]
        )
        theirs.grad = grad.clone()
        reference.step()
        state = optimizer.step(state, grad, 0.03)
        assert state.count == step
        torch.testing.assert_close(state.weights, theirs.detach(), rtol=1e-12, atol=1e-14)
    moments = reference.state[theirs]
    torch.testing.assert_close(state.first, moments["exp_avg"], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(state.second, moments["exp_avg_sq"], rtol=1e-12, atol=1e-14)


def test_step_leaves_the_state_alone():
    optimizer = Adam()
    grad = torch.tensor([1.0, -2.0])
    state = optimizer.step(optimizer.init(torch.tensor([0.5, 0.25])), grad, 0.1)
    before = [state.weights.clone(), state.first.clone(), state.second.clone(), grad.clone()]
    optimizer.step(state, grad, 0.1)
    assert state.count == 1
    for now, then in zip([state.weights, state.first, state.second, grad], before, strict=True):
        assert torch.equal(now, then)


@pytest.mark.parametrize(
    ("field", "value"), [("beta1", 1.0), ("beta1", -0.1), ("beta2", 1.0), ("beta2", -1e-9), ("epsilon", 0.0)]
)
def test_values_out_of_range_are_named(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        Adam(**{field: value})
