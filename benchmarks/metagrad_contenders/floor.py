"""How far gradient and Hessian-vector product are from the matrix products that they cannot do without."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad

from farzi import metagrad
from farzi.models import Batch, sequence_loss, softmax_cross_entropy
from metagrad_contenders.problem import Problem

HEAD_GRADIENT = ("H E^T", "P E", "P^T H")
HEAD_HVP = ("H E^T", "P E", "Hd E^T", "H Ed^T", "Pd E", "P Ed", "Pd^T H", "P^T Hd")
MODEL_GRADIENT = (*HEAD_GRADIENT, "X E", "X^T G")
MODEL_HVP = (*HEAD_HVP, "X E", "X Ed", "X^T G", "G E^T", "Gd Ed^T")
"""By hidden states H, weights E, inputs X, residual P = softmax - target, and G, the derivative by X E; d: a tangent.

``P E`` belongs to the product with the Hessian because the tangents of H depend on the weights. ``P^T H`` does not:
the direction Ed is a constant. ``G E^T`` and ``Gd Ed^T`` make up the mixed derivative by the inputs; that by the
targets needs no product of its own. The model's own small products are not counted, so the ratios of the whole model
are higher than they need be.
"""


def measure(problem: Problem, repeats: int) -> dict:
    """Median seconds of the computations, of the head's compiled as well, and of their bare products, in turn."""
    tasks = computations(problem, metagrad.Eager())
    compiled = computations(problem, metagrad.Compiled())
    tasks |= {f"{name} compiled": compiled[name] for name in compiled if name.startswith("head")}
    floors = {
        "head gradient": HEAD_GRADIENT,
        "head hvp": HEAD_HVP,
        "model gradient": MODEL_GRADIENT,
        "model hvp": MODEL_HVP,
    }
    operands = _operands(problem)
    for name, products in floors.items():
        tasks[f"{name} floor"] = _products(operands, products)
    seconds = interleaved(tasks, repeats)
    found: dict[str, dict] = {}
    for name, products in floors.items():
        floor = seconds[f"{name} floor"]
        found[name] = {"seconds": seconds[name], "floor_seconds": floor, "ratio": seconds[name] / floor}
        if (again := seconds.get(f"{name} compiled")) is not None:
            found[name] |= {"compiled_seconds": again, "compiled_ratio": again / floor}
        found[name]["products"] = [_describe(operands, product) for product in products]
    return found


def interleaved(tasks: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of tasks that are run in turn, after two turns that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(repeats + 2):
        for name, task in tasks.items():
            began = time.perf_counter()
            task()
            if turn >= 2:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(each) for name, each in seconds.items()}


def computations(problem: Problem, execution: metagrad.Execution) -> dict[str, Callable[[], object]]:
    """Gradient and Hessian-vector product as farzi makes them, of the output head alone and of the whole model."""
    model, layout = problem.model, metagrad.Layout.of(problem.parameters)
    weights = layout.flatten(problem.parameters)
    direction = torch.randn_like(weights)
    batch = {"inputs": problem.inputs, "targets": problem.targets}
    target = problem.targets.flatten(0, 1)
    hidden, hidden_dot = torch.randn(2, len(target), model.dim)
    weight = problem.parameters["embedding"]
    weight_dot = torch.randn_like(weight)

    def loss(parameters: metagrad.Tensors, batch: metagrad.Tensors) -> Tensor:
        return sequence_loss(model, parameters, Batch(**batch))

    head = softmax_cross_entropy, layout, hidden, weight, target
    whole = loss, layout, weights, batch
    return {
        "head gradient": lambda: execution(_head_gradient, *head),
        "head hvp": lambda: execution(_head_hvp, *head, hidden_dot, weight_dot),
        "model gradient": lambda: execution(metagrad.gradient, *whole),
        "model hvp": lambda: execution(metagrad.reverse_over_forward, *whole, direction),
    }


def _head_gradient(head: Callable[..., Tensor], _: metagrad.Layout, hidden: Tensor, weight: Tensor, target: Tensor):
    leaves = [x.detach().requires_grad_() for x in (hidden, weight)]
    return torch.autograd.grad(head(*leaves, target), leaves)


def _head_hvp(head: Callable[..., Tensor], _: metagrad.Layout, *tensors: Tensor):
    hidden, weight, target, hidden_dot = leaves = [x.detach().requires_grad_() for x in tensors[:4]]
    with forward_ad.dual_level():
        duals = forward_ad.make_dual(hidden, hidden_dot), forward_ad.make_dual(weight, tensors[4])
        slope = forward_ad.unpack_dual(head(*duals, target)).tangent
    assert slope is not None
    return torch.autograd.grad(slope, leaves)


def _operands(problem: Problem) -> dict[str, Tensor]:
    """A dense matrix for each letter."""
    rows, vocab = problem.inputs.shape[0] * problem.inputs.shape[1], problem.inputs.shape[2]
    shapes = {
        **dict.fromkeys(("X", "P", "Pd"), (rows, vocab)),
        **dict.fromkeys(("H", "Hd", "G", "Gd"), (rows, problem.model.dim)),
        **dict.fromkeys(("E", "Ed"), (vocab, problem.model.dim)),
    }
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def _factors(operands: dict[str, Tensor], product: str) -> list[Tensor]:
    return [operands[x.removesuffix("^T")].T if x.endswith("^T") else operands[x] for x in product.split()]


def _products(operands: dict[str, Tensor], products: tuple[str, ...]) -> Callable[[], object]:
    factors = [_factors(operands, product) for product in products]
    work = [(a, b, torch.empty(a.shape[0], b.shape[1])) for a, b in factors]

    def run() -> None:
        for a, b, out in work:
            torch.mm(a, b, out=out)

    return run


def _describe(operands: dict[str, Tensor], product: str) -> str:
    sizes = (f"({a} x {b})" for a, b in (x.shape for x in _factors(operands, product)))
    return f"{product}: {' '.join(sizes)}"
