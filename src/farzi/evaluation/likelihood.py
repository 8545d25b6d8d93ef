"""How well a model predicts a text, token by token."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from farzi.events import gather
from farzi.models import Parameters, SequenceModel, chunks, hidden_states, scores


class Likelihood(NamedTuple):
    """What predictions of some tokens are worth.

    Args:
        nats: mean negative log-likelihood of a token; infinite where it is not a number.
        accuracy: share of tokens that are the likeliest one, 0 to 1; a tie counts against the model.
        num_tokens: that were counted.
    """

    nats: float
    accuracy: float
    num_tokens: int


def stream_likelihood(
    model: SequenceModel,
    parameters: Parameters,
    tokens: NDArray[np.int32],
    first: int,
    *,
    stride: int,
    most: int | None = None,
    batch_size: int = 64,
) -> Likelihood:
    """Predict a stream of tokens in its order, each of them once.

    A window of as many tokens as the model reads moves on by ``stride`` tokens at a time, and only these are counted: a
    token is predicted from between ``max_length - stride + 1`` and ``max_length`` tokens before it, or from all that
    there are.

    Args:
        model: the model.
        parameters: its trained parameters.
        tokens: (num_tokens,) the stream, with what stands before the part that is measured.
        first: where that part begins, at least 1.
        stride: 1 to the model's ``max_length``; the smaller, the more context and the slower.
        most: tokens that are counted at most, in windows evenly spread over the part; None counts all.
        batch_size: windows that are read at once.

    Returns:
        what the predictions are worth.
    """
    length, device = model.max_length, parameters["embedding"].device
    begins = np.arange(first, len(tokens), stride)
    if most is not None and len(tokens) - first > most:
        chosen = np.linspace(0, len(begins) - 1, max(most // stride, 1)).round().astype(np.int64)
        begins = begins[np.unique(chosen)]
    ends = np.minimum(begins + stride, len(tokens))
    total, correct = 0.0, 0
    with torch.no_grad():
        for part in np.split(np.arange(len(begins)), range(batch_size, len(begins), batch_size)):
            end = ends[part]
            starts = np.maximum(end - 1 - length, 0)
            inputs, targets = (
                torch.from_numpy(gather(tokens, starts + shift, end - 1 + shift, length)).to(device) for shift in (0, 1)
            )
            counted = torch.from_numpy(np.arange(-length, 0) >= (begins[part] - end)[:, None]).to(device)
            hidden, wanted = hidden_states(model, parameters, inputs)[counted], targets[counted]
            for rows in chunks(len(hidden), len(parameters["embedding"])):
                logs = scores(parameters, hidden[rows]).log_softmax(1)
                found = logs.gather(1, wanted[rows, None])
                total -= float(found.double().sum())
                best_other = logs.scatter_(1, wanted[rows, None], -torch.inf).amax(1)
                correct += int((found[:, 0] > best_other).sum())
    count = int((ends - begins).sum())
    nats = total / count
    return Likelihood(nats if np.isfinite(nats) else float("inf"), correct / count, count)
