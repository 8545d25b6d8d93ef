"""Any module of torch as a model."""

import hashlib
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.dropout import _DropoutNd  # pyright: ignore[reportPrivateUsage]
from torch.overrides import TorchFunctionMode

from farzi.models.base import Parameters
from farzi.models.checks import check_length, check_positive
from farzi.models.dual import has_tangent
from farzi.models.initial import Draw
from farzi.models.layers import LAYER_NORM_EPSILON, layer_norm

_PREFIX = "module."


@dataclass(frozen=True, kw_only=True)
class ModuleModel:
    """A causal module as a model with tied output; event embeddings are added to it.

    The module is called with one tensor, ``(batch, length, dim)``, embeddings times ``sqrt(dim)``, and returns hidden
    states of the same shape. It need not know of padding: sequences are moved to the left, where it reads them from its
    first position on, and what it makes of the padding behind them is not used. All its parameters are trained; its
    buffers are constants, as they are in a module made under seed 0.

    Args:
        module: makes a fresh module: a class, or a function without arguments. It is to be importable where processes
            work side by side.
        dim: width of embeddings and hidden states.
        max_length: most positions that the model can read.
        name: what tables call the model, in lower case. A module whose computation changes needs another, or else
            models trained before are taken for its own; other sizes and submodules are noticed.

    Raises:
        ValueError: a size is not positive, or ``module`` is a module instead of what makes one.
    """

    module: Callable[[], nn.Module]
    dim: int
    max_length: int = 50
    name: str = "module"

    def __post_init__(self) -> None:
        check_positive(self, "dim", "max_length")
        if isinstance(self.module, nn.Module):
            raise ValueError(f"module is a {type(self.module).__name__}; it must be what makes one, for each seed anew")

    def init(self, vocab_size: int, seed: int) -> Parameters:
        """Draw fresh parameters.

        Args:
            vocab_size: number of events ``V``.
            seed: of the random draw, that of the module included.

        Returns:
            named tensors; ``embedding`` is ``(vocab, dim)``, the module's names begin with ``module.``.
        """
        own = {f"{_PREFIX}{name}": part.detach().clone() for name, part in self._make(seed).named_parameters()}
        return {"embedding": Draw(seed).normal(vocab_size, self.dim), **own}

    def hidden(
        self, parameters: Parameters, embeddings: Tensor, padding: Tensor | None = None, rate: float = 0.0
    ) -> Tensor:
        """Read a batch of sequences.

        Args:
            parameters: from :meth:`init`.
            embeddings: expected event embeddings, ``(batch, length, dim)``.
            padding: true where a position is padding, ``(batch, length)``; sequences are padded on the left.
            rate: of dropout, that of all dropout modules within; 0 puts the module into evaluation mode.

        Returns:
            hidden states, ``(batch, length, dim)``; the state at position t depends on events up to t.

        Raises:
            ValueError: the sequences are longer than ``max_length``.
        """
        check_length(embeddings, self.max_length)
        x, module = embeddings * math.sqrt(self.dim), self._skeleton
        tensors = {name: parameters[_PREFIX + name] for name, _ in module.named_parameters()}
        for name, buffer in module.named_buffers():
            dtype = x.dtype if buffer.is_floating_point() else None
            tensors[name] = buffer.to(x.device, dtype, copy=rate > 0)  # in training mode it may be written to
        module.train(rate > 0)
        for part in module.modules():
            if isinstance(part, _DropoutNd):
                part.p = rate
        with _twice_differentiable(module, has_tangent(x, *tensors.values())):
            if padding is None:
                return functional_call(module, tensors, x)
            count = padding.sum(1, keepdim=True)
            return _roll(functional_call(module, tensors, _roll(x, count)), -count)

    def describe(self) -> dict[str, str | int]:
        """What tells this model from others.

        Returns:
            name, sizes, the module's class and a fingerprint of its structure.
        """
        module = self._skeleton
        shapes = [(name, tuple(part.shape)) for name, part in module.state_dict().items()]
        kind = f"{type(module).__module__}.{type(module).__qualname__}"
        fingerprint = hashlib.sha256(f"{module}{shapes}".encode()).hexdigest()[:16]
        sizes = {"dim": self.dim, "max_length": self.max_length}
        return {"name": self.name, **sizes, "module": kind, "fingerprint": fingerprint}

    @cached_property
    def _skeleton(self) -> nn.Module:
        return self._make(0)

    def _make(self, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach other devices as well
            return self.module()


@contextmanager
def _twice_differentiable(module: nn.Module, dual: bool) -> Generator[None]:
    """Keep torch from fused layers that have a first derivative only, and from wrong ones of dual numbers."""
    recurrent = any(isinstance(part, nn.RNNBase) for part in module.modules())
    with (
        sdpa_kernel(SDPBackend.MATH),
        torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext(),
        _RightNorms() if dual else nullcontext(),
    ):
        yield


class _RightNorms(TorchFunctionMode):
    """Replaces normalisations whose tangents torch cannot differentiate: it gives wrong numbers and no error."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is functional.layer_norm:
            return _layer_norm(*args, **(kwargs or {}))
        if func in (functional.batch_norm, functional.instance_norm):
            raise NotImplementedError(f"{func.__name__} of dual numbers has no derivative")
        return func(*args, **(kwargs or {}))


def _layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = LAYER_NORM_EPSILON,
) -> Tensor:
    """``functional.layer_norm`` by our own, which knows one axis and one epsilon: scaled input stands for another."""
    flat = input.flatten(-len(normalized_shape)) * math.sqrt(LAYER_NORM_EPSILON / eps)
    normal = layer_norm(flat, flat.new_ones(flat.shape[-1])).view(input.shape)
    normal = normal if weight is None else normal * weight
    return normal if bias is None else normal + bias


def _roll(x: Tensor, count: Tensor) -> Tensor:
    """Move each sequence of ``(batch, length, dim)`` to the left by its count, ``(batch, 1)``, round the end."""
    length = x.shape[1]
    source = (torch.arange(length, device=x.device) + count) % length
    return x.gather(1, source[..., None].expand_as(x))
