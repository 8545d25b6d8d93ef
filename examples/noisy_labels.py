"""Find mislabelled examples: learn a weight for each by differentiating through 500 steps of Adam.

    python examples/noisy_labels.py

Two interleaved half-moons; 40 % of the 200 training labels are wrong, and a small network trained on them learns many
of the wrong ones. So each example is given a weight, and the weights are learned from what they lead to: the loss of
the trained network on 40 clean examples. Nobody says which labels are wrong; the gradient through training tells.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from farzi.metagrad import Adam, InnerRun, Layout, Segments, Tensors

TRAIN, CLEAN, TEST, HIDDEN = 200, 40, 2000, 16
BATCH, LR, SHARE_FLIPPED = 50, 0.01, 0.4


def make_data(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Points on two half-moons, the moon of each, and which of the training labels are flipped."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (TRAIN + CLEAN + TEST,), generator=generator).float()
    angle = torch.pi * torch.rand(len(labels), generator=generator)
    moon = torch.stack([angle.cos() + labels - 0.5, angle.sin() * (1 - 2 * labels) + labels / 2 - 0.25], 1)
    points = moon + 0.15 * torch.randn(moon.shape, generator=generator)
    flipped = torch.zeros(TRAIN, dtype=torch.bool)
    flipped[torch.randperm(TRAIN, generator=generator)[: round(TRAIN * SHARE_FLIPPED)]] = True
    labels[:TRAIN] = torch.where(flipped, 1 - labels[:TRAIN], labels[:TRAIN])
    return points, labels, flipped


def network(seed: int) -> Tensors:
    """Fresh parameters of a perceptron with one hidden layer."""
    generator = torch.Generator().manual_seed(seed)
    into, bias, out = (torch.randn(*shape, generator=generator) for shape in ((2, HIDDEN), (HIDDEN,), (HIDDEN,)))
    return {"into": into, "bias": bias, "out": out / HIDDEN**0.5}


def predict(parameters: Tensors, points: Tensor) -> Tensor:
    """Logits of the second class."""
    return torch.tanh(points @ parameters["into"] + parameters["bias"]) @ parameters["out"]


def weighted_loss(parameters: Tensors, batch: Tensors) -> Tensor:
    """The inner loss: each example counts as much as its weight says."""
    losses = binary_cross_entropy_with_logits(predict(parameters, batch["points"]), batch["labels"], reduction="none")
    return (batch["weights"] * losses).mean()


def schedule(steps: int, seed: int) -> Tensor:
    """Which examples each step sees."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(TRAIN, generator=generator)[:BATCH] for _ in range(steps)])


def area_under_curve(lower: Tensor, higher: Tensor) -> float:
    """How often a member of the one group is below one of the other."""
    return float((lower[:, None] < higher).float().mean())


def main(outer_steps: int = 8, inner_steps: int = 500, seed: int = 0) -> dict[str, float]:
    """Learn the weights; return how well they tell flipped labels, and the accuracy without and with them."""
    points, labels, flipped = make_data(seed)
    clean, test = slice(TRAIN, TRAIN + CLEAN), slice(TRAIN + CLEAN, None)
    layout = Layout.of(network(0))
    inner = InnerRun(loss=weighted_loss, layout=layout, optimizer=Adam(), replay=Segments())

    def start(number: int):
        return inner.optimizer.init(layout.flatten(network(number)))

    def examples(logits: Tensor) -> Tensors:
        return {"points": points[:TRAIN], "labels": labels[:TRAIN], "weights": logits.sigmoid()}

    def loss_on_clean(parameters: Tensors) -> Tensor:
        return binary_cross_entropy_with_logits(predict(parameters, points[clean]), labels[clean])

    def accuracy(logits: Tensor) -> float:
        final = inner.run(start(-1), examples(logits), schedule(inner_steps, -1), LR)
        right = (predict(layout.unflatten(final.weights), points[test]) > 0) == (labels[test] > 0)
        return float(right.float().mean())

    logits = torch.zeros(TRAIN, requires_grad=True)
    before = accuracy(logits.detach())
    outer = torch.optim.Adam([logits], lr=0.5)
    for step in range(outer_steps):
        rows = examples(logits)
        found = inner.differentiate(
            loss_on_clean, start(step), {k: part.detach() for k, part in rows.items()}, schedule(inner_steps, step), LR
        )
        outer.zero_grad()
        rows["weights"].backward(found.examples["weights"])  # the chain rule goes on from weights to logits
        outer.step()
        auc = area_under_curve(logits.detach()[flipped], logits.detach()[~flipped])
        print(f"outer step {step + 1:2}: loss on clean data {found.value:.3f}, AUC of the weights {auc:.3f}")
    return {"auc": auc, "accuracy_equal": before, "accuracy_learned": accuracy(logits.detach())}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, value in main().items():
        print(f"{name}: {value:.3f}")
