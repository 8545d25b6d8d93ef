"""What the adjoint has to agree with: autograd through an unrolled loop, and central differences."""

import math

import torch
from torch import Tensor
from zoo import Problem

from farzi.metagrad.adam import Adam, AdamState
from farzi.metagrad.tensors import Tensors
from farzi.metagrad.unroll import InnerRun, MetaGradient


def leaf(tensor: Tensor) -> Tensor:
    """A copy that gradients are asked for."""
    return tensor.detach().clone().requires_grad_(tensor.is_floating_point())


def root(x: Tensor) -> Tensor:
    """The square root, with derivative 0 at 0."""
    return torch.where(x > 0, torch.where(x > 0, x, 1).sqrt(), 0)


def unrolled(problem: Problem, start: AdamState, schedule: Tensor, lr: float, adam: Adam) -> dict[str, Tensor]:
    """The outer loss and its gradients through Adam as its paper writes it, one tensor at a time, in one big graph."""
    count, names = start.count, list(problem.parameters)
    begin = {name: leaf(part) for name, part in problem.layout.unflatten(start.weights).items()}
    first, second = problem.layout.unflatten(start.first), problem.layout.unflatten(start.second)
    examples = {name: leaf(part) for name, part in problem.examples.items()}
    rate = torch.tensor(lr, dtype=torch.float64, requires_grad=True)
    now = begin
    for indices in schedule:
        count += 1
        batch = {name: part[indices] for name, part in examples.items()}
        grads = torch.autograd.grad(problem.plain(now, batch), list(now.values()), create_graph=True)
        grad = dict(zip(names, grads, strict=True))
        first = {n: adam.beta1 * first[n] + (1 - adam.beta1) * grad[n] for n in names}
        second = {n: adam.beta2 * second[n] + (1 - adam.beta2) * grad[n] ** 2 for n in names}
        mean = {n: first[n] / (1 - adam.beta1**count) for n in names}
        spread = {n: root(second[n] / (1 - adam.beta2**count)) for n in names}
        now = {n: now[n] - rate * mean[n] / (spread[n] + adam.epsilon) for n in names}
    value = problem.outer(now)
    wanted = {name: part for name, part in examples.items() if part.requires_grad}
    leaves = [*wanted.values(), *begin.values(), rate]
    grads = torch.autograd.grad(value, leaves, materialize_grads=True)
    by_weights = torch.cat([part.reshape(-1) for part in grads[len(wanted) : -1]])
    return {"value": value.detach(), **dict(zip(wanted, grads, strict=False)), "weights": by_weights, "lr": grads[-1]}


def named(gradient: MetaGradient) -> dict[str, Tensor]:
    """A meta-gradient in the oracle's form."""
    value, lr = (torch.tensor(number, dtype=torch.float64) for number in (gradient.value, gradient.lr))
    return {"value": value, **gradient.examples, "weights": gradient.weights, "lr": lr}


def differences(
    problem: Problem, run: InnerRun, start: AdamState, schedule: Tensor, lr: float, along: Tensors, width: float = 1e-6
) -> dict[str, float]:
    """Central differences of the outer loss along a direction in the examples, one in the weights, and in the rate."""

    def outer(examples: float = 0, weights: float = 0, rate: float = 0) -> float:
        moved = {k: v + examples * along[k] if k in along else v for k, v in problem.examples.items()}
        begin = start._replace(weights=start.weights + weights * along["weights"])
        end = run.run(begin, moved, schedule, lr + rate)
        return float(problem.outer(problem.layout.unflatten(end.weights)))

    return {
        "examples": (outer(examples=width) - outer(examples=-width)) / (2 * width),
        "weights": (outer(weights=width) - outer(weights=-width)) / (2 * width),
        "lr": (outer(rate=width * lr) - outer(rate=-width * lr)) / (2 * width * lr),
    }


def relative(found: Tensor | float, wanted: Tensor | float) -> float:
    """The distance of two values over the size of the second; 0 where both are 0."""
    found, wanted = (torch.as_tensor(value, dtype=torch.float64) for value in (found, wanted))
    distance, size = float((found - wanted).norm()), float(wanted.norm())
    return distance / size if size else distance if math.isfinite(distance) else math.inf
