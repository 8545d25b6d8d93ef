"""The half of a block that several models have in common."""

import math

import torch
from torch import Tensor

from farzi.models.base import Parameters
from farzi.models.initial import Draw
from farzi.models.layers import dropout, gelu, layer_norm, linear


def draw_mlp(draw: Draw, at: str, dim: int, blocks: int) -> Parameters:
    """Draw the parameters of :func:`mlp`.

    Args:
        draw: of the model.
        at: what their names begin with.
        dim: width of the model.
        blocks: number of its blocks; the more there are, the less each adds at first.

    Returns:
        named float32 tensors.
    """
    return {
        f"{at}.norm": torch.ones(dim),
        f"{at}.up": draw.dense(4 * dim, dim),
        f"{at}.up_bias": torch.zeros(4 * dim),
        f"{at}.down": draw.dense(dim, 4 * dim) / math.sqrt(2 * blocks),
    }


def mlp(parameters: Parameters, at: str, x: Tensor, rate: float) -> Tensor:
    """What a pre-normalised MLP adds to each position.

    Args:
        parameters: from :func:`draw_mlp`.
        at: what their names begin with.
        x: ``(batch, length, dim)``.
        rate: of dropout.

    Returns:
        a tensor shaped like ``x``.
    """
    inner = linear(layer_norm(x, parameters[f"{at}.norm"]), parameters[f"{at}.up"])
    inner = gelu(inner + parameters[f"{at}.up_bias"])
    return dropout(linear(inner, parameters[f"{at}.down"]), rate)
