"""A gated recurrence that can be differentiated twice, with all its derivatives in closed form.

Written in plain operations, fifty steps leave a thousand small nodes in the graph, and many more with a direction. Here
a step forth takes six operations and a step of a derivative three to five; all else is done for all steps at once.
Every derivative is one of two linear recurrences with the same coefficients: ``_push`` carries a direction forth,
``_pull`` an adjoint back.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from farzi.models.dual import apply_dual, has_tangent


def gated_recurrence(inputs: Tensor, weight: Tensor) -> Tensor:
    """Gated recurrent unit (Cho et al., 2014, arXiv 1406.1078), in the form of cuDNN, started at zero.

    With the three parts of an input ``(a_r, a_z, a_n)`` and those of ``weight @ h``, ``(s_r, s_z, s_n)``::

        r = sigmoid(a_r + s_r)     z = sigmoid(a_z + s_z)     n = tanh(a_n + r s_n)     h <- (1 - z) n + z h

    Args:
        inputs: what enters the reset gate, the update gate and the candidate, ``(length, batch, 3 * width)``; where the
            update gate's is infinite the state stays as it is.
        weight: ``(3 * width, width)``.

    Returns:
        the states after each step, ``(length, batch, width)``.
    """
    if has_tangent(inputs, weight):
        return apply_dual(_DualRecurrence.apply, inputs, weight)
    return _Recurrence.apply(inputs, weight)  # pyright: ignore[reportReturnType]


class _Steps(NamedTuple):
    """What the steps leave behind, each ``(length, batch, width)``."""

    before: Tensor
    """The states that they start from."""
    reset: Tensor
    update: Tensor
    candidate: Tensor
    recurrent: Tensor
    """What the state gives to the candidate, before the reset gate."""


class _Slopes(NamedTuple):
    """How a new state answers to what enters its step, or how that changes along a direction."""

    by_recurrent: Tensor
    """To the three parts of ``weight @ h``, ``(length, batch, 3, width)``."""
    by_candidate: Tensor
    """To the candidate's input, ``(length, batch, width)``."""
    by_state: Tensor
    """To the state before, past the gates, ``(length, batch, width)``."""


def _run(inputs: Tensor, weight: Tensor) -> tuple[Tensor, _Steps]:
    length, batch, width = *inputs.shape[:2], weight.shape[1]
    states = inputs.new_zeros(length + 1, batch, width)
    products, gates, candidate = (inputs.new_empty(length, batch, parts * width) for parts in (3, 2, 1))
    (to_gates, to_candidate), (from_gates, recurrent) = (t.split([2 * width, width], -1) for t in (inputs, products))
    (reset, update), transposed = gates.chunk(2, -1), weight.T
    steps = zip(to_gates, to_candidate, products, from_gates, recurrent, gates, reset, update, candidate, strict=True)
    for h, after, (a, a_n, s, s_gates, s_n, gate, r, z, n) in zip(states, states[1:], steps, strict=False):
        torch.mm(h, transposed, out=s)
        torch.add(a, s_gates, out=gate).sigmoid_()
        torch.addcmul(a_n, r, s_n, out=n).tanh_()
        torch.lerp(n, h, z, out=after)
    return states[1:], _Steps(states[:-1], reset, update, candidate, recurrent)


def _slopes(steps: _Steps) -> _Slopes:
    h, r, z, n, s = steps
    by_n = (1 - z) * (1 - n * n)
    return _Slopes(torch.stack([by_n * s * r * (1 - r), (h - n) * z * (1 - z), by_n * r], 2), by_n, z)


def _slopes_dot(steps: _Steps, steps_dot: _Steps) -> _Slopes:
    """The tangents of :func:`_slopes`."""
    (h, r, z, n, s), (h_dot, r_dot, z_dot, n_dot, s_dot) = steps, steps_dot
    by_n = (1 - z) * (1 - n * n)
    by_n_dot = -z_dot * (1 - n * n) - 2 * (1 - z) * n * n_dot
    r_slope = r * (1 - r)
    by_reset = (by_n_dot * s + by_n * s_dot) * r_slope + by_n * s * (1 - 2 * r) * r_dot
    by_update = (h_dot - n_dot) * z * (1 - z) + (h - n) * (1 - 2 * z) * z_dot
    return _Slopes(torch.stack([by_reset, by_update, by_n_dot * r + by_n * r_dot], 2), by_n_dot, z_dot)


def _steps_dot(steps: _Steps, weight: Tensor, inputs_dot: Tensor, weight_dot: Tensor, states_dot: Tensor) -> _Steps:
    """The tangents of the steps, from those of the states."""
    h, r, z, n, s = steps
    h_dot = torch.cat([torch.zeros_like(states_dot[:1]), states_dot[:-1]])
    s_r, s_z, s_dot = (h_dot @ weight.T + h @ weight_dot.T).chunk(3, -1)
    a_r, a_z, a_n = inputs_dot.chunk(3, -1)
    r_dot, z_dot = r * (1 - r) * (a_r + s_r), z * (1 - z) * (a_z + s_z)
    return _Steps(h_dot, r_dot, z_dot, (1 - n * n) * (a_n + r * s_dot + r_dot * s), s_dot)


