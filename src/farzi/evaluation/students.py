"""The models that a study trains, each of them a piece of work that another process can do."""

from dataclasses import dataclass, replace
from typing import Literal

from farzi.evaluation.task import Task
from farzi.models import SequenceModel, build_model, shortened
from farzi.summary import Summary, Teacher, from_real
from farzi.training import (
    ContinuedSequences,
    Fitted,
    KnownSet,
    Teachers,
    TensorSequences,
    Training,
    TrajectoryStore,
    as_training_set,
)

Method = Literal["full", "random", "random_teacher", "farzi", "assisted"]
"""What a model is trained on.

All data, random real sequences, the same with teachers' targets, the summary, or the summary as its own students
continue it (:class:`farzi.training.ContinuedSequences`), for models of another kind.
"""

USUAL_METHODS: tuple[Method, ...] = ("full", "random", "random_teacher", "farzi")
"""What a summary is compared with unless said otherwise."""

ASSISTANTS = 2
"""Students of the summary's own kind that continue it."""


@dataclass(frozen=True, kw_only=True)
class Students:
    """Trains models of one kind from scratch, by any method.

    Args:
        summary: gives the size of every method's training set, and is one.
        task: real data.
        model: what is trained on all data; on short sequences the same with as short a memory.
        teachers: whose expectations label random sequences.
        store: of models trained before.
    """

    summary: Summary
    task: Task
    model: SequenceModel
    teachers: Teachers
    store: TrajectoryStore

    def train(self, method: Method, training: Training, seed: int, drawn: int) -> Fitted:
        """Train one model, or take the same training from the store.

        Args:
            method: what on.
            training: how.
            seed: of the training.
            drawn: seed of the random sequences.

        Returns:
            the trained model.
        """
        if method == "full":
            return self.task.train(self.model, training, self.store, seed).fitted
        student, store = self.student(method), replace(self.store, num_snapshots=0)
        score, judge = self.task.score(student), self.task.judge
        return store.train(student, self.sequences(method, drawn), training, score, judge=judge, seed=seed).fitted

    def student(self, method: Method) -> SequenceModel:
        """The model that a method trains.

        Args:
            method: any.

        Returns:
            the model, which reads no farther than the method's sequences reach.
        """
        return self.model if method == "full" else shortened(self.model, self.summary.factors.length)

    def label(self, seed: int) -> None:
        """See to it that the store holds one of the teachers.

        Args:
            seed: of its training.
        """
        self.task.train(self.model, self.teachers.training, self.store, seed)

    def assist(self, seed: int) -> Fitted:
        """Train one of the students of the summary's own kind, as its card advises.

        Args:
            seed: of the training.

        Returns:
            the trained model.
        """
        own = replace(self, model=build_model(self.summary.card.model))
        return own.train("farzi", self.task.as_advised(self.summary.card.advice), seed, 0)

    def sequences(self, method: Method, seed: int) -> KnownSet:
        """What a method trains on.

        Args:
            method: any but ``full``.
            seed: of the random sequences.

        Returns:
            as many sequences as the summary has.
        """
        factors = self.summary.factors.to(self.task.device)
        if method == "farzi":
            return as_training_set(factors)
        if method == "assisted":
            fitted = [self.assist(number) for number in range(ASSISTANTS)]
            assistants = tuple((one.model, self.task.at_work(one.parameters)) for one in fitted)
            return ContinuedSequences(factors=factors, assistants=assistants)
        drawn = self.task.draw(factors.num_sequences, factors.length, seed)
        if method == "random":
            return TensorSequences(inputs=drawn[:, :-1], targets=drawn[:, 1:], vocab_size=factors.vocab_size)
        rank = factors.decoder.shape[0]
        teachers = [self._teacher(number) for number in range(self.teachers.count)]
        return as_training_set(
            from_real(
                drawn,
                factors.vocab_size,
                teachers,
                kind=factors.kind,
                rank=rank,
                seed=seed,
                sharpness=self.task.sharpness,
                event_share=self.task.event_share,
            )
        )

    def _teacher(self, seed: int) -> Teacher:
        trained = self.task.train(self.model, self.teachers.training, self.store, seed)
        return self.model, self.task.at_work(trained.parameters)
