"""How inner steps, there and back, are executed: as they are written, or compiled."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from farzi.metagrad.tensors import Layout, Loss

logger = logging.getLogger(__name__)


_PLAIN = {torch.ops.aten._efficientzerotensor.default: torch.zeros}
"""Tangents of constants are zeros without memory, which a program would read all the same."""


class Execution(Protocol):
    """A way to call a pure function of tensors and numbers, such as a step of an inner run."""

    def __call__(self, function: Callable[..., Any], loss: Loss, layout: Layout, *tensors: Any) -> Any:
        """Return ``function(loss, layout, *tensors)``."""
        ...


@dataclass(frozen=True)
class Eager:
    """Operation by operation."""

    def __call__(self, function: Callable[..., Any], loss: Loss, layout: Layout, *tensors: Any) -> Any:
        """Call the function."""
        return function(loss, layout, *tensors)


class CompileError(Exception):
    """A function could not be compiled, or gives something else when it is."""


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """As programs that torch's compiler makes of all operations of a step, or of the way back over one.

    A function is traced with its derivatives in it, so that nothing is ever differentiated through a program, which
    torch cannot do twice (pytorch#91469). There is a program for each function, loss and set of shapes; making it takes
    some 10 to 60 seconds, which are logged, and on a CPU needs a C++ compiler. Hand in the same loss every time, not a
    new lambda, or there is nothing to be used again. The loss must do the same operations whatever the numbers are.

    Args:
        tolerance: largest relative distance between the first result of a program and that of the function itself.

    Raises:
        ValueError: the tolerance is not positive.
    """

    tolerance: float = 1e-3
    _programs: dict[Any, Callable[..., Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"tolerance is {self.tolerance}; it must be positive")

    def __call__(self, function: Callable[..., Any], loss: Loss, layout: Layout, *tensors: Any) -> Any:
        """Run the function's program, which is made at its first call.

        Raises:
            CompileError: it cannot be compiled, or the program's first result is not that of the function.
        """
        tensors = _with_tensors(tensors)
        key = (function, loss, tuple(layout.shapes.items()), _signature(tensors))
        with torch.no_grad():
            if key in self._programs:
                return self._programs[key](*tensors)
        began, name = time.monotonic(), f"{getattr(function, '__name__', function)} of this loss"
        wanted = function(loss, layout, *tensors)
        try:
            program = _program(lambda *given: function(loss, layout, *given), tensors)
            with torch.no_grad():
                found = program(*tensors)
        except Exception as error:  # torch has no one class for what may be in the way
            why = str(error).strip().partition("\n")[0]
            raise CompileError(f"{name} cannot be compiled ({why}); run it with Eager()") from error
        if not (distance := _distance(found, wanted)) <= self.tolerance:
            raise CompileError(f"compiled, {name} is off by {distance:.1e} (relative); run it with Eager()")
        logger.info("%s is compiled, which took %.0f s", name, time.monotonic() - began)
        self._programs[key] = program
        return found


def _program(function: Callable[..., Any], tensors: tuple[Any, ...]) -> Callable[..., Any]:
    """Trace a function of tensors and compile what it does."""
    import torch._inductor  # takes as long to load as torch itself

    traced: GraphModule = make_fx(function, decomposition_table=_PLAIN)(*tensors)
    for node in reversed(traced.graph.nodes):  # what autograd asked about shapes is no operation that could be compiled
        schema = getattr(node.target, "_schema", None)
        if node.op == "call_function" and not node.users and not (schema and schema.is_mutable):
            traced.graph.erase_node(node)
    traced.recompile()
    for node in traced.graph.nodes:
        node.meta.clear()  # each tensor was traced by itself, which the compiler takes for a mistake
    # Not by torch.compile, which asks at every call whether the graph is still the same. Called from C++ rather than
    # from Python, short operations follow each other faster.
    return cast(Any, torch._inductor.compile)(traced, list(tensors), options={"cpp_wrapper": True})


def _with_tensors(value: Any) -> Any:
    """Numbers in tuples as tensors: a program would take them for constants."""
    if isinstance(value, tuple):
        parts = [_with_tensors(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return torch.tensor(value, dtype=torch.float64) if isinstance(value, int | float) else value


def _flat(value: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors of nested tuples and dictionaries, each with its place."""
    if isinstance(value, Tensor):
        yield "", value
        return
    for place, part in value.items() if isinstance(value, dict) else enumerate(value):
        yield from ((f"{place}.{rest}", tensor) for rest, tensor in _flat(part))


def _signature(tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple((place, part.shape, part.dtype, part.device) for place, part in _flat(tensors))


def _distance(found: Any, wanted: Any) -> float:
    """The largest distance of a tensor, relative to its norm; what is not finite is to be so in both."""
    pairs = [(a.nan_to_num(), b.nan_to_num()) for (_, a), (_, b) in zip(_flat(found), _flat(wanted), strict=True)]
    norms = [float(b.norm()) for _, b in pairs]
    least = 1e-6 * max(norms)  # below it, a tensor is rounding beside the others
    return max(float((a - b).norm()) / max(norm, least, 1e-30) for (a, b), norm in zip(pairs, norms, strict=True))
