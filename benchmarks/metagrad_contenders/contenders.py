"""Ways of differentiating through Adam: each takes a problem and returns the gradients."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from farzi import metagrad
from farzi.distill.examples import InnerLoss
from farzi.models import Batch, sequence_loss
from metagrad_contenders.problem import LR, Problem

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

REPLAYS = [name for name in ("StoreAll", "Segments", "Tree", "Unstep") if hasattr(metagrad, name)]
"""The strategies of ``farzi.metagrad`` that are exact, by name."""


class Gradients(NamedTuple):
    """The outer loss, and its derivatives by inputs and targets ``(sequences, length, vocab)`` and by all weights."""

    value: float
    inputs: Tensor
    targets: Tensor
    weights: Tensor


COMPILED = metagrad.Compiled()


def farzi(problem: Problem, replay: str) -> Gradients:
    """farzi.metagrad with its own output head."""
    return differentiate(problem, replay, metagrad.Eager())


def farzi_compiled(problem: Problem, replay: str) -> Gradients:
    """The same with its steps compiled."""
    return differentiate(problem, replay, COMPILED)


def differentiate(problem: Problem, replay: str, execution: metagrad.Execution) -> Gradients:
    """farzi.metagrad on a problem, by its execution."""
    model, layout = problem.model, metagrad.Layout.of(problem.parameters)
    real = Batch(problem.real[:, :-1], problem.real[:, 1:])
    optimizer = metagrad.Adam(beta1=BETA1, beta2=BETA2, epsilon=EPSILON)
    run = metagrad.InnerRun(
        loss=InnerLoss(model, temperature=1.0),
        layout=layout,
        optimizer=optimizer,
        replay=getattr(metagrad, replay)(),
        execution=execution,
    )
    moments = {"first": layout.flatten(problem.first), "second": layout.flatten(problem.second)}
    start = optimizer.init(layout.flatten(problem.parameters))._replace(count=problem.count, moments=moments)
    found = run.differentiate(
        lambda parameters: sequence_loss(model, parameters, real),
        start,
        {"inputs": problem.inputs, "targets": problem.targets},
        problem.schedule,
        LR,
    )
    return Gradients(found.value, found.examples["inputs"], found.examples["targets"], found.weights)


def autograd(problem: Problem, _: str) -> Gradients:
    """The whole training as one graph of plain operations."""
    leaves = _Leaves(problem)
    state = [leaves.weights, list(problem.first.values()), list(problem.second.values())]
    for count, (inputs, targets) in enumerate(leaves.batches(), problem.count + 1):
        state = _adam_step(problem, state, count, inputs, targets)
    return leaves.gradients(problem.plain_outer(leaves.named(state[0])), leaves.weights)


def autograd_by_step(problem: Problem, _: str) -> Gradients:
    """The same, but only one step's graph at a time: states are stored and each step is taken again on the way back."""
    names = list(problem.parameters)
    weights = list(problem.parameters.values())
    states = [[weights, list(problem.first.values()), list(problem.second.values())]]
    for count, indices in enumerate(problem.schedule, problem.count + 1):
        after = _adam_step(problem, _leaf(states[-1]), count, problem.inputs[indices], problem.targets[indices])
        states.append([[x.detach() for x in group] for group in after])
    last = _leaf(states.pop())[0]
    value = problem.plain_outer(dict(zip(names, last, strict=True)))
    cotangents = [*torch.autograd.grad(value, last), *(torch.zeros_like(w) for w in weights + weights)]
    d_inputs, d_targets = torch.zeros_like(problem.inputs), torch.zeros_like(problem.targets)
    while states:
        before, indices, count = _leaf(states.pop()), problem.schedule[len(states)], problem.count + len(states) + 1
        inputs, targets = (x[indices].requires_grad_() for x in (problem.inputs, problem.targets))
        after = _adam_step(problem, before, count, inputs, targets)
        *cotangents, by_inputs, by_targets = torch.autograd.grad(
            [x for group in after for x in group],
            [*(x for group in before for x in group), inputs, targets],
            cotangents,
        )
        d_inputs.index_add_(0, indices, by_inputs)
        d_targets.index_add_(0, indices, by_targets)
    return Gradients(float(value.detach()), d_inputs, d_targets, _flat(cotangents[: len(names)]))


def higher(problem: Problem, _: str) -> Gradients:
    """``higher.innerloop_ctx`` around a module and ``torch.optim.Adam``."""
    return _higher(problem, lambda _: EPSILON)


def higher_scaled(problem: Problem, _: str) -> Gradients:
    """The same with the epsilon of each step multiplied by the root that higher leaves out: the Adam of the others."""
    return _higher(problem, lambda count: EPSILON * (1 - BETA2**count) ** 0.5)


