import pytest
import torch
from oracles import relative

from farzi.metagrad.adam import Adam
from farzi.metagrad.tensors import Layout
from farzi.metagrad.unroll import InnerRun

SCALAR = Layout({"w": torch.Size([])})


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize(
    ("beta1", "beta2", "epsilon"), [(0.9, 0.999, 1e-8), (0.5, 0.9, 1e-3), (0.0, 0.99, 1e-8), (0.9, 0.0, 1e-4)]
)
def test_step_is_torchs(beta1, beta2, epsilon, decay):
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(7, generator=generator, dtype=torch.float64)
    theirs = weights.clone().requires_grad_()
    reference = torch.optim.AdamW([theirs], lr=0.03, betas=(beta1, beta2), eps=epsilon, weight_decay=decay)
    optimizer = Adam(beta1=beta1, beta2=beta2, epsilon=epsilon)
    state = optimizer.init(weights)
    for step in range(1, 61):
        grad = torch.randn(7, generator=generator, dtype=torch.float64) * torch.tensor(
            [1, 1, 1, 1e-3, 1e3, 0, step % 2]
        )
        theirs.grad = grad.clone()
        reference.step()
        state = optimizer.step(state, grad, optimizer.rates(step, 0.03, decay))
        assert state.count == step
        torch.testing.assert_close(state.weights, theirs.detach(), rtol=1e-12, atol=1e-14)
    moments = reference.state[theirs]
    torch.testing.assert_close(state.moments["first"], moments["exp_avg"], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(state.moments["second"], moments["exp_avg_sq"], rtol=1e-12, atol=1e-14)


def test_step_leaves_the_state_alone():
    optimizer = Adam()
    grad = torch.tensor([1.0, -2.0])
    state = optimizer.step(optimizer.init(torch.tensor([0.5, 0.25])), grad, optimizer.rates(1, 0.1))
    before = [part.clone() for part in (state.weights, *state.moments.values(), grad)]
    optimizer.step(state, grad, optimizer.rates(2, 0.1))
    assert state.count == 1
    for now, then in zip([state.weights, *state.moments.values(), grad], before, strict=True):
        assert torch.equal(now, then)


@pytest.mark.parametrize(
    ("field", "value"),
    [("beta1", 1.0), ("beta1", -0.1), ("beta2", 1.0), ("beta2", -1e-9), ("epsilon", 0.0), ("epsilon_root", -1.0)],
)
def test_values_out_of_range_are_named(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        Adam(**{field: value})


@pytest.mark.parametrize(("epsilon_root", "slope"), [(0.0, -0.1 / 1e-3), (0.04, -0.1 / (0.2 + 1e-3))])
def test_the_derivative_at_a_gradient_of_zero(epsilon_root, slope):
    """The first step is ``-lr g / (sqrt(g^2 + epsilon_root) + epsilon)``."""
    optimizer = Adam(epsilon=1e-3, epsilon_root=epsilon_root)
    run = InnerRun(loss=lambda p, batch: p["w"] * batch["x"].sum(), layout=SCALAR, optimizer=optimizer)
    start = optimizer.init(torch.zeros(1, dtype=torch.float64))
    x, schedule = torch.zeros(1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.int64)
    found = run.differentiate(lambda p: p["w"], start, {"x": x}, schedule, 0.1).examples["x"]
    assert relative(found, torch.tensor([slope], dtype=torch.float64)) < 1e-12
    ends = [run.run(start, {"x": x + by}, schedule, 0.1).weights for by in (-1e-8, 1e-8)]
    assert relative((ends[1] - ends[0]) / 2e-8, torch.tensor([slope], dtype=torch.float64)) < 1e-4


def test_a_root_that_is_smooth_has_a_derivative_that_is_continuous():
    """Across a second moment of zero, over two steps: the second step's direction depends on the first one's ``v``."""

    def slope(x: float, epsilon_root: float) -> float:
        optimizer = Adam(epsilon=1e-8, epsilon_root=epsilon_root)
        run = InnerRun(loss=lambda p, batch: p["w"] * batch["x"].sum(), layout=SCALAR, optimizer=optimizer)
        start = optimizer.init(torch.zeros(1, dtype=torch.float64))
        examples = {"x": torch.tensor([x, 2 * x], dtype=torch.float64)}
        schedule = torch.tensor([[0], [1]])
        return float(run.differentiate(lambda p: p["w"], start, examples, schedule, 0.1).examples["x"].sum())

    assert slope(0, 0.04) == pytest.approx(slope(1e-6, 0.04), rel=1e-4)
    assert slope(0, 0.0) != pytest.approx(slope(1e-6, 0.0), rel=0.5)
