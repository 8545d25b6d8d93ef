"""One loss for events and for distributions over events."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from farzi.models.base import Parameters, SequenceModel, output_layer
from farzi.models.factored import Factored, expected
from farzi.models.head import log_partition, softmax_cross_entropy
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


def sequence_loss(model: SequenceModel, parameters: Parameters, batch: Batch | Factored, rate: float = 0.0) -> Tensor:
    """Mean cross-entropy of next-event predictions over all positions that have a target.

    Args:
        model: the model.
        parameters: its parameters.
        batch: hard or soft sequences, or soft ones in factors.
        rate: of dropout.

    Returns:
        a scalar: nats per event.
    """
    if isinstance(batch, Factored):
        return _factored_loss(model, parameters, batch, rate)
    hidden = hidden_states(model, parameters, batch.inputs, rate)
    weight, bias = output_layer(parameters)
    if batch.inputs.is_floating_point():
        return softmax_cross_entropy(hidden.flatten(0, 1), weight, batch.targets.flatten(0, 1), bias)
    real = batch.inputs >= 0 if batch.targets.is_floating_point() else batch.targets >= 0
    return softmax_cross_entropy(hidden[real], weight, batch.targets[real], bias)


def _factored_loss(model: SequenceModel, parameters: Parameters, batch: Factored, rate: float) -> Tensor:
    """``logsumexp(h W^T) - <h, y W>``; a bias is one column more of ``W``."""
    embedding, (weight, bias) = parameters["embedding"], output_layer(parameters)
    tied = weight is embedding and bias is None
    if bias is not None:
        weight = torch.cat([weight, bias[:, None]], 1)
    latents, decoder = batch.latents / batch.temperature, batch.decoder
    if batch.targets is None:  # expected once, as the input of its position and as the target of the one before
        both = expected(latents, decoder, embedding if tied else torch.cat([embedding, weight], 1))
        read, wanted = both[:, :-1, : embedding.shape[1]], both[:, 1:, -weight.shape[1] :]
    else:
        read = expected(latents, decoder, embedding)
        wanted = expected(batch.targets / batch.temperature, decoder, weight)
    hidden = model.hidden(parameters, read, None, rate)
    if bias is not None:
        hidden = torch.cat([hidden, torch.ones_like(hidden[..., :1])], -1)
    return log_partition(hidden.flatten(0, 1), weight) - (hidden * wanted).sum(-1).mean()
