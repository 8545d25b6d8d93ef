"""Named tensors and their one flat vector."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
"""Named tensors: parameters, a batch, or gradients of either."""

Loss = Callable[[Tensors, Tensors], Tensor]
"""``loss(parameters, batch)``: a scalar. It must be deterministic: no dropout."""


@dataclass(frozen=True)
class Layout:
    """How named tensors lie in one vector, so that an optimiser step is a handful of operations on that vector.

    Args:
        shapes: shape of each tensor by name, in order.
    """

    shapes: dict[str, torch.Size]

    @classmethod
    def of(cls, tensors: Tensors) -> "Layout":
        """The layout of some named tensors.

        Args:
            tensors: named tensors.

        Returns:
            their layout, in their order.
        """
        return cls({name: tensor.shape for name, tensor in tensors.items()})

    def flatten(self, tensors: Tensors) -> Tensor:
        """Join tensors into a vector.

        Args:
            tensors: named tensors with this layout's names and shapes.

        Returns:
            a new vector, ``(size,)``.
        """
        return torch.cat([tensors[name].reshape(-1) for name in self.shapes])

    def unflatten(self, vector: Tensor) -> Tensors:
        """Cut a vector into tensors.

        Args:
            vector: ``(size,)``.

        Returns:
            named views of ``vector``.
        """
        parts = vector.split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}
