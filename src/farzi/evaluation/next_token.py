"""Language modelling: which token comes next."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from farzi.devices import CPU
from farzi.evaluation.likelihood import Likelihood, stream_likelihood
from farzi.evaluation.task import Part, Task
from farzi.events import EventData, TextData, Tokenizer
from farzi.models import Parameters, SequenceModel, Transformer
from farzi.training import Score, Training

LOOK_TOKENS = 100_000
"""Tokens of the validation part, evenly spread, by which models are chosen; all of it where it is shorter."""

_MOST_NATS = 700.0  # whose exponential still is a number


@dataclass(frozen=True)
class NextToken(Task):
    """Prediction of each token of a text, chosen by perplexity.

    Validation and test part are read in order and each token is counted once, the first one as well: what stands before
    it in the text, the end of the part before, is its context. See :func:`stream_likelihood` for how far context
    reaches.

    Args:
        data: the text.
        overlap: share of the model's window that is context alone, at least 0 and below 1.
        device: where models are trained and measured.

    Raises:
        ValueError: the overlap is outside its range.
    """

    data: TextData  # pyright: ignore[reportIncompatibleVariableOverride]
    overlap: float = 0.5
    device: torch.device = CPU  # pyright: ignore[reportIncompatibleVariableOverride]

    headline = "perplexity"
    default_model = Transformer()
    full_data = Training(lr=3e-3, steps=8000, batch_size=32, dropout=0.1, decay=0.5, evaluate_every=0, patience=12)
    student = Training(steps=8000, weight_decay=0.1, decay=0.5, crop=0.8, evaluate_every=250, patience=16)
    judging = Training(steps=1500, weight_decay=0.1, decay=0.3, crop=0.8, evaluate_every=250, patience=6)
    sharpness = 0.99  # students read words for sure in the end, and a text's summary hardly moves from its start
    event_share = 0.1  # of 0, 0.1, 0.2 and 0.35 that of the best perplexity (docs/log.md, 2026-11-29)

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap is {self.overlap}; it must be at least 0 and below 1")

    @property
    def train_data(self) -> EventData:
        """See ``Task.train_data``: one sequence."""
        return self.data.stream

    @property
    def tokenizer(self) -> Tokenizer:
        """See ``Task.tokenizer``."""
        return self.data.tokenizer

    @property
    def judge(self) -> str:
        """See ``Task.judge``."""
        return f"valid {self.headline} of {LOOK_TOKENS} tokens, overlap {self.overlap}"

    def full_size(self, model: SequenceModel) -> tuple[int, int]:
        """See ``Task.full_size``: windows that do not overlap."""
        return math.ceil(len(self.data.train) / model.max_length), model.max_length

    def score(self, model: SequenceModel) -> Score:
        """A judge of a model's parameters by the mean log-likelihood of a validation token, in nats."""
        return lambda parameters: -self._likelihood(model, parameters, "valid", LOOK_TOKENS).nats

    @staticmethod
    def value(score: float) -> float:
        """See ``Task.value``; a score is a mean log-likelihood, and so negative."""
        return math.exp(-score) if -score < _MOST_NATS else math.inf

    def format(self, score: float) -> str:
        """See ``Task.format``."""
        return f"{self.value(score):.2f}"

    def metrics(self, model: SequenceModel, parameters: Parameters, part: Part) -> dict[str, float]:
        """Measure a trained model on all tokens of a part; see ``Task.metrics``.

        Args:
            model: the model.
            parameters: its trained parameters.
            part: of the text.

        Returns:
            ``perplexity``, 1 or more, and ``accuracy``, between 0 and 1.
        """
        found = self._likelihood(model, parameters, part, None)
        return {self.headline: self.value(-found.nats), "accuracy": found.accuracy}

    def _likelihood(self, model: SequenceModel, parameters: Parameters, part: Part, most: int | None) -> Likelihood:
        before, tokens = (self.data.train, self.data.valid) if part == "valid" else (self.data.valid, self.data.test)
        context = before[-model.max_length :]
        return stream_likelihood(
            model,
            self.at_work(parameters),
            np.concatenate([context, tokens]),
            len(context),
            stride=max(1, round(model.max_length * (1 - self.overlap))),
            most=most,
        )
