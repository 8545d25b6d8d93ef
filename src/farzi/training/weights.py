"""Trained models as files."""

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save

from farzi.errors import InputError
from farzi.events import Vocabulary
from farzi.files import atomic_write
from farzi.models import Parameters, SequenceModel, build_model, describe_model
from farzi.reading import parse_json, read_tensors

_CARD = "farzi_model"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A trained model.

    Args:
        model: its sizes.
        parameters: its tensors.
        vocabulary_fingerprint: of the events that it ranks, see :attr:`farzi.events.Vocabulary.fingerprint`.
    """

    model: SequenceModel
    parameters: Parameters
    vocabulary_fingerprint: str


def save_weights(path: str | Path, model: SequenceModel, parameters: Parameters, vocabulary: Vocabulary) -> None:
    """Write a trained model to a safetensors file, whole or not at all.

    Args:
        path: of the file.
        model: a dataclass with a name.
        parameters: its trained parameters.
        vocabulary: the events that it ranks.

    Raises:
        InputError: the file cannot be written.
    """
    card = {"model": describe_model(model), "vocabulary": vocabulary.fingerprint}
    tensors = {name: part.detach().cpu().contiguous() for name, part in parameters.items()}
    content = save(tensors, metadata={_CARD: json.dumps(card, sort_keys=True)})
    with atomic_write(path) as file:
        file.write(content)


def load_weights(path: str | Path) -> Weights:
    """Read a trained model.

    Args:
        path: of a file that :func:`save_weights` wrote.

    Returns:
        the model with its parameters.

    Raises:
        InputError: there is no such file, it is cut short, it holds no trained model, or one that farzi does not bring.
    """
    path = Path(path)
    metadata, parameters = read_tensors(path, "give a model that `farzi train` wrote")
    if _CARD not in metadata:
        raise InputError(f"{path} is a safetensors file but not a model that farzi trained")
    try:
        card = parse_json(metadata[_CARD])
        description, fingerprint = dict(card["model"]), card["vocabulary"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} has a damaged card ({error}); copy or train it again") from error
    return Weights(model=build_model(description), parameters=parameters, vocabulary_fingerprint=fingerprint)
