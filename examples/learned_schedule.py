"""Learn a learning-rate schedule: differentiate the loss after 500 steps of Adam by the rate of every step.

    python examples/learned_schedule.py

Linear regression on noisy batches of four. A constant rate is a choice between getting there and settling down; a
schedule can do both. It is given by the logarithm of the rate at six knots, with straight lines in between: farzi
yields the derivative by each step's rate, and torch's own autograd carries it on to the knots. Every outer step trains
on a new start and new batches, and the comparison with constant rates uses ones that were never trained on.
"""

import torch
from torch import Tensor

from farzi.metagrad import Adam, InnerRun, Layout, Segments, Tensors

EXAMPLES, INPUTS, BATCH, NOISE = 10000, 20, 4, 1.0
KNOTS, START_LR = 6, 0.03
GRID = (0.003, 0.01, 0.02, 0.03, 0.06, 0.1)


def make_data(seed: int) -> tuple[Tensors, Tensor, Tensor]:
    """Examples with noisy targets, their true coefficients, and the inputs' scales, from 1 down to 0.1."""
    generator = torch.Generator().manual_seed(seed)
    scales = torch.logspace(0, -1, INPUTS)
    inputs = torch.randn(EXAMPLES, INPUTS, generator=generator) * scales
    truth = torch.randn(INPUTS, generator=generator)
    targets = inputs @ truth + NOISE * torch.randn(EXAMPLES, generator=generator)
    return {"inputs": inputs, "targets": targets}, truth, scales


def squared_error(parameters: Tensors, batch: Tensors) -> Tensor:
    """The inner loss."""
    return (batch["inputs"] @ parameters["coefficients"] - batch["targets"]).square().mean()


def rates_at(log_lr: Tensor, steps: int) -> Tensor:
    """The rate of each step, from its logarithm at the knots."""
    place = torch.linspace(0, len(log_lr) - 1, steps)
    left = place.long().clamp_max(len(log_lr) - 2)
    return torch.lerp(log_lr[left], log_lr[left + 1], place - left).exp()


def draw(inner: InnerRun, steps: int, seed: int):
    """A fresh start, and which examples each step sees."""
    generator = torch.Generator().manual_seed(seed)
    start = inner.optimizer.init(torch.randn(INPUTS, generator=generator))
    return start, torch.randint(EXAMPLES, (steps, BATCH), generator=generator)


def main(
    outer_steps: int = 10, inner_steps: int = 500, test_seeds: int = 6, seed: int = 0
) -> tuple[dict[str, float], Tensor]:
    """Learn a schedule; return the losses of the best constant rate and of it on fresh runs, and its rates."""
    data, truth, scales = make_data(seed)
    layout = Layout({"coefficients": truth.shape})
    inner = InnerRun(loss=squared_error, layout=layout, optimizer=Adam(), replay=Segments())

    def excess(parameters: Tensors) -> Tensor:
        """The outer loss: expected squared error on new data, beyond the noise."""
        return ((parameters["coefficients"] - truth) * scales).square().sum()

    def test(lr: Tensor) -> float:
        """The mean outer loss of runs that were never differentiated."""
        runs = [draw(inner, inner_steps, -1 - number) for number in range(test_seeds)]
        finals = [inner.run(start, data, schedule, lr).weights for start, schedule in runs]
        return sum(float(excess(layout.unflatten(final))) for final in finals) / test_seeds

    log_lr = torch.full((KNOTS,), START_LR).log().requires_grad_()
    outer = torch.optim.Adam([log_lr], lr=0.4)
    for step in range(outer_steps):
        lr = rates_at(log_lr, inner_steps)
        start, schedule = draw(inner, inner_steps, step)
        found = inner.differentiate(excess, start, data, schedule, lr.detach())
        outer.zero_grad()
        lr.backward(found.lr)  # the chain rule goes on from the steps' rates to the knots
        outer.step()
        knots = " ".join(f"{rate:.4f}" for rate in log_lr.exp().tolist())
        print(f"outer step {step + 1:2}: loss {found.value:.4f}, rates {knots}", flush=True)
    learned = rates_at(log_lr.detach(), inner_steps)
    constant = {lr: test(torch.full((inner_steps,), lr)) for lr in GRID}
    best = min(constant, key=constant.__getitem__)
    return {"best_constant_lr": best, "loss_constant": constant[best], "loss_learned": test(learned)}, learned


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, value in main()[0].items():
        print(f"{name}: {value:.4f}")
