"""What a distillation will take, told before it begins: memory by replay, and time by stage."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from farzi.devices import CPU, find_device
from farzi.distill.loop import OuterLoop
from farzi.distill.meta_matching import MetaMatching
from farzi.distill.objective import Objective
from farzi.distill.probe import Measured, Probe
from farzi.distill.size import Size
from farzi.distill.watch import Watch
from farzi.distill.work import Work
from farzi.errors import InputError
from farzi.evaluation import task_of
from farzi.events import EventData, TextData
from farzi.machine import free_mb, held_mb, peak_mb
from farzi.metagrad import Replay, Segments, StoreAll, Tree, Unstep, replay_cost
from farzi.models import SequenceModel
from farzi.training import Speed, Teachers, Training, TrajectoryStore, Workers

MARGIN = 1.25
"""A replay is chosen only where there is room for so many times what it is estimated to take."""

STATES_HELD = 2
"""How often a process holds a window's states: those of the second outer step took as much again as those of the first,
and later ones no more (measured; docs/planning.md).
"""


class Span(NamedTuple):
    """Seconds, at the least and at the most."""

    least: float
    most: float


@dataclass(frozen=True, kw_only=True)
class ReplayEstimate:
    """What a distillation takes with one replay.

    Args:
        replay: how the window's states are kept.
        memory_mb: most memory that its processes hold.
        step_s: seconds of an outer step.
        total: seconds of everything.
    """

    replay: Replay
    memory_mb: float
    step_s: float
    total: Span


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a distillation takes.

    Args:
        replays: the one that was given, and the others.
        available_mb: memory that there is for it.
        steps: most outer steps.
        judgements: most of them.
        new_teachers: teachers that are not in the store.
        teaching: seconds for teachers; patience ends trainings early, or their steps do.
        starting: seconds for the start, and for inner runs to come to their stages.
        judging: seconds for judgements.
        chosen: the fastest that fits, of those that give the exact gradient and the one that was given; None where
            none does.
    """

    replays: tuple[ReplayEstimate, ...]
    available_mb: float
    steps: int
    judgements: int
    new_teachers: int
    teaching: Span
    starting: float
    judging: Span
    chosen: ReplayEstimate | None


def estimate(
    data: EventData | TextData,
    *,
    model: SequenceModel | None = None,
    size: Size = Size(),
    objective: Objective = MetaMatching(),
    loop: OuterLoop = OuterLoop(),
    teachers: Teachers | None = None,
    judges: int = 2,
    store: TrajectoryStore | None = None,
    workers: int = 1,
    device: str = "cpu",
    memory_mb: float | None = None,
) -> Estimate:
    """Tell what :func:`distill` will take, from a probe of ten to thirty seconds in a process of its own.

    A script that calls this has to be guarded by ``if __name__ == "__main__"``, as that process imports it again.

    Args:
        data: as for :func:`distill`, as are all options but the last.
        model: the teachers; the students are the same with as short a memory as the summary's sequences. None takes
            SASRec, and for text a Transformer.
        size: of the summary.
        objective: what the outer loop follows.
        loop: how it does so.
        teachers: models trained on the full data; None takes four, as for :func:`distill`.
        judges: students trained for each judgement on validation data.
        store: where trained teachers are kept; the user's cache folder by default.
        workers: processes that train teachers and judges, side by side; see :class:`farzi.training.Workers`.
        device: where everything is computed; only of the CPU can be told.
        memory_mb: megabytes that there are for it; what is free on this machine by default.

    Returns:
        memory and time.

    Raises:
        InputError: :func:`distill` would refuse what is given, it is for another device or objective, or the probe
            needs more memory than there is.
    """
    if find_device(device) != CPU:
        raise InputError(f"device is {device!r}, but only of the CPU can be told what is needed; leave device out")
    if not isinstance(objective, MetaMatching):
        raise InputError(f"objective is {objective}, but only of MetaMatching can be told what is needed")
    if memory_mb is not None and not memory_mb > 0:
        raise InputError(f"memory_mb is {memory_mb:g}; it must be positive")
    task, store = task_of(data), store or TrajectoryStore()
    model, teachers = model or task.default_model, teachers or Teachers(training=task.full_data)
    objective = objective.suited(size.sequences, size.length)
    with Workers(workers) as pool, Workers(1, apart=True) as apart:
        work = Work(task, model, size, objective, loop, teachers, judges, 0, store, pool, Watch(), task.judging)
        work.check()
        threads = 1 if workers > 1 else torch.get_num_threads()
        student = work.student_training(objective.lr)
        probe = Probe(task, model, size, objective, teachers.count, teachers.training, student, threads)
        (measured,) = apart.map(Probe.measure, [probe])
    return _Reckoning(work, objective, student, measured).estimate(memory_mb)


