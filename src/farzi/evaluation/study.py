"""The study of docs/protocol.md: full data, random real sequences, the same with teachers' targets, and the summary."""

import itertools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from farzi.errors import InputError
from farzi.evaluation.row import Costs, Row, compare, spread
from farzi.evaluation.students import ASSISTANTS, USUAL_METHODS, Method, Students
from farzi.evaluation.task import Task
from farzi.models import SequenceModel, build_model
from farzi.summary import Summary
from farzi.training import Fitted, Teachers, Training, TrajectoryStore, Workers, check_length

STUDENT_LRS = (3e-3, 1e-2, 3e-2)
"""Learning rates among which each baseline chooses on validation; a summary brings one for models of its own kind."""

MORE_LOOKS = 8
"""Times as often as other students those on random real sequences are looked at on validation."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """How a summary is compared; every student starts from scratch with the same budget.

    Args:
        seeds: students, and references, of each method.
        reference: training on the full data, the task's by default.
        teachers: whose expectations label the random sequences; None takes those that the summary was made with.
        student: training of every student; None takes the task's as the summary advises. The learning rate is that of
            models of the summary's own kind, trained on it; all others choose one on validation.

    Raises:
        ValueError: there are no seeds.
    """

    seeds: int = 3
    reference: Training | None = None
    teachers: Teachers | None = None
    student: Training | None = None

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds is {self.seeds}; it must be at least 1")

    def run(
        self,
        summary: Summary,
        task: Task,
        model: SequenceModel,
        store: TrajectoryStore,
        *,
        methods: Sequence[Method] = USUAL_METHODS,
        costs: Costs | None = None,
        size_in_bytes: int,
        workers: Workers,
        watch: Callable[[int, int, str], None] = lambda _done, _total, _what: None,
    ) -> list[Row]:
        """Train all students and compare them on test data, looked at once.

        Args:
            summary: what is judged.
            task: its data.
            model: the student.
            store: of models trained before.
            methods: the rows wanted beside ``full``, which is always made.
            costs: of the summary, where known.
            size_in_bytes: of the summary's file.
            workers: do the trainings.
            watch: told, before each training, how many are done, how many there are, and which one is next.

        Returns:
            a row for each method.

        Raises:
            InputError: the summary is of another vocabulary than the data, or longer than the model reads; or it was
                made with a model that farzi does not bring, which cannot assist.
        """
        check_fits(summary, task, model)
        students = Students(
            summary=summary, task=task, model=model, teachers=self.teachers or _teachers_of(summary, task), store=store
        )
        student = self.student or task.as_advised(summary.card.advice)
        wanted: list[Method] = [method for method in methods if method != "full"]
        known: dict[Method, Training] = {"full": self.reference or task.full_data}
        if "farzi" in wanted and model.name == summary.card.model["name"]:
            known["farzi"] = student
        searched: list[Method] = [method for method in wanted if method not in known]
        assistants = ASSISTANTS if "assisted" in wanted else 0
        if assistants:
            build_model(summary.card.model)  # one that farzi does not bring is refused before anything is trained
        total = self.seeds * (1 + len(wanted)) + len(STUDENT_LRS) * len(searched) + assistants
        done = itertools.count()
        comparison = _Comparison(self, students, size_in_bytes, workers, lambda what: watch(next(done), total, what))
        rows = comparison.rows(known)
        if "random_teacher" in wanted:
            list(workers.map(students.label, range(students.teachers.count)))
        assistants_s = comparison.assist(assistants)
        rows |= comparison.rows(comparison.chosen(searched, student))
        costs = replace(costs or Costs(), assistants_s=assistants_s)
        return [compare(rows[method], rows["full"], costs) for method in ("full", *wanted)]


def check_fits(summary: Summary, task: Task, model: SequenceModel) -> None:
    """Refuse a summary that the data or the model cannot take.

    Args:
        summary: a summary.
        task: real data.
        model: the student.

    Raises:
        InputError: it is of another vocabulary than the data, or longer than the model reads.
    """
    if summary.vocabulary.fingerprint != task.data.vocabulary.fingerprint:
        raise InputError(
            f"the summary was made from {summary.card.data} with {len(summary.vocabulary)} events, which are not the "
            f"{task.data.vocab_size} events of {task.data.name}; give the data set that it was distilled from"
        )
    check_length(summary, model)


class _Run(NamedTuple):
    """A training to be done: see :meth:`Students.train`."""

    method: Method
    training: Training
    seed: int
    drawn: int


@dataclass(frozen=True)
class _Comparison:
    """One study at work."""

    study: Study
    students: Students
    size_in_bytes: int
    workers: Workers
    watch: Callable[[str], None]

    def chosen(self, searched: Sequence[Method], own: Training) -> dict[Method, Training]:
        """How each method's students are trained: as advised but for the learning rate, which they choose."""
        tried: list[tuple[Method, Training]] = [
            (method, replace(_closely(own) if method == "random" else own, lr=lr))
            for method in searched
            for lr in STUDENT_LRS
        ]
        labels = [f"{method}, learning rate {training.lr:g}" for method, training in tried]
        trained = self._train(labels, [_Run(method, training, self.study.seeds, 0) for method, training in tried])
        chosen: dict[Method, Training] = {}
        for method in searched:
            scores = {run: one.score for run, one in zip(tried, trained, strict=True) if run[0] == method}
            chosen[method] = max(scores, key=lambda run: scores[run])[1]
        return chosen

    def rows(self, settings: Mapping[Method, Training]) -> dict[Method, Row]:
        """Train the models of some methods, side by side, and measure them."""
        count = self.study.seeds
        runs = [_Run(method, training, seed, seed) for method, training in settings.items() for seed in range(count)]
        kinds = {method: "model" if method == "full" else "student" for method in settings}
        trained = self._train([f"{run.method}, {kinds[run.method]} {run.seed + 1} of {count}" for run in runs], runs)
        return {
            method: self._row(method, trained[count * number : count * (number + 1)], training)
            for number, (method, training) in enumerate(settings.items())
        }

    def assist(self, count: int) -> float:
        """Train so many assistants, and tell how many seconds it took."""
        labels = [f"assistant {number + 1} of {count}" for number in range(count)]
        results = self.workers.map(self.students.assist, range(count)) if count else iter(())
        return sum(one.seconds for one in self._told(labels, results))

    def _train(self, labels: Sequence[str], runs: Sequence[_Run]) -> list[Fitted]:
        return self._told(labels, self.workers.map(self.students.train, *zip(*runs, strict=True)) if runs else iter(()))

    def _told(self, labels: Sequence[str], results: Iterator[Fitted]) -> list[Fitted]:
        """What trainings come to, each of which is told of before it is waited for."""
        trained: list[Fitted] = []
        for label in labels:
            self.watch(label)
            trained.append(next(results))
        return trained

    def _row(self, method: Method, trained: Sequence[Fitted], settings: Training) -> Row:
        students, factors = self.students, self.students.summary.factors
        train = students.task.train_data
        id_bytes = 2 if train.vocab_size <= 2**16 else 4
        values = [students.task.metrics(students.student(method), one.parameters, "test") for one in trained]
        row = Row(
            dataset=students.task.data.name,
            method=method,
            teacher="" if method in ("full", "random") else students.summary.card.model["name"],
            student=students.model.name,
            sequences=factors.num_sequences,
            length=factors.length,
            targets="hard" if method == "random" else factors.kind,
            share_of_events=factors.num_sequences * factors.length / train.num_events,
            bytes=factors.num_sequences * (factors.length + 1) * id_bytes if method == "random" else self.size_in_bytes,
            metrics={name: spread([value[name] for value in values]) for name in values[0]},
            training={**asdict(settings), "chosen_steps": [one.steps for one in trained]},
            cost={"fit_s": statistics.mean(one.seconds for one in trained)},
        )
        if method != "full":
            return row
        sequences, length = students.task.full_size(students.model)
        whole = {"sequences": sequences, "length": length, "bytes": id_bytes * train.num_events}
        return replace(row, **whole, targets="hard", share_of_events=1.0)


def _closely(training: Training) -> Training:
    """The same training, looked at more often: few windows are learned by heart before others are looked at first."""
    every = training.evaluate_every // MORE_LOOKS
    return replace(training, evaluate_every=every, patience=training.patience * MORE_LOOKS) if every else training


def _teachers_of(summary: Summary, task: Task) -> Teachers:
    """The teachers that a summary was made with, as far as its card tells."""
    told = summary.card.origin.get("teachers")
    try:
        return (
            Teachers(count=told["count"], training=Training(**told["training"]))
            if told
            else Teachers(training=task.full_data)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the summary's card does not say which teachers it was made with ({error})") from error
