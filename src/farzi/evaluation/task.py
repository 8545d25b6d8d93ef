"""What a data set is for: how models on it are trained, chosen and judged."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from farzi.errors import InputError
from farzi.evaluation.ranking import ranking_metrics, ranks
from farzi.events import EventData, Splits, draw_windows, leave_last_two_out
from farzi.models import Parameters, SequenceModel
from farzi.training import RealSequences, Score, Training, Trajectory, TrajectoryStore

HEADLINE = "nDCG@100"
"""The metric that everything is chosen by, on validation data (docs/protocol.md)."""


@dataclass(frozen=True)
class NextItem:
    """Prediction of each user's next event.

    Args:
        data: all events; the last two of each user are held out.

    Raises:
        InputError: there are users with fewer than three events, or no event that is held out for validation, or none
            for testing, occurs in training.
    """

    data: EventData

    @cached_property
    def splits(self) -> Splits:
        """Training, validation and test parts."""
        splits = leave_last_two_out(self.data)
        for part, held_out in (("validation", splits.valid), ("testing", splits.test)):
            if not np.isin(held_out.targets, splits.train.events).any():
                raise InputError(
                    f"none of the {len(held_out)} events of {self.data.name} that are held out for {part} occurs in "
                    "training, so nothing that is learned could find them; give data whose events occur again"
                )
        return splits

    def real(self, model: SequenceModel) -> RealSequences:
        """The full training data, in windows of the model's length."""
        return RealSequences(data=self.splits.train, length=model.max_length)

    def score(self, model: SequenceModel) -> Score:
        """A judge of a model's parameters by the headline metric on validation data."""
        return lambda parameters: self.metrics(model, parameters, "valid")[HEADLINE]

    def metrics(self, model: SequenceModel, parameters: Parameters, part: Literal["valid", "test"]) -> dict[str, float]:
        """Measure a trained model.

        Args:
            model: the model.
            parameters: its trained parameters.
            part: which held-out events.

        Returns:
            value by metric, see :func:`ranking_metrics`.
        """
        held_out = self.splits.valid if part == "valid" else self.splits.test
        return ranking_metrics(ranks(model, parameters, held_out), self.data.vocab_size)

    def draw(self, count: int, length: int, seed: int) -> torch.Tensor:
        """Draw random windows of the training sequences.

        Args:
            count: number of windows.
            length: inputs of a window; it holds one event more.
            seed: of the draw.

        Returns:
            event ids, ``(count, length + 1)``.
        """
        train = self.splits.train
        return torch.from_numpy(draw_windows(train.events, train.offsets, count, length, seed))

    def train(
        self,
        model: SequenceModel,
        training: Training,
        store: TrajectoryStore,
        seed: int,
        watch: Callable[[float], None] = lambda _: None,
    ) -> Trajectory:
        """Train a model on the full data, or take the same training from the store.

        Args:
            model: what to train.
            training: how.
            store: of models trained before.
            seed: of the training.
            watch: called with each validation score on the way; not at all for a model from the store.

        Returns:
            the trained model with snapshots.
        """
        judge = self.score(model)

        def score(parameters: Parameters) -> float:
            value = judge(parameters)
            watch(value)
            return value

        return store.train(model, self.real(model), training, score, judge=f"valid {HEADLINE}", seed=seed)
