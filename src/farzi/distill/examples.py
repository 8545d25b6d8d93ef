"""A summary as inner training sees it: decoded, or in factors with bounded memory."""

from dataclasses import dataclass
from typing import Protocol

import torch

from farzi.metagrad import MetaGradient, Tensors
from farzi.models import Batch, Factored, Parameters, SequenceModel, restrict, sequence_loss
from farzi.summary import Factors


@dataclass(frozen=True)
class InnerLoss:
    """The loss of inner steps on examples of either form; equal models and temperatures make equal losses.

    Args:
        model: that is trained.
        temperature: of the summary.
    """

    model: SequenceModel
    temperature: float

    def __call__(self, parameters: Parameters, batch: Tensors) -> torch.Tensor:
        """Mean cross-entropy on some rows of the examples and what these share."""
        if "decoder" not in batch:
            return sequence_loss(self.model, parameters, Batch(**batch))
        if "events" in batch:
            events = batch["events"].flatten()
            batch = {**batch, "decoder": batch["decoder"].index_select(1, events)}
            del batch["events"]
            parameters = restrict(parameters, events)
        return sequence_loss(self.model, parameters, Factored(**batch, temperature=self.temperature))


class Examples(Protocol):
    """What :class:`farzi.metagrad.InnerRun` trains on, and the way back to the factors."""

    @property
    def examples(self) -> Tensors:
        """Tensors whose first axis counts the synthetic sequences."""
        ...

    @property
    def shared(self) -> Tensors:
        """Tensors that all sequences share."""
        ...

    def pull(self, meta: MetaGradient) -> Tensors:
        """Turn the gradient by what was seen into one by the factors' tensors."""
        ...


class Decoded:
    """Distributions, made once: fastest, where they fit into memory.

    Args:
        factors: the summary.
    """

    def __init__(self, factors: Factors) -> None:
        self._tensors = {name: part.detach().requires_grad_() for name, part in factors.tensors().items()}
        self._decoded: Tensors = factors.with_tensors(self._tensors).decode()._asdict()
        self.examples: Tensors = {name: part.detach() for name, part in self._decoded.items()}
        self.shared: Tensors = {}

    def pull(self, meta: MetaGradient) -> Tensors:
        """Turn the gradient by what was seen into one by the factors' tensors."""
        seen = [meta.examples[name] for name in self._decoded]
        grads = torch.autograd.grad(list(self._decoded.values()), list(self._tensors.values()), seen)
        return dict(zip(self._tensors, grads, strict=True))


@dataclass(frozen=True)
class InFactors:
    """Latents and decoder as they are; each step decodes a chunk of positions at a time.

    Args:
        examples: latents, and targets and ``events`` where there are any.
        shared: the decoder.
    """

    examples: Tensors
    shared: Tensors

    @classmethod
    def of(cls, factors: Factors, events: torch.Tensor | None = None) -> "InFactors":
        """What a summary shows of itself.

        Args:
            factors: the summary.
            events: those dealt out to each sequence, ``(sequences, events)``, none of them twice; a step sees the
                events of its batch and no others. None shows all to all.

        Returns:
            the examples.
        """
        tensors = {name: part.detach() for name, part in factors.tensors().items()}
        shared = {"decoder": tensors.pop("decoder")}
        return cls(tensors if events is None else {**tensors, "events": events}, shared)

    def pull(self, meta: MetaGradient) -> Tensors:
        """Turn the gradient by what was seen into one by the factors' tensors."""
        return meta.examples | meta.shared
