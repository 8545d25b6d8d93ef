"""The teachers of a distillation, and how many of them there is time for."""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from typing import NamedTuple

from farzi.distill.ranks import ALONE, Ranks
from farzi.distill.watch import TeacherProgress
from farzi.evaluation import Task
from farzi.models import SequenceModel
from farzi.training import (
    OutOfTimeError,
    Speed,
    Teachers,
    Training,
    Trajectory,
    TrajectoryStore,
    Workers,
    measure_speed,
)

LEAST_STEPS = 50
"""Steps of a teacher, however little time there is: with fewer it has next to nothing to tell."""

_ROOM = 1.5  # by which a training with another seed may take longer


class _Taught(NamedTuple):
    """What is told of a teacher that is in the store: the time and the steps of its training, its validation score."""

    seconds: float
    steps: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Teaching:
    """The training of teachers.

    Args:
        task: what for.
        model: what is trained.
        teachers: how many, and how.
        store: where they are kept.
        workers: train them side by side.
        watch: told of each look at one of them.
        ranks: share them out by their seeds; the methods are collective, with the same result on all ranks.
    """

    task: Task
    model: SequenceModel
    teachers: Teachers
    store: TrajectoryStore
    workers: Workers
    watch: Callable[[TeacherProgress], None]
    ranks: Ranks = ALONE

    def train(self) -> list[Trajectory]:
        """Train all of them, but for those that the store holds.

        Returns:
            the teachers.
        """
        own = self.ranks.deal(range(self.teachers.count))
        if self.workers.count > 1:  # they leave the trained models in the store
            list(self._into_store(own))
        return list(self.ranks.share({seed: self._train(seed) for seed in own}).values())

    def train_within(self, seconds: float) -> Teachers:
        """Train as many as there is time for into the store: few that are trained to the end rather than many halfway.

        The first takes as many steps as there is time for, at least :data:`LEAST_STEPS` and at most those that are
        given, and the others are trained like it. They begin one after another, as many at a time as there are
        workers on all ranks, while there is room for a training half as long again as the longest before, and are given
        up where the time is over all the same.

        Args:
            seconds: for all of them, about.

        Returns:
            what was trained.
        """
        began = time.monotonic()
        teachers = replace(self.teachers, training=self._training_within(seconds))
        lessons, done = replace(self, teachers=teachers), list[_Taught]()
        at_once = self.workers.count * self.ranks.count
        while len(done) < teachers.count:
            left = self.ranks.broadcast(seconds - (time.monotonic() - began))
            seeds: Sequence[int] = range(len(done), min(len(done) + at_once, teachers.count))
            within = left if done else math.inf  # without a first one there is nothing to learn from
            if done and left < _ROOM * max(one.seconds for one in done):
                seeds = list(itertools.takewhile(lessons.is_stored, seeds))
                if not seeds:
                    break
            own = self.ranks.deal(seeds)
            taught = self.ranks.share(dict(zip(own, lessons._into_store(own, within), strict=True))).values()
            for one in taught:
                if one is None:
                    return replace(teachers, count=len(done))
                done.append(one)
        return replace(teachers, count=len(done))

    def is_stored(self, seed: int) -> bool:
        """Whether one of them is trained already, by the rank that it belongs to.

        Args:
            seed: of its training.
        """
        found = {
            own: self.task.trained(self.model, self.teachers.training, self.store, own) is not None
            for own in self.ranks.deal([seed])
        }
        return self.ranks.share(found)[seed]

    def _training_within(self, seconds: float) -> Training:
        """The training that is given, or a shorter one where there is no time for all of its steps."""
        training = self.teachers.training
        if self.teachers.count == 0 or self.is_stored(0):
            return training
        began, count = time.monotonic(), self.workers.count
        shared = (self.task, self.model, training)
        speeds = list(self.workers.map(_try, *(repeat(one, count) for one in shared)))
        every = training.steps_between_looks(self.task.real(self.model))
        left = seconds - (time.monotonic() - began)
        steps = round_down(min(self.ranks.all_gather(min(speed.steps_within(left, every) for speed in speeds))))
        return replace(training, steps=min(max(steps, LEAST_STEPS), training.steps))

    def _into_store(self, seeds: Sequence[int], within: float = math.inf) -> Iterator[_Taught | None]:
        """Train some into the store, or find them there; None for one that does not end in the seconds it is given."""
        if self.workers.count == 1:
            yield from (_attempt(self._train, seed, within) for seed in seeds)
            return
        train = partial(self.task.train, self.model, self.teachers.training, self.store, within=within)
        taught = self.workers.map(_attempt, repeat(train), seeds)
        for seed, one in zip(seeds, taught, strict=True):
            if one is not None:
                self._tell(seed, one.steps, one.steps, one.score)
            yield one

    def _train(self, seed: int, within: float = math.inf) -> Trajectory:
        training = self.teachers.training
        trained_now = False

        def watch(step: int, score: float) -> None:
            nonlocal trained_now
            trained_now = True
            self._tell(seed, step, training.steps, score)

        trajectory = self.task.train(self.model, training, self.store, seed, watch, within)
        taught = _taught(trajectory)
        if trained_now and taught.steps < training.steps:
            self._tell(seed, taught.steps, taught.steps, taught.score)
        return trajectory

    def _tell(self, seed: int, step: int, steps: int, score: float) -> None:
        told = {"number": seed + 1, "count": self.teachers.count}
        self.watch(TeacherProgress(**told, step=step, steps=steps, score=score))


def _try(task: Task, model: SequenceModel, training: Training) -> Speed:
    return measure_speed(model, task.real(model), training, task.score(model))


def _attempt(train: Callable[..., Trajectory], *given: float) -> _Taught | None:
    try:
        return _taught(train(*given))
    except OutOfTimeError:
        return None


def _taught(trajectory: Trajectory) -> _Taught:
    fitted = trajectory.fitted
    return _Taught(fitted.seconds, fitted.curve[-1][0], fitted.score)


def round_down(number: int) -> int:
    """Keep two digits of a number of steps: what took as long before may then be in the store.

    Args:
        number: positive.

    Returns:
        a number that is hardly smaller.
    """
    unit = 10 ** max(len(str(number)) - 2, 0)
    return number // unit * unit
