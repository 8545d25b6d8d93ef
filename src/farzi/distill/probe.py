"""What the parts of a distillation take on this machine, found out by a few steps of each."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from farzi.distill.meta_matching import MetaMatching
from farzi.distill.objective import Problem
from farzi.distill.size import Size
from farzi.evaluation import Task
from farzi.machine import peak_mb
from farzi.metagrad import StoreAll, Tensors
from farzi.models import SequenceModel, shortened
from farzi.summary import Teacher, from_real
from farzi.summary.initialise import START_ROWS, START_STEPS
from farzi.training import Speed, Training, as_training_set, measure_speed

OUTER_SECONDS = 5.0
"""Outer steps are tried for about so long, once at least."""

MOST_ROUNDS = 5
"""And no more often than this."""

_FEW_STEPS = 4  # inner steps that tell how many are to be tried
_TRIED_SECONDS = 1.0  # inner steps that are tried take about so long, or twice what surrounds them, which varies
_MOST_KEPT = 16  # steps with a state each, which count in the peaks of what follows
_START_STEPS = 10
_REPEATS = 3


class Inner(NamedTuple):
    """Seconds of the parts of an outer step.

    Args:
        around: all that is not an inner step: the summary decoded, real windows drawn, their loss.
        gradient: an inner gradient, and the step with it.
        product: a step back over an inner step, with its Hessian-vector product.
    """

    around: float
    gradient: float
    product: float


class Measured(NamedTuple):
    """What a probe found.

    Args:
        outer: seconds of the parts of an outer step.
        start: seconds for the summary to start from.
        judge: seconds of the training of a student.
        teacher: seconds of the training of a teacher.
        parameters: number of the student's.
        process_mb: memory of the process with data and model alone.
        outer_mb: what outer steps take beyond that, with one inner step each that is kept.
        start_mb: what they and the start take.
        training_mb: what they, the start and trainings take.
    """

    outer: Inner
    start: float
    judge: Speed
    teacher: Speed
    parameters: int
    process_mb: float
    outer_mb: float
    start_mb: float
    training_mb: float


@dataclass(frozen=True)
class Probe:
    """A distillation to be tried out, in a process that has done nothing else; fresh parameters stand for teachers.

    Args:
        task: what for.
        model: the teachers.
        size: of the summary.
        objective: what the outer loop follows.
        num_teachers: how many there are.
        teacher: how they are trained.
        student: how students are trained that judge.
        training_threads: threads that train teachers and students.
    """

    task: Task
    model: SequenceModel
    size: Size
    objective: MetaMatching
    num_teachers: int
    teacher: Training
    student: Training
    training_threads: int

    def measure(self) -> Measured:
        """Take the steps, those first that need least memory: a process's peak never falls."""
        process_mb = peak_mb()
        vocab_size, student = self.task.data.vocab_size, shortened(self.model, self.size.length)
        drawn = (self.model.init(vocab_size, seed) for seed in range(self.num_teachers))
        teachers = tuple((self.model, self.task.at_work(parameters)) for parameters in drawn)
        outer, outer_mb = self._outer(Problem(student, self.task.real(student), teachers))
        start = self._start(teachers)
        start_mb = peak_mb()
        torch.set_num_threads(self.training_threads)
        summary = as_training_set(self.size.empty(vocab_size).to(self.task.device))
        judge = _middle(lambda: measure_speed(student, summary, self.student, self.task.score(student)))
        real, score = self.task.real(self.model), self.task.score(self.model)
        teacher = _middle(lambda: measure_speed(self.model, real, self.teacher, score))
        return Measured(
            outer=outer,
            start=start,
            judge=judge,
            teacher=teacher,
            parameters=sum(part.numel() for part in student.init(vocab_size, 0).values()),
            process_mb=process_mb,
            outer_mb=outer_mb - process_mb,
            start_mb=start_mb - process_mb,
            training_mb=peak_mb() - process_mb,
        )

    def _outer(self, problem: Problem) -> tuple[Inner, float]:
        """Outer steps of few inner steps: what their parts take, and the peak of memory with one inner step."""
        factors = self.size.empty(problem.real.vocab_size).to(problem.real.device)
        carry: Tensors = {}

        def seconds(window: int, ahead: int) -> float:
            nonlocal carry
            steps = window + ahead
            tried = replace(self.objective, replay=StoreAll(), window=window, steps=steps, turns=1)
            began = time.monotonic()
            carry = tried.gradient(problem, factors, tried.lr, carry, torch.Generator().manual_seed(0)).carry
            return time.monotonic() - began

        seconds(1, 1)  # what is loaded or compiled at first use
        carry = {name: part.clone() for name, part in carry.items()}  # runs were all at one stage, in the same memory
        each = seconds(1, 0)
        peak = peak_mb()
        together = max(_TRIED_SECONDS, 2 * each)
        one, wide_one = ((seconds(*few) - each) / _FEW_STEPS for few in ((1, _FEW_STEPS), (1 + _FEW_STEPS, 0)))
        further = _as_many(one, together, self.objective.stride - 1)
        wider = _as_many(wide_one, together, min(self.objective.window - 1, _MOST_KEPT))
        began, rounds = time.monotonic(), list[tuple[float, float, float]]()
        while not rounds or (time.monotonic() - began < OUTER_SECONDS and len(rounds) < MOST_ROUNDS):
            rounds.append((seconds(1, 0), seconds(1, further), seconds(1 + wider, 0)))
        plain, ahead, wide = (statistics.median(column) for column in zip(*rounds, strict=True))
        gradient = max(ahead - plain, 0.0) / further
        product = max((wide - plain) / wider - gradient, 0.0)
        return Inner(max(plain - gradient - product, 0.0), gradient, product), peak

    def _start(self, teachers: tuple[Teacher, ...]) -> float:
        """Seconds of the start, from as many sequences as decide its memory and from fewer steps."""
        size = self.size
        count = min(size.sequences, max(START_ROWS // size.length, 1))

        def seconds(count: int, steps: int) -> float:
            drawn, vocab_size = self.task.draw(count, size.length, 0), self.task.data.vocab_size
            began = time.monotonic()
            from_real(drawn, vocab_size, teachers, kind=size.targets, rank=size.rank, steps=steps)
            return time.monotonic() - began

        step = seconds(1, _START_STEPS) / _START_STEPS
        return seconds(count, 1) * size.sequences / count + step * (START_STEPS - 1)


def _as_many(seconds: float, together: float, most: int) -> int:
    """How many steps are tried, one at least, where each takes so long, and all of them about as long as is said."""
    return max(1, most if seconds * most <= together else int(together / seconds))


def _middle(measure: Callable[[], Speed]) -> Speed:
    """The median of some measurements."""
    return Speed(*map(statistics.median, zip(*(measure() for _ in range(_REPEATS)), strict=True)))