def _push(steps: _Steps, slopes: _Slopes, weight: Tensor, inputs_dot: Tensor, weight_dot: Tensor) -> Tensor:
    """The states' tangents."""
    batch, width = steps.before.shape[1:]
    entering = (steps.before @ weight_dot.T).unflatten(-1, (3, width))
    entering[:, :, :2] += inputs_dot[..., : 2 * width].unflatten(-1, (2, width))
    states_dot = (entering * slopes.by_recurrent).sum(2).addcmul_(slopes.by_candidate, inputs_dot[..., 2 * width :])
    transposed, product = weight.T, weight.new_empty(batch, 3 * width)
    parts = product.view(batch, 3, width)
    for last, now, slope, z in zip(
        states_dot, states_dot[1:], slopes.by_recurrent[1:], slopes.by_state[1:], strict=False
    ):
        torch.mm(last, transposed, out=product)
        now += parts.mul_(slope).sum(1)
        now.addcmul_(z, last)
    return states_dot


def _pull(slopes: _Slopes, weight: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
    """The adjoints of the states and of ``weight @ h``, the latter ``(length, batch, 3 * width)``."""
    adjoint, recurrent = given.clone(), torch.empty_like(slopes.by_recurrent)
    flat = recurrent.flatten(2)
    for at in reversed(range(len(given))):
        torch.mul(slopes.by_recurrent[at], adjoint[at, :, None], out=recurrent[at])
        if at:
            adjoint[at - 1].addcmul_(slopes.by_state[at], adjoint[at]).addmm_(flat[at], weight)
    return adjoint, flat


def _by_inputs(recurrent: Tensor, candidate: Tensor) -> Tensor:
    return torch.cat([recurrent[..., : 2 * candidate.shape[-1]], candidate], -1)


def _outer(left: Tensor, right: Tensor) -> Tensor:
    return left.flatten(0, 1).T @ right.flatten(0, 1)


def _gradient(steps: _Steps, weight: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
    """The adjoints of inputs and weight."""
    slopes = _slopes(steps)
    adjoint, recurrent = _pull(slopes, weight, given)
    return _by_inputs(recurrent, slopes.by_candidate * adjoint), _outer(recurrent, steps.before)


def _dual_gradient(
    steps: _Steps, weight: Tensor, dots: tuple[Tensor, Tensor, Tensor], given: Tensor | None, given_dot: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The adjoints of inputs, weight and their tangents ``dots``, from those of the states and their tangents.

    The tangents' adjoint is the gradient with ``given_dot``; that of the primals is how it changes along the direction,
    and the gradient with ``given`` beside it.
    """
    inputs_dot, weight_dot, states_dot = dots
    steps_dot, slopes = _steps_dot(steps, weight, inputs_dot, weight_dot, states_dot), _slopes(steps)
    slopes_dot = _slopes_dot(steps, steps_dot)
    q, recurrent = _pull(slopes, weight, given_dot)
    moved = (slopes_dot.by_recurrent * q[:, :, None]).flatten(2)
    source = torch.zeros_like(q) if given is None else given.clone()
    source[:-1] += (slopes_dot.by_state * q + moved @ weight + recurrent @ weight_dot)[1:]
    p, change = _pull(slopes, weight, source)
    change += moved
    return (
        _by_inputs(change, slopes.by_candidate * p + slopes_dot.by_candidate * q),
        _outer(change, steps.before) + _outer(recurrent, steps_dot.before),
        _by_inputs(recurrent, slopes.by_candidate * q),
        _outer(recurrent, steps.before),
    )


class _Recurrence(torch.autograd.Function):
    """The states alone."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor) -> Tensor:
        states, steps = _run(inputs, weight)
        ctx.save_for_backward(inputs, weight, *steps)
        return states

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        inputs, weight, *steps = ctx.saved_tensors
        return _Gradient.apply(inputs, weight, given, *steps)  # pyright: ignore[reportReturnType]


class _Gradient(torch.autograd.Function):
    """The gradient as a function of inputs and weight, and linear in what is given; its derivative is the dual's."""

    @staticmethod
    def forward(ctx: Any, _: Tensor, weight: Tensor, given: Tensor, *steps: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(weight, given, *steps)
        return _gradient(_Steps(*steps), weight, given)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, inputs_dot: Tensor, weight_dot: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        weight, given, *rest = ctx.saved_tensors
        steps = _Steps(*rest)
        states_dot = _push(steps, _slopes(steps), weight, inputs_dot, weight_dot)
        d_inputs, d_weight, *_ = _dual_gradient(steps, weight, (inputs_dot, weight_dot, states_dot), None, given)
        return d_inputs, d_weight, states_dot, *(None for _ in steps)


class _DualRecurrence(torch.autograd.Function):
    """The states and their tangents."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, inputs_dot: Tensor, weight_dot: Tensor
    ) -> tuple[Tensor, Tensor]:
        states, steps = _run(inputs, weight)
        states_dot = _push(steps, _slopes(steps), weight, inputs_dot, weight_dot)
        ctx.save_for_backward(weight, inputs_dot, weight_dot, states_dot, *steps)
        return states, states_dot

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor, given_dot: Tensor) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        weight, *dots = ctx.saved_tensors[:4]
        return _dual_gradient(_Steps(*ctx.saved_tensors[4:]), weight, (dots[0], dots[1], dots[2]), given, given_dot)
