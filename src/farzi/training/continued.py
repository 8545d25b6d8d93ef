"""More sequences than a summary holds: its own, continued by models that were trained on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from farzi.devices import find_device
from farzi.errors import InputError
from farzi.models import Batch, build_model
from farzi.summary import Summary, Teacher, draw_events, expectations
from farzi.training.fit import fit
from farzi.training.sets import OfFactors, digest_of, endless_schedule, identity_of

EVENTS_AWAY = 16
"""Events by which a sequence is continued, on average, before it begins again."""


@dataclass(frozen=True, kw_only=True)
class ContinuedSequences(OfFactors):
    """The sequences of a summary, continued by models that were trained on it, and labelled by them.

    A model of another kind than the one that a summary was made with needs more sequences than that one does, and may
    need more than there are (docs/log.md, 2026-11-30). Those that need no more can write and label as many as are
    wanted, once they are trained: assistants between teachers and student (Mirzadeh et al., 2020, arXiv 1902.03393).

    Each sequence begins as the summary has it, by its likeliest events. Whenever it has been shown it moves on by an
    event, drawn from what the assistants expect next, and forgets its first; now and then it begins again.

    Args:
        factors: of the summary.
        assistants: models trained on it, at least one, which read as many positions; their mean expectations are the
            targets.
    """

    assistants: tuple[Teacher, ...]

    @property
    def identity(self) -> dict[str, Any]:
        """What tells it from any other, as JSON holds it."""
        known = [digest_of(*parameters.values()) for _, parameters in self.assistants]
        return {**identity_of(self.factors), "assistants": known, "events_away": EVENTS_AWAY}

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Yield batches for ever.

        Args:
            batch_size: sequences a batch.
            generator: source of randomness.

        Yields:
            batches of ``batch_size`` sequences, or all of them where there are fewer: event ids ``(batch, length)`` and
            distributions ``(batch, length, vocab)``.
        """
        own = self._likeliest()
        now = own.clone()
        for indices in endless_schedule(len(own), batch_size, generator):
            rows = indices.to(self.device)
            inputs = now[rows]
            targets = expectations(inputs, self.assistants)
            moved = torch.cat([inputs[:, 1:], draw_events(targets[:, -1], generator)[:, None]], 1)
            anew = torch.rand(len(rows), 1, generator=generator).to(self.device) < 1 / EVENTS_AWAY
            now[rows] = torch.where(anew, own[rows], moved)
            yield Batch(inputs, targets)

    def _likeliest(self) -> Tensor:
        """The likeliest event of each input, ``(sequences, length)``."""
        with torch.no_grad():
            rows = [self.factors.decode(slice(n, n + 1)).inputs.argmax(-1) for n in range(self.factors.num_sequences)]
        return torch.cat(rows)


def with_assistants(summary: Summary, count: int, *, device: str = "cpu") -> ContinuedSequences:
    """Train models of the kind that a summary was made with, and let them continue it for those of other kinds.

    Args:
        summary: a summary.
        count: models to be trained, as its card advises; their seeds are 0 and up.
        device: where they are trained, as torch names it, and where the sequences will be.

    Returns:
        what a model that reads no farther than the summary's sequences reach can be fitted to.

    Raises:
        InputError: there are to be none, farzi does not bring that model, or torch cannot compute on the device.
    """
    if count < 1:
        raise InputError(f"assistants is {count}; it must be at least 1")
    own, place = build_model(summary.card.model), find_device(device)
    fitted = [fit(own, summary, seed=seed, device=device) for seed in range(count)]
    assistants = [(one.model, {name: part.to(place) for name, part in one.parameters.items()}) for one in fitted]
    return ContinuedSequences(factors=summary.factors.to(place), assistants=tuple(assistants))
