"""One distillation at work: teachers, start, outer loop, judgements."""

import json
import math
import statistics
import time
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

from farzi.devices import CPU
from farzi.distill.budget import JUDGEMENT_SHARE, LEAST_STUDENT_STEPS, TEACHERS_SHARE, Budget, keep_budget, read_budget
from farzi.distill.checkpoint import Checkpoints
from farzi.distill.loop import OuterLoop, Verdict, run_loop
from farzi.distill.objective import Objective, Problem
from farzi.distill.ranks import ALONE, Ranks
from farzi.distill.settings import describe_choice
from farzi.distill.size import Size
from farzi.distill.start import choose_start
from farzi.distill.teaching import Teaching, round_down
from farzi.distill.watch import Watch
from farzi.errors import InputError
from farzi.evaluation import Task, peak_mb
from farzi.models import SequenceModel, check_causal, describe_model, shortened
from farzi.summary import Advice, Card, Factors, Summary, Teacher, from_real
from farzi.training import (
    Speed,
    Teachers,
    Training,
    Trajectory,
    TrajectoryStore,
    Workers,
    as_training_set,
    fit,
    measure_speed,
    with_batches,
    with_sequences,
)

JUDGE_SEED = 1_000_000
"""First seed of the students that judge, far from those of any study."""

_MAY_CHANGE = ("steps", "minutes", "checkpoint_every")
"""Fields of the outer loop that may change when a run is resumed."""


