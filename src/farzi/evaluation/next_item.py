"""Recommendation: which item comes next."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from farzi.devices import CPU
from farzi.errors import InputError
from farzi.evaluation.ranking import ranking_metrics, ranks
from farzi.evaluation.task import Part, Task
from farzi.events import EventData, Splits, leave_last_two_out
from farzi.models import Parameters, SASRec, SequenceModel
from farzi.training import FULL_DATA, Score, Training


@dataclass(frozen=True)
class NextItem(Task):
    """Prediction of each user's next event, chosen by nDCG@100 (docs/protocol.md).

    Args:
        data: all events; the last two of each user are held out.
        device: where models are trained and measured.

    Raises:
        InputError: there are users with fewer than three events, or no event that is held out for validation, or none
            for testing, occurs in training.
    """

    data: EventData  # pyright: ignore[reportIncompatibleVariableOverride]
    device: torch.device = CPU  # pyright: ignore[reportIncompatibleVariableOverride]

    headline = "nDCG@100"
    default_model = SASRec()
    full_data = FULL_DATA
    student = judging = Training(steps=6000, weight_decay=0.1, decay=1.0, evaluate_every=80, patience=10)
    sharpness = 0.95
    event_share = 0.0

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

    @property
    def train_data(self) -> EventData:
        """See ``Task.train_data``."""
        return self.splits.train

    @property
    def tokenizer(self) -> None:
        """See ``Task.tokenizer``."""

    @property
    def judge(self) -> str:
        """See ``Task.judge``."""
        return f"valid {self.headline}"

    def full_size(self, model: SequenceModel) -> tuple[int, int]:
        """See ``Task.full_size``: all users, and the model's window."""
        return self.train_data.num_sequences, model.max_length

    def score(self, model: SequenceModel) -> Score:
        """A judge of a model's parameters by the headline metric on validation data."""
        return lambda parameters: self.metrics(model, parameters, "valid")[self.headline]

    @staticmethod
    def value(score: float) -> float:
        """See ``Task.value``: the score itself, 0 to 1."""
        return score

    def format(self, score: float) -> str:
        """See ``Task.format``."""
        return f"{score:.4f}"

    def metrics(self, model: SequenceModel, parameters: Parameters, part: Part) -> dict[str, float]:
        """Measure a trained model; see ``Task.metrics`` and :func:`ranking_metrics`."""
        held_out = self.splits.valid if part == "valid" else self.splits.test
        return ranking_metrics(ranks(model, self.at_work(parameters), held_out), self.data.vocab_size)
