"""Gradients and Hessian-vector products of a loss of parameters and a batch."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad

from farzi.metagrad.tensors import Layout, Loss, Tensors

Hvp = Callable[[Loss, Layout, Tensor, Tensors, Tensor], tuple[Tensor, Tensors]]
"""``hvp(loss, layout, weights, batch, direction)``: see :func:`reverse_over_forward`."""


def gradient(loss: Loss, layout: Layout, weights: Tensor, batch: Tensors) -> tuple[Tensor, Tensor]:
    """A loss and its gradient by the parameters.

    Args:
        loss: scalar loss of named parameters and a batch.
        layout: names and shapes of the parameters.
        weights: parameters as a vector, ``(size,)``.
        batch: named tensors.

    Returns:
        the loss (detached), and the gradient, ``(size,)``.
    """
    parameters = {name: part.requires_grad_() for name, part in layout.unflatten(weights.detach()).items()}
    value = loss(parameters, batch)
    return value.detach(), _flat_grad(layout, value, parameters)


def reverse_over_forward(
    loss: Loss, layout: Layout, weights: Tensor, batch: Tensors, direction: Tensor
) -> tuple[Tensor, Tensors]:
    """Differentiate the loss's derivative along a direction.

    One dual forward pass and one reverse pass give the Hessian's product and the mixed derivative together; unlike
    forward over reverse (MixFlow-MG, arXiv 2505.00793), no gradient by the batch has to be formed on the way.

    Args:
        loss: scalar loss of named parameters and a batch.
        layout: names and shapes of the parameters.
        weights: parameters as a vector, ``(size,)``.
        batch: named tensors; those of a floating type are differentiated.
        direction: ``u``, ``(size,)``.

    Returns:
        ``H u``, ``(size,)``, and ``d/d batch (grad_w loss . u)`` by name.
    """
    parameters = {name: part.requires_grad_() for name, part in layout.unflatten(weights.detach()).items()}
    along = layout.unflatten(direction)
    leaves, batch = _leaves(batch)
    with forward_ad.dual_level():
        duals = {name: forward_ad.make_dual(part, along[name]) for name, part in parameters.items()}
        slope = forward_ad.unpack_dual(loss(duals, batch)).tangent
    assert slope is not None, "the loss does not depend on its parameters"
    return _second(layout, slope, parameters, leaves)


def reverse_over_reverse(
    loss: Loss, layout: Layout, weights: Tensor, batch: Tensors, direction: Tensor
) -> tuple[Tensor, Tensors]:
    """The same by differentiating the gradient in reverse; for modules without forward-mode formulas.

    Args:
        loss: scalar loss of named parameters and a batch.
        layout: names and shapes of the parameters.
        weights: parameters as a vector, ``(size,)``.
        batch: named tensors; those of a floating type are differentiated.
        direction: ``u``, ``(size,)``.

    Returns:
        ``H u``, ``(size,)``, and ``d/d batch (grad_w loss . u)`` by name.
    """
    parameters = {name: part.requires_grad_() for name, part in layout.unflatten(weights.detach()).items()}
    leaves, batch = _leaves(batch)
    value = loss(parameters, batch)
    slope = torch.dot(_flat_grad(layout, value, parameters, create_graph=True), direction)
    _refuse_once_differentiable(slope)
    return _second(layout, slope, parameters, leaves)


def _leaves(batch: Tensors) -> tuple[Tensors, Tensors]:
    leaves = {name: part.detach().requires_grad_() for name, part in batch.items() if part.is_floating_point()}
    return leaves, {**batch, **leaves}


def _flat_grad(layout: Layout, value: Tensor, parameters: Tensors, create_graph: bool = False) -> Tensor:
    grads = torch.autograd.grad(value, list(parameters.values()), create_graph=create_graph, materialize_grads=True)
    return layout.flatten(dict(zip(parameters, grads, strict=True)))


def _refuse_once_differentiable(slope: Tensor) -> None:
    """Raise where torch has cut the graph, since it would give zeros for derivatives that are missing."""
    seen: set[object] = set()
    ahead = [slope.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().endswith("::Error"):
            raise RuntimeError("the loss uses a function that can be differentiated once only")
        ahead += [following for following, _ in node.next_functions]


def _second(layout: Layout, slope: Tensor, parameters: Tensors, leaves: Tensors) -> tuple[Tensor, Tensors]:
    inputs = [*parameters.values(), *leaves.values()]
    if slope.requires_grad:
        grads = torch.autograd.grad(slope, inputs, materialize_grads=True)
    else:  # a loss that is linear in its parameters and has no examples to be differentiated by
        grads = [torch.zeros_like(part) for part in inputs]
    product = layout.flatten(dict(zip(parameters, grads, strict=False)))
    return product, dict(zip(leaves, grads[len(parameters) :], strict=True))