@dataclass(frozen=True)
class Work:
    """One distillation at work."""

    task: Task
    model: SequenceModel
    size: Size
    objective: Objective
    loop: OuterLoop
    teachers: Teachers
    judges: int
    seed: int
    store: TrajectoryStore
    workers: Workers
    watch: Watch
    student: Training
    budget_seconds: float = 0.0
    ranks: Ranks = ALONE

    def check(self) -> None:
        """Refuse useless data, sizes that do not fit, models that look ahead, and ranks that are given something else.

        This comes before anything is written.
        """
        if self.size.start == "generated" and not self.teachers.count:
            raise InputError("start is 'generated', but there are no teachers to write one; give some, or 'real'")
        self.task.real(self.model)
        self.size.check(self.model.max_length, self.task.train_data.num_events)
        check_causal(self.model, self.model.init(1, self.seed))
        self.objective.check(self.size.sequences, self.task.data.vocab_size)
        if self.ranks.count > 1 and self.ranks.broadcast(self.settings()) != self.settings():
            raise InputError(
                "data or options are not those of rank 0; start the same command on the same data everywhere"
            )

    def settings(self) -> dict[str, Any]:
        """Everything that decides the summary but for the number of outer steps, as JSON holds it."""
        loop = {name: value for name, value in asdict(self.loop).items() if name not in _MAY_CHANGE}
        settings = {
            "data": {"name": self.task.data.name, "fingerprint": self.task.data.fingerprint},
            "model": describe_model(self.model),
            "size": asdict(self.size),
            "objective": describe_choice(self.objective),
            "loop": loop,
            "teachers": asdict(self.teachers),
            "judges": self.judges,
            "seed": self.seed,
        }
        if self.ranks.count > 1:
            settings["ranks"] = self.ranks.count
        return json.loads(json.dumps(settings, allow_nan=False))

    def summarise(self, checkpoints: Checkpoints) -> tuple[Summary, dict[str, Any]]:
        """The summary, and a record of what it took."""
        trained = self._teaching().train()
        if trained:
            self.watch.taught([trajectory.fitted.score for trajectory in trained])
        began = time.monotonic()
        data, train = self.task.data, self.task.train_data
        if checkpoints.are_there(self.ranks):  # they know all that hangs on a start but its shape
            start = self.size.empty(data.vocab_size)
        else:
            self.watch.start()
            start = self.ranks.broadcast(self._start(trained).to(CPU))
        student = self.student_model()
        snapshots = tuple(one for trajectory in trained for one in trajectory.snapshots if student == self.model)
        problem = Problem(student, self.task.real(student), self._teachers(trained), snapshots)
        factors, lr, steps, progress = run_loop(
            self.loop,
            self.objective,
            problem,
            start.to(self.task.device),
            self._judge,
            seed=self.seed,
            checkpoints=checkpoints,
            watch=self.watch.progress,
            judging=self.watch.judgement,
            spent=self.budget_seconds + time.monotonic() - began,
            ranks=self.ranks,
        )
        card = Card(
            data=data.name,
            data_fingerprint=data.fingerprint,
            num_events=train.num_events,
            model=describe_model(self.model),
            advice=self._advice(lr, steps),
            origin={**self.settings(), "outer_steps": progress.best_step},
            licence=data.licence,
        )
        record = {
            "teacher_s": sum(trajectory.fitted.seconds for trajectory in trained),
            "distill_s": progress.seconds - self.budget_seconds,
            "peak_mb": peak_mb(),
            "progress": asdict(progress),
        }
        factors = factors.to(CPU)
        return Summary(factors=factors, vocabulary=data.vocabulary, card=card, tokenizer=self.task.tokenizer), record

    def in_time(self, path: Path | None = None) -> "Work":
        """The same with as many teachers, and as long judgements, as there is time for.

        Args:
            path: of a file that tells the budget of before, and keeps that of now; None keeps nothing. It is rank 0's.
        """
        budget = self.ranks.broadcast(None if path is None else read_budget(path))
        if budget is None and math.isinf(self.loop.minutes):
            return self
        if budget is None:
            budget = self._budget(60 * self.loop.minutes)
            if path is not None:
                keep_budget(path, budget)
        return replace(self, teachers=budget.teachers, student=budget.student, budget_seconds=budget.seconds)

    def _budget(self, seconds: float) -> Budget:
        began = time.monotonic()
        teachers = self._teaching().train_within(TEACHERS_SHARE * seconds)
        student = self._student_within(JUDGEMENT_SHARE * seconds)
        return Budget(teachers, student, time.monotonic() - began)

    def _student_within(self, seconds: float) -> Training:
        """The training of students for which a judgement has time; how long they take does not hang on the summary."""
        factors = self.size.empty(self.task.data.vocab_size)
        shared = (self.task, self.student_model(), factors, self.student_training(self.objective.lr))
        judges = math.ceil(self.judges / self.ranks.count)  # of one rank
        at_once = min(judges, self.workers.count)
        speeds = list(self.workers.map(_try_student, *(repeat(one, at_once) for one in shared)))
        each = seconds / math.ceil(judges / self.workers.count)
        steps = min(speed.steps_within(each, self.student.evaluate_every) for speed in speeds)
        steps = max(round_down(min(self.ranks.all_gather(steps))), LEAST_STUDENT_STEPS)
        return replace(self.student, steps=min(steps, self.student.steps))

    def _teaching(self) -> Teaching:
        return Teaching(
            task=self.task,
            model=self.model,
            teachers=self.teachers,
            store=self.store,
            workers=self.workers,
            watch=self.watch.teacher,
            ranks=self.ranks,
        )

    def _start(self, trained: list[Trajectory]) -> Factors:
        teachers = self._teachers(trained)
        sequences = choose_start(
            self.task,
            teachers,
            self.size.sequences,
            self.size.length,
            generated=self.size.start == "generated",
            seed=self.seed,
        )
        return from_real(
            sequences,
            self.task.data.vocab_size,
            teachers,
            kind=self.size.targets,
            rank=self.size.rank,
            seed=self.seed,
            sharpness=self.task.sharpness,
            event_share=self.task.event_share,
        )

    def _teachers(self, trained: list[Trajectory]) -> tuple[Teacher, ...]:
        return tuple((self.model, self.task.at_work(trajectory.parameters)) for trajectory in trained)

    def student_model(self) -> SequenceModel:
        """The model that is trained on the summary."""
        return shortened(self.model, self.size.length)

    def student_training(self, lr: float) -> Training:
        """How students are trained that judge, by the learning rate of inner runs."""
        training = with_batches(self.student, min(self.objective.batch_size, self.size.sequences))
        return replace(with_sequences(training, self.size.sequences), lr=self.objective.student_lr(lr))

    def _advice(self, lr: float, steps: int) -> Advice:
        """What did for those that judge, for as many times the steps as students are given."""
        training, decay = self.student_training(lr), self.student.decay_within(steps)
        steps = steps * self.task.student.steps // self.task.judging.steps
        return Advice(
            lr=training.lr,
            batch_size=training.batch_size,
            steps=steps,
            decay=decay,
            weight_decay=training.weight_decay,
            crop=training.crop,
        )

    def _judge(self, factors: Factors, lr: float) -> Verdict:
        """Train students on the factors; their seeds are not those of any study."""
        seeds = self.ranks.deal(range(JUDGE_SEED, JUDGE_SEED + self.judges))
        shared = (self.task, self.student_model(), factors.to(CPU), self.student_training(lr))
        judged = self.workers.map(_student, *(repeat(one) for one in shared), seeds)
        scores, steps = zip(*self.ranks.share(dict(zip(seeds, judged, strict=True))).values(), strict=True)
        return Verdict(score=statistics.mean(scores), steps=int(statistics.median(steps)))


def _student(task: Task, model: SequenceModel, factors: Factors, training: Training, seed: int) -> tuple[float, int]:
    """Train a judge: the score and the steps that it reached it with."""
    fitted = fit(model, as_training_set(factors.to(task.device)), training, task.score(model), seed=seed)
    return fitted.score, fitted.steps


def _try_student(task: Task, model: SequenceModel, factors: Factors, training: Training) -> Speed:
    """See how long the training of a judge takes."""
    return measure_speed(model, as_training_set(factors.to(task.device)), training, task.score(model))
