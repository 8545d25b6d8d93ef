"""Causal language models of Hugging Face's ``transformers`` (extra ``hf``), read through their embeddings."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from farzi.errors import InputError
from farzi.models.base import Parameters
from farzi.models.checks import check_positive
from farzi.models.layers import attention
from farzi.models.module_model import ModuleModel

_ATTENTION = "farzi"


class CausalModule(nn.Module):
    """The body of a causal language model of ``transformers``, for :class:`ModuleModel`.

    It is made anew, never loaded: ``ModuleModel(module=partial(CausalModule, config), dim=..., max_length=...)`` is a
    model of any configuration. Embeddings come from outside, as they are, and the output is tied to them; what some
    models multiply their scores with is left out. Attention is written out, as theirs called ``eager`` is, but by a
    layer of farzi's: theirs has no derivative in forward mode. A body that knows no attention but its own keeps that.

    Args:
        config: a configuration of ``transformers``, such as ``GPT2Config(...)``.

    Raises:
        InputError: ``transformers`` is not installed; in reading, the attention is of a kind that is not known here.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        make = partial(_library().AutoModel.from_config, config)
        try:
            body = make(attn_implementation=_ATTENTION)
        except KeyError:
            body = make(attn_implementation="eager")
        self.scale = 1 / math.sqrt(body.get_input_embeddings().embedding_dim)
        body.set_input_embeddings(None)
        for name, part in list(body.named_modules()):
            if type(part).__name__ == "LlamaRMSNorm":  # which computes in single precision, whatever it is given
                body.set_submodule(name, nn.RMSNorm(part.weight.shape, part.variance_epsilon))
        self.body: nn.Module = body
        drops = any(isinstance(part, nn.Dropout) for part in body.modules())
        self.dropout = nn.Identity() if drops else nn.Dropout(0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Read embeddings times ``sqrt(dim)``, ``(batch, length, dim)``; return the last hidden states."""
        read = torch.ones(x.shape[:2], dtype=torch.int64, device=x.device)  # without it, they look for packed sequences
        inputs = self.dropout(x * self.scale)
        return self.body(inputs_embeds=inputs, attention_mask=read, use_cache=False).last_hidden_state


@dataclass(frozen=True, kw_only=True)
class _HuggingFace(ABC):
    """An architecture of ``transformers``, chosen by its main sizes."""

    dim: int = 64
    blocks: int = 2
    heads: int = 2
    max_length: int = 50

    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_positive(self, "dim", "blocks", "heads", "max_length")
        if self.dim % (self._parts * self.heads):
            even = " into even parts" if self._parts == 2 else ""
            raise ValueError(f"heads is {self.heads}; it must divide dim = {self.dim}{even}")

    _parts: ClassVar[int] = 1

    def init(self, vocab_size: int, seed: int) -> Parameters:
        """See ``SequenceModel.init``."""
        return self._model.init(vocab_size, seed)

    def hidden(
        self, parameters: Parameters, embeddings: Tensor, padding: Tensor | None = None, rate: float = 0.0
    ) -> Tensor:
        """See ``SequenceModel.hidden``."""
        return self._model.hidden(parameters, embeddings, padding, rate)

    @abstractmethod
    def _config(self) -> Any: ...

    def _common(self) -> dict[str, Any]:
        """Without events of its own, and with initial weights that suit small widths as 0.02 suits a few thousand."""
        return {"vocab_size": 1, "bos_token_id": 0, "eos_token_id": 0, "initializer_range": self.dim**-0.5}

    @cached_property
    def _model(self) -> ModuleModel:
        module = partial(CausalModule, self._config())
        return ModuleModel(module=module, dim=self.dim, max_length=self.max_length, name=self.name)


@dataclass(frozen=True, kw_only=True)
class GPT2(_HuggingFace):
    """GPT-2 of ``transformers`` (Radford et al., 2019), with any sizes and fresh weights.

    Args:
        dim: width of embeddings and hidden states.
        blocks: number of blocks.
        heads: attention heads a block; divides ``dim``.
        max_length: most positions that the model can read.

    Raises:
        ValueError: a size is not positive, or ``heads`` does not divide ``dim``.
    """

    name = "gpt2"

    def _config(self) -> Any:
        sizes = {"n_embd": self.dim, "n_layer": self.blocks, "n_head": self.heads, "n_positions": self.max_length}
        return _library().GPT2Config(**sizes, **self._common())


@dataclass(frozen=True, kw_only=True)
class Llama(_HuggingFace):
    """Llama of ``transformers`` (Touvron et al., 2023, arXiv 2302.13971), with any sizes and fresh weights.

    The MLP is gated and 8/3 times as wide as the model, as the published ones are.

    Args:
        dim: width of embeddings and hidden states.
        blocks: number of blocks.
        heads: attention heads a block; ``dim / heads`` is whole and even.
        max_length: most positions that the model can read.

    Raises:
        ValueError: a size is not positive, or ``heads`` does not divide ``dim`` into even parts.
    """

    name = "llama"

    _parts = 2

    def _config(self) -> Any:
        return _library().LlamaConfig(
            hidden_size=self.dim,
            intermediate_size=8 * self.dim // 3,
            num_hidden_layers=self.blocks,
            num_attention_heads=self.heads,
            max_position_embeddings=self.max_length,
            **self._common(),
        )


def _library() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise InputError(
            "the models gpt2 and llama need the package transformers; install it with pip install 'farzi[hf]'"
        ) from error
    from transformers.masking_utils import eager_mask

    transformers.AttentionInterface.register(_ATTENTION, _attend)
    transformers.AttentionMaskInterface.register(_ATTENTION, eager_mask)
    return transformers


def _attend(
    _: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention as ``transformers`` asks for it; the mask is 0 where a query may look, None for everywhere."""
    for name in ("softcap", "s_aux"):
        if others.get(name) is not None:
            raise InputError(f"farzi has no attention with {name}; choose a configuration of transformers without it")
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    own = query.shape[-1] ** -0.5
    if scaling is not None and not math.isclose(scaling, own):
        query = query * (scaling / own)
    mask = query.new_zeros(1) if attention_mask is None else attention_mask
    return attention(query, key, value, mask < 0, dropout).transpose(1, 2), None
