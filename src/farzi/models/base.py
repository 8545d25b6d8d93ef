"""What every sequence model offers, and the loss that all of them share."""

from typing import Protocol

from torch import Tensor
from torch.nn import functional

Parameters = dict[str, Tensor]
"""Named tensors. ``embedding`` is ``(vocab, dim)``.

Two more belong to the output, where a model has them: ``output``, ``(vocab, dim)``, scores events in place of the
embedding, and ``output_bias``, ``(vocab,)``, is added to the scores.
"""


def output_layer(parameters: Parameters) -> tuple[Tensor, Tensor | None]:
    """What hidden states are multiplied with to score events.

    Args:
        parameters: of a model.

    Returns:
        output vectors, ``(vocab, dim)``, and their bias, ``(vocab,)`` or None for none.
    """
    return parameters.get("output", parameters["embedding"]), parameters.get("output_bias")


def scores(parameters: Parameters, hidden: Tensor) -> Tensor:
    """Score every event; the softmax of the scores is the model's prediction.

    Args:
        parameters: of a model.
        hidden: hidden states, ``(..., dim)``.

    Returns:
        scores, ``(..., vocab)``.
    """
    weight, bias = output_layer(parameters)
    return functional.linear(hidden, weight, bias)


def restrict(parameters: Parameters, events: Tensor) -> Parameters:
    """The parameters of the same model of some events only.

    Args:
        parameters: of a model.
        events: ids of the events that are left, ``(events,)``; those of the result are their places in here.

    Returns:
        parameters whose predictions are renormalised on these events.
    """
    by_event = ("embedding", "output", "output_bias")
    return {name: part.index_select(0, events) if name in by_event else part for name, part in parameters.items()}


class SequenceModel(Protocol):
    """A causal model as a value: it holds sizes, never tensors."""

    @property
    def name(self) -> str:
        """Lower-case name, as in result files."""
        ...

    @property
    def max_length(self) -> int:
        """Most positions that the model can read."""
        ...

    def init(self, vocab_size: int, seed: int) -> Parameters:
        """Draw fresh parameters.

        Args:
            vocab_size: number of events ``V``.
            seed: of the random draw.

        Returns:
            named float32 tensors; ``embedding`` is ``(vocab, dim)``.
        """
        ...

    def hidden(
        self, parameters: Parameters, embeddings: Tensor, padding: Tensor | None = None, rate: float = 0.0
    ) -> Tensor:
        """Read a batch of sequences.

        Args:
            parameters: from :meth:`init`.
            embeddings: expected event embeddings, ``(batch, length, dim)``.
            padding: true where a position is padding, ``(batch, length)``; sequences are padded on the left.
            rate: of dropout, the probability of dropping an entry, with torch's global random state; 0 turns it off.

        Returns:
            hidden states, ``(batch, length, dim)``; the state at position t depends on events up to t.

        Raises:
            ValueError: the sequences are longer than ``max_length``.
        """
        ...
