"""What a data set is for: how models on it are trained, chosen and judged, whatever kind of data it is."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Literal

import torch

from farzi.devices import CPU
from farzi.events import EventData, TextData, Tokenizer, draw_windows
from farzi.models import Parameters, SequenceModel
from farzi.summary import Advice
from farzi.training import RealSequences, Score, Training, Trajectory, TrajectoryStore, with_batches

Part = Literal["valid", "test"]
"""What is held out: to choose by, and to judge by."""


class Task(ABC):
    """What models are trained for on some data, and all that differs between one kind of data and another.

    Studies, students and the outer loop ask a task and never what kind it is of.
    """

    headline: ClassVar[str]
    """The metric by which people are told how good a model is on validation data."""

    default_model: ClassVar[SequenceModel]
    """What is trained where no model is named."""

    full_data: ClassVar[Training]
    """How models are trained on all data, teachers among them, unless said otherwise."""

    student: ClassVar[Training]
    """How students are trained on a few sequences, unless said otherwise; see :meth:`as_advised`."""

    judging: ClassVar[Training]
    """The same for students that judge a summary while it is made: shorter, where students take long."""

    sharpness: ClassVar[float]
    """Probability of the event that an input of a summary starts from."""

    event_share: ClassVar[float]
    """Share of that event where one distribution starts as both input and target, as with ``next`` targets."""

    data: EventData | TextData
    """All data, with its name, vocabulary and fingerprint."""

    device: torch.device = CPU
    """Where models are trained and measured."""

    @property
    @abstractmethod
    def train_data(self) -> EventData:
        """The part for training."""
        ...

    @property
    @abstractmethod
    def tokenizer(self) -> Tokenizer | None:
        """What turns text into events and back, kept with a summary; None where the data is no text."""
        ...

    @property
    @abstractmethod
    def judge(self) -> str:
        """What :meth:`score` measures, and on what; part of the key of models that were chosen by it."""
        ...

    @abstractmethod
    def full_size(self, model: SequenceModel) -> tuple[int, int]:
        """How large the training data is beside a summary: sequences and their positions."""
        ...

    @abstractmethod
    def score(self, model: SequenceModel) -> Score:
        """A judge of a model's parameters on validation data: higher is better."""
        ...

    @staticmethod
    @abstractmethod
    def value(score: float) -> float:
        """The headline metric's value that a score stands for."""
        ...

    @abstractmethod
    def format(self, score: float) -> str:
        """A score as people read it, in terms of the headline metric."""
        ...

    @abstractmethod
    def metrics(self, model: SequenceModel, parameters: Parameters, part: Part) -> dict[str, float]:
        """Measure a trained model.

        Args:
            model: the model.
            parameters: its trained parameters, on any device.
            part: which held-out events.

        Returns:
            value by metric; :func:`find_metric` tells what their names mean.
        """
        ...

    def as_advised(self, advice: Advice) -> Training:
        """How students are trained on a summary, unless said otherwise.

        Args:
            advice: of its card, whose learning rate, batch size, weight decay and crop hold; the number of steps is
                chosen on validation data.

        Returns:
            the training.
        """
        training = with_batches(self.student, advice.batch_size)
        return replace(training, lr=advice.lr, weight_decay=advice.weight_decay, crop=advice.crop)

    def real(self, model: SequenceModel) -> RealSequences:
        """The full training data, in windows of the model's length."""
        return RealSequences(data=self.train_data, length=model.max_length, device=self.device)

    def at_work(self, parameters: Parameters) -> Parameters:
        """Parameters where they are computed with, whatever device they rest on."""
        return {name: part.to(self.device) for name, part in parameters.items()}

    def draw(self, count: int, length: int, seed: int) -> torch.Tensor:
        """Draw random windows of the training sequences.

        Args:
            count: number of windows.
            length: inputs of a window; it holds one event more.
            seed: of the draw.

        Returns:
            event ids, ``(count, length + 1)``.
        """
        train = self.train_data
        return torch.from_numpy(draw_windows(train.events, train.offsets, count, length, seed)).to(self.device)

    def train(
        self,
        model: SequenceModel,
        training: Training,
        store: TrajectoryStore,
        seed: int,
        watch: Callable[[int, float], None] = lambda _step, _score: None,
        within: float = math.inf,
    ) -> Trajectory:
        """Train a model on the full data, or take the same training from the store.

        Args:
            model: what to train.
            training: how.
            store: of models trained before.
            seed: of the training.
            watch: told the step and the validation score of every look; of none for a model from the store.
            within: seconds after which a training is given up.

        Returns:
            the trained model with snapshots.

        Raises:
            OutOfTimeError: the training did not end in these seconds.
        """
        data, score = self.real(model), self.score(model)
        return store.train(model, data, training, score, judge=self.judge, seed=seed, watch=watch, within=within)

    def trained(self, model: SequenceModel, training: Training, store: TrajectoryStore, seed: int) -> Trajectory | None:
        """A model that was trained on the full data before.

        Args:
            model: what was trained.
            training: how.
            store: of models trained before.
            seed: of the training.

        Returns:
            the trained model with snapshots, or None if the store does not hold it.
        """
        return store.find(model, self.real(model), training, judge=self.judge, seed=seed)
