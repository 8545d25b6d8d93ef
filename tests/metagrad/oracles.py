"""What the adjoint has to agree with: autograd through an unrolled loop, and central differences."""

import math

import torch
from torch import Tensor
from zoo import Problem

from farzi.metagrad.adam import Adam
from farzi.metagrad.optimizer import Optimizer, State
from farzi.metagrad.sgd import SGD
from farzi.metagrad.tensors import Tensors
from farzi.metagrad.unroll import InnerRun, MetaGradient

Rate = float | Tensor


def leaf(tensor: Tensor) -> Tensor:
    """A copy that gradients are asked for."""
    return tensor.detach().clone().requires_grad_(tensor.is_floating_point())


def root(x: Tensor) -> Tensor:
    """The square root, with derivative 0 at 0."""
    return torch.where(x > 0, torch.where(x > 0, x, 1).sqrt(), 0)


def adam(rule: Adam, count: int, moments: Tensors, grad: Tensor) -> tuple[Tensor, Tensors]:
    """Adam as its paper writes it: the direction of step ``count``, and the moments after it."""
    first = rule.beta1 * moments["first"] + (1 - rule.beta1) * grad
    second = rule.beta2 * moments["second"] + (1 - rule.beta2) * grad**2
    mean, spread = first / (1 - rule.beta1**count), second / (1 - rule.beta2**count)
    return mean / (root(spread + rule.epsilon_root) + rule.epsilon), {"first": first, "second": second}


def sgd(rule: SGD, count: int, moments: Tensors, grad: Tensor) -> tuple[Tensor, Tensors]:
    """Gradient descent as torch documents it."""
    if not rule.momentum:
        return grad, {}
    velocity = rule.momentum * moments["velocity"] + grad
    return grad + rule.momentum * velocity if rule.nesterov else velocity, {"velocity": velocity}


RULES = {Adam: adam, SGD: sgd}


def unrolled(
    problem: Problem, start: State, schedule: Tensor, lr: Rate, optimizer: Optimizer, decay: Rate = 0.0
) -> dict[str, Tensor]:
    """The outer loss and its gradients through training, one tensor at a time, in one big graph."""
    rule, unflatten = RULES[type(optimizer)], problem.layout.unflatten
    begin = {name: leaf(part) for name, part in unflatten(start.weights).items()}
    cut = {key: unflatten(part) for key, part in start.moments.items()}
    moments = {name: {key: parts[name] for key, parts in cut.items()} for name in begin}
    examples = {name: leaf(part) for name, part in problem.examples.items()}
    shared = {name: leaf(part) for name, part in problem.shared.items()}
    rates = {name: leaf(torch.as_tensor(rate, dtype=torch.float64)) for name, rate in (("lr", lr), ("decay", decay))}
    lrs, decays = (rate.expand(len(schedule)) for rate in rates.values())
    now = begin
    for number, indices in enumerate(schedule):
        batch = {name: part[indices] for name, part in examples.items()} | shared
        grads = torch.autograd.grad(problem.plain(now, batch), list(now.values()), create_graph=True)
        before, now = now, {}
        for name, grad in zip(before, grads, strict=True):
            direction, moments[name] = rule(optimizer, start.count + number + 1, moments[name], grad)
            shrunk = (1 - lrs[number] * decays[number]) * before[name]
            now[name] = shrunk - lrs[number] * direction
    value = problem.outer(now)
    wanted = {name: part for name, part in (examples | shared | rates).items() if part.requires_grad}
    grads = torch.autograd.grad(value, [*wanted.values(), *begin.values()], materialize_grads=True)
    return {
        "value": value.detach(),
        "final": problem.layout.flatten(now).detach(),
        "weights": torch.cat([part.reshape(-1) for part in grads[len(wanted) :]]),
        **dict(zip(wanted, grads, strict=False)),
    }


def named(gradient: MetaGradient) -> dict[str, Tensor]:
    """A meta-gradient in the oracle's form."""
    return {
        "value": torch.tensor(gradient.value, dtype=torch.float64),
        "final": gradient.final.weights,
        "weights": gradient.weights,
        **gradient.examples,
        **gradient.shared,
        "lr": gradient.lr,
        "decay": gradient.decay,
    }


def differences(
    problem: Problem, run: InnerRun, start: State, schedule: Tensor, rates: tuple[Rate, Rate], width: float = 1e-7
) -> dict[str, tuple[Tensors, float]]:
    """By what may be moved: a random direction in it, by name, and the outer loss's central difference along it."""
    generator = torch.Generator().manual_seed(0)
    places = {
        "examples": problem.examples,
        "shared": problem.shared,
        "weights": {"weights": start.weights},
        "lr": {"lr": torch.as_tensor(rates[0], dtype=torch.float64)},
        "decay": {"decay": torch.as_tensor(rates[1], dtype=torch.float64)},
    }

    def outer(place: str, along: Tensors, by: float) -> float:
        moved = {name: part + by * along[name] if name in along else part for name, part in places[place].items()}
        now = places | {place: moved}
        begin = start._replace(weights=now["weights"]["weights"])
        lr, decay = now["lr"]["lr"], now["decay"]["decay"]
        end = run.run(begin, now["examples"], schedule, lr, decay=decay, shared=now["shared"])
        return float(problem.outer(problem.layout.unflatten(end.weights)))

    found: dict[str, tuple[Tensors, float]] = {}
    for place, given in places.items():
        floating = {name: part for name, part in given.items() if part.is_floating_point()}
        along = {k: torch.randn(v.shape, generator=generator, dtype=torch.float64) for k, v in floating.items()}
        if place == "lr":
            along = {"lr": along["lr"] * places["lr"]["lr"]}
        slope = (outer(place, along, width) - outer(place, along, -width)) / (2 * width)
        found[place] = along, slope
    return found


def relative(found: Tensor | float, wanted: Tensor | float) -> float:
    """The distance of two values over the size of the second; 0 where both are 0."""
    found, wanted = (torch.as_tensor(value, dtype=torch.float64) for value in (found, wanted))
    distance, size = float((found - wanted).norm()), float(wanted.norm())
    return distance / size if size else distance if math.isfinite(distance) else math.inf


def assert_agree(found: dict[str, Tensor], wanted: dict[str, Tensor], tolerance: float) -> None:
    """Every value has the wanted shape, and is within a relative tolerance of the wanted one."""
    assert found.keys() == wanted.keys()
    assert {key: part.shape for key, part in found.items()} == {key: part.shape for key, part in wanted.items()}
    errors = {key: relative(found[key], wanted[key]) for key in wanted}
    assert all(error <= tolerance for error in errors.values()), f"relative errors above {tolerance}: {errors}"
