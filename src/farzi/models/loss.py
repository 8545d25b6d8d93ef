"""One loss for events and for distributions over events."""

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from farzi.models.base import Parameters, SequenceModel, output_layer
from farzi.models.head import softmax_cross_entropy
from farzi.models.layers import mix


class Batch(NamedTuple):
    """Sequences to train on, hard or soft.

    Args:
        inputs: event ids ``(batch, length)``, -1 for padding on the left, or distributions ``(batch, length, vocab)``.
        targets: the event, -1 for none, or the distribution of events to be predicted at each position that is not
            padding.
    """

    inputs: Tensor
    targets: Tensor


def hidden_states(model: SequenceModel, parameters: Parameters, inputs: Tensor, rate: float = 0.0) -> Tensor:
    """Read hard or soft sequences through the same parameters.

    Args:
        model: the model.
        parameters: its parameters.
        inputs: event ids ``(batch, length)``, -1 for padding, or distributions ``(batch, length, vocab)``.
        rate: of dropout.

    Returns:
        hidden states, ``(batch, length, dim)``.
    """
    embedding = parameters["embedding"]
    if inputs.is_floating_point():
        return model.hidden(parameters, mix(inputs, embedding), None, rate)
    padding = inputs < 0
    # Not embedding[inputs]: the gradient of that adds up in another order every time, where there are several threads.
    return model.hidden(parameters, functional.embedding(inputs.clamp_min(0), embedding), padding, rate)


def sequence_loss(model: SequenceModel, parameters: Parameters, batch: Batch, rate: float = 0.0) -> Tensor:
    """Mean cross-entropy of next-event predictions over all positions that have a target.

    Args:
        model: the model.
        parameters: its parameters.
        batch: hard or soft sequences.
        rate: of dropout.

    Returns:
        a scalar: nats per event.
    """
    hidden = hidden_states(model, parameters, batch.inputs, rate)
    weight, bias = output_layer(parameters)
    if batch.inputs.is_floating_point():
        return softmax_cross_entropy(hidden.flatten(0, 1), weight, batch.targets.flatten(0, 1), bias)
    real = batch.inputs >= 0 if batch.targets.is_floating_point() else batch.targets >= 0
    return softmax_cross_entropy(hidden[real], weight, batch.targets[real], bias)