@dataclass(frozen=True)
class _Reckoning:
    """From what was measured to what all will take."""

    work: Work
    objective: MetaMatching
    student: Training
    measured: Measured

    def estimate(self, memory_mb: float | None) -> Estimate:
        work, loop, inner = self.work, self.work.loop, self.measured.outer
        every = work.teachers.training.steps_between_looks(work.task.real(work.model))
        new = sum(not self._is_stored(seed) for seed in range(work.teachers.count))
        teaching = self._span(new, work.teachers.training, every, self.measured.teacher)
        judgements = 1 + math.ceil(loop.steps / loop.evaluate_every)
        each = self._span(work.judges, self.student, self.student.evaluate_every, self.measured.judge)
        judging = Span(judgements * each.least, judgements * each.most)
        apart = (self.objective.steps - self.objective.stride) // self.objective.runs
        starting = self.measured.start + (self.objective.runs - 1) * apart * inner.gradient
        around = Span(*(starting + sum(part) for part in zip(teaching, judging, strict=True)))
        given = self.objective.replay
        candidates = dict.fromkeys((given, StoreAll(), Segments(), Tree(), Unstep()))
        replays = tuple(self._replay(replay, around) for replay in candidates)
        available = free_mb() + held_mb() if memory_mb is None else memory_mb
        fitting = [
            one
            for one in replays
            if one.memory_mb * MARGIN <= available and (one.replay == given or not isinstance(one.replay, Unstep))
        ]
        return Estimate(
            replays=replays,
            available_mb=available,
            steps=loop.steps,
            judgements=judgements,
            new_teachers=new,
            teaching=teaching,
            starting=starting,
            judging=judging,
            chosen=min(fitting, key=lambda one: one.step_s, default=None),
        )

    def _replay(self, replay: Replay, around: Span) -> ReplayEstimate:
        work, measured, inner = self.work, self.measured, self.measured.outer
        window, optimizer, loop = self.objective.window, self.objective.inner, work.loop
        cost, least = replay_cost(replay, optimizer, window), replay_cost(StoreAll(), optimizer, 1)
        states = measured.parameters * (cost.bytes_per_parameter - least.bytes_per_parameter)
        snapshots = work.teachers.count * work.store.num_snapshots * measured.parameters * 4
        outer = measured.outer_mb + STATES_HELD * states / 2**20
        workers = work.workers.count
        if workers == 1:
            memory = max(outer, measured.training_mb)
        else:
            memory = max(outer, measured.start_mb) + workers * (measured.process_mb + measured.training_mb)
        memory += held_mb() + snapshots / 2**20
        gradients = self.objective.stride - window + cost.gradients
        step = inner.around + gradients * inner.gradient + cost.products * inner.product
        total = (min(seconds + loop.steps * step, 60 * loop.minutes) for seconds in around)
        return ReplayEstimate(replay=replay, memory_mb=max(memory, peak_mb()), step_s=step, total=Span(*total))

    def _is_stored(self, seed: int) -> bool:
        work = self.work
        return work.task.trained(work.model, work.teachers.training, work.store, seed) is not None

    def _span(self, count: int, training: Training, every: int, speed: Speed) -> Span:
        """Trainings that stop improving at the first look, or never."""
        rounds = math.ceil(count / self.work.workers.count)
        bounds = (min((training.patience + 1) * every, training.steps), training.steps)
        return Span(*(rounds * (steps * speed.step + math.ceil(steps / every) * speed.look) for steps in bounds))
