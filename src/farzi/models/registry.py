"""The models by name."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from farzi.errors import InputError
from farzi.models.base import SequenceModel
from farzi.models.fmlp import FMLP
from farzi.models.gru4rec import GRU4Rec
from farzi.models.hugging_face import GPT2, Llama
from farzi.models.language import GRU, Transformer
from farzi.models.module_model import ModuleModel
from farzi.models.sasrec import SASRec
from farzi.models.sasrec_modern import ModernSASRec

_MODELS: tuple[type[SequenceModel], ...] = (SASRec, ModernSASRec, GRU4Rec, FMLP, Transformer, GRU, GPT2, Llama)

MODELS: Mapping[str, type[SequenceModel]] = {str(model.name): model for model in _MODELS}
"""Every model that farzi brings, by its name on the command line and in files."""


def describe_model(model: SequenceModel) -> dict[str, Any]:
    """A model's name and sizes, as cards and keys hold them.

    Args:
        model: a dataclass with a name.

    Returns:
        its fields and ``name``; what tells a module from others in place of the function that makes it.
    """
    if isinstance(model, ModuleModel):
        return model.describe()
    return {"name": model.name, **asdict(model)}  # pyright: ignore[reportArgumentType, reportCallIssue]


def shortened(model: SequenceModel, length: int) -> SequenceModel:
    """The same kind of model with a shorter memory: what is trained on short sequences.

    A model has learned nothing of what stands farther back than its training sequences reach, and reads best without.

    Args:
        model: a dataclass with a field ``max_length``.
        length: most positions that it shall read.

    Returns:
        the model, its ``max_length`` lowered to ``length`` where it is larger.
    """
    if length >= model.max_length:
        return model
    return replace(model, max_length=length)  # pyright: ignore[reportType, reportArgumentType, reportCallIssue]


def build_model(description: Mapping[str, Any]) -> SequenceModel:
    """Make the model that a file describes.

    Args:
        description: from :func:`describe_model`.

    Returns:
        the model.

    Raises:
        InputError: farzi brings no such model, or it does not have these sizes.
    """
    sizes = dict(description)
    name = sizes.pop("name", None)
    if not isinstance(name, str) or name not in MODELS:
        raise InputError(
            f"the model {name!r} is not one that farzi brings ({', '.join(MODELS)}); say which model to use instead"
        )
    try:
        return MODELS[name](**sizes)
    except (TypeError, ValueError) as error:
        raise InputError(f"{sizes} are no sizes of the model {name!r}: {error}") from error