def _higher(problem: Problem, epsilon: Callable[[int], float]) -> Gradients:
    from higher import innerloop_ctx

    leaves, module = _Leaves(problem), _Module(problem)
    optimizer = torch.optim.Adam(module.parameters(), lr=LR, betas=(BETA1, BETA2))
    for part, m, v in zip(module.parameters(), problem.first.values(), problem.second.values(), strict=True):
        optimizer.state[part] = {"step": problem.count, "exp_avg": m, "exp_avg_sq": v}
    with innerloop_ctx(module, optimizer, copy_initial_weights=False) as (functional, differentiable):
        for count, (inputs, targets) in enumerate(leaves.batches(), problem.count + 1):
            differentiable.step(functional(inputs, targets), override={"eps": [epsilon(count)]})
        return leaves.gradients(functional(), list(functional.parameters(time=0)))


def torchopt(problem: Problem, _: str) -> Gradients:
    """``torchopt.adam`` with its functional interface."""
    from torchopt import adam, apply_updates

    leaves = _Leaves(problem)
    optimizer = adam(lr=LR, betas=(BETA1, BETA2), eps=EPSILON, moment_requires_grad=True)
    weights = tuple(leaves.weights)
    state = tuple(_torchopt_start(problem, part) for part in optimizer.init(weights))
    for inputs, targets in leaves.batches():
        loss = problem.plain(leaves.named(weights), inputs, targets)
        grads = torch.autograd.grad(loss, weights, create_graph=True)
        updates, state = optimizer.update(grads, state, inplace=False)
        weights = apply_updates(weights, updates, inplace=False)
    return leaves.gradients(problem.plain_outer(leaves.named(weights)), leaves.weights)


def _torchopt_start(problem: Problem, part):
    """One part of torchopt's chained state, with the moments of the problem where it holds moments."""
    if "mu" not in getattr(part, "_fields", ()):
        return part
    count = [torch.full_like(c, problem.count) for c in part.count]
    return part._replace(mu=list(problem.first.values()), nu=list(problem.second.values()), count=count)


CONTENDERS: dict[str, Callable[[Problem, str], Gradients]] = {
    "farzi": farzi,
    "farzi compiled": farzi_compiled,
    "autograd": autograd,
    "autograd, step by step": autograd_by_step,
    "higher": higher,
    "higher, epsilon scaled": higher_scaled,
    "torchopt": torchopt,
}


class _Leaves:
    """Leaves of one big graph; a sequence is one of its own, or every step would add up a gradient of all of them."""

    def __init__(self, problem: Problem) -> None:
        self.names, self.schedule = list(problem.parameters), problem.schedule
        self.weights = [part.clone().requires_grad_() for part in problem.parameters.values()]
        self.inputs = [x.clone().requires_grad_() for x in problem.inputs]
        self.targets = [x.clone().requires_grad_() for x in problem.targets]

    def named(self, weights: list[Tensor] | tuple[Tensor, ...]) -> dict[str, Tensor]:
        return dict(zip(self.names, weights, strict=True))

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        for indices in self.schedule.tolist():
            yield torch.stack([self.inputs[i] for i in indices]), torch.stack([self.targets[i] for i in indices])

    def gradients(self, value: Tensor, weights: list[Tensor]) -> Gradients:
        grads = torch.autograd.grad(value, [*self.inputs, *self.targets, *weights], materialize_grads=True)
        num = len(self.inputs)
        return Gradients(
            float(value.detach()), torch.stack(grads[:num]), torch.stack(grads[num : 2 * num]), _flat(grads[2 * num :])
        )


class _Module(torch.nn.Module):
    """The model as ``torch.nn`` has it: the inner loss of a batch, or without one the outer loss."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem, self.names = problem, list(problem.parameters)
        for name, part in problem.parameters.items():
            self.register_parameter(name.replace(".", "_"), torch.nn.Parameter(part.clone()))

    def forward(self, *batch: Tensor) -> Tensor:
        parameters = {name: getattr(self, name.replace(".", "_")) for name in self.names}
        return self.problem.plain(parameters, *batch) if batch else self.problem.plain_outer(parameters)


def _adam_step(
    problem: Problem, state: list[list[Tensor]], count: int, inputs: Tensor, targets: Tensor
) -> list[list[Tensor]]:
    """One differentiable step from weights and moments to weights and moments."""
    weights, first, second = state
    loss = problem.plain(dict(zip(problem.parameters, weights, strict=True)), inputs, targets)
    grads = torch.autograd.grad(loss, weights, create_graph=True)
    first = [BETA1 * m + (1 - BETA1) * g for m, g in zip(first, grads, strict=True)]
    second = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(second, grads, strict=True)]
    means = [m / (1 - BETA1**count) for m in first]
    roots = [(v / (1 - BETA2**count)).sqrt() for v in second]
    weights = [w - LR * m / (r + EPSILON) for w, m, r in zip(weights, means, roots, strict=True)]
    return [weights, first, second]


def _leaf(state: list[list[Tensor]]) -> list[list[Tensor]]:
    return [[x.detach().requires_grad_() for x in group] for group in state]


def _flat(parts) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts])
