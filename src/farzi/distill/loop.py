"""The outer loop: learn a summary by following an objective's gradient, and keep what validates best."""

import logging
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch

from farzi.distill.checkpoint import Checkpoints, OuterState
from farzi.distill.interrupt import held_interrupt
from farzi.distill.objective import Objective, OuterGradient, Problem
from farzi.distill.ranks import ALONE, Ranks
from farzi.errors import InputError
from farzi.evaluation import peak_mb
from farzi.summary import Factors, round_to_stored

logger = logging.getLogger(__name__)


class DivergedError(InputError):
    """A distillation came to nothing finite; other steps and learning rates may do."""


class Verdict(NamedTuple):
    """What students trained on a summary reach on validation data, and after how many steps."""

    score: float
    steps: int


Judge = Callable[[Factors, float], Verdict]
"""Trains students on factors with a learning rate."""

MOST_BAD_STEPS = 5
"""Outer steps in a row without a finite gradient after which a run ends."""


@dataclass(frozen=True, kw_only=True)
class OuterLoop:
    """How a summary is learned: Adam on the factors, averaged, chosen on validation.

    Args:
        steps: most outer steps; whichever of steps and minutes is reached first ends the run.
        minutes: about how long a distillation takes, teachers included, counted over all resumptions; infinite by
            default.
        lr: step size of Adam, relative to the spread of each tensor's entries at the start.
        lr_of_log_lr: step size on the logarithm of the inner learning rate; 0 keeps it.
        average: decay of the running average of the factors, which is what is judged and kept.
        evaluate_every: outer steps between two judgements.
        checkpoint_every: outer steps between two checkpoints.

    Raises:
        ValueError: a value is outside its range.
    """

    steps: int = 320
    minutes: float = math.inf
    lr: float = 0.01
    lr_of_log_lr: float = 0.005
    average: float = 0.95
    evaluate_every: int = 80
    checkpoint_every: int = 5

    def __post_init__(self) -> None:
        for name in ("evaluate_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("minutes", "lr"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive")
        for name in ("steps", "lr_of_log_lr"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must not be negative")
        if not 0 <= self.average < 1:
            raise ValueError(f"average is {self.average}; it must be at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What an outer step tells whoever watches.

    Args:
        step: outer steps taken.
        seconds: time spent on the summary, over all resumptions.
        loss: running mean of the outer loss.
        gradient_norm: length of the latest finite meta-gradient, by the factors; 0 before there was one since the start
            or a resumption.
        peak_mb: most memory that this process has had in use, in megabytes.
        score: validation score of the latest judgement.
        best_score: best one so far.
        best_step: the step it was reached at.
        lr: inner learning rate.
        skipped: outer steps without a finite gradient.
    """

    step: int
    seconds: float
    loss: float
    gradient_norm: float
    peak_mb: float
    score: float
    best_score: float
    best_step: int
    lr: float
    skipped: int


def run_loop(
    loop: OuterLoop,
    objective: Objective,
    problem: Problem,
    start: Factors,
    judge: Judge,
    *,
    seed: int,
    checkpoints: Checkpoints,
    watch: Callable[[Progress], None],
    judging: Callable[[int], None] = lambda _: None,
    spent: float = 0.0,
    ranks: Ranks = ALONE,
) -> tuple[Factors, float, int, Progress]:
    """Learn a summary.

    All chance of a step comes from the seed and the step's number, so a resumed run goes on as if it had not stopped.
    Where time is limited, steps end when there is no more left than the longest judgement took, and one more follows.
    Where checkpoints are kept, an interruption ends the loop after the step at work, with a checkpoint of it.

    Several ranks follow the mean of their gradients, each of which is drawn by itself. They go the same way: time is
    that of rank 0, and an interruption of any of them is one of all.

    Args:
        loop: how.
        objective: gives the gradient.
        problem: model, real data, snapshots.
        start: factors to begin with, the same on all ranks.
        judge: scores factors on validation data, with the same result on all ranks.
        seed: of everything that is drawn.
        checkpoints: where the state is kept and resumed from.
        watch: called after each step.
        judging: called before each judgement but that of the start, with the step's number.
        spent: seconds that the summary has taken before, which count; a run that is resumed has them in its checkpoint.
        ranks: all that work on the summary, with the same arguments but for ``watch`` and ``judging``.

    Returns:
        the best factors, as a file will hold them; their inner learning rate; the steps that students took; the last
        progress.

    Raises:
        DivergedError: several steps in a row have no finite gradient.
        InputError: a checkpoint cannot be read or written, or another rank has ended.
        KeyboardInterrupt: the loop was interrupted.
    """
    state = OuterState(start, objective.lr, spent)
    optimizer = _optimizer(loop, state)
    resumed = checkpoints.restore(state, optimizer, ranks)
    began = time.monotonic() - state.seconds

    def is_over() -> bool:
        left = loop.minutes * 60 - (time.monotonic() - began)
        return ranks.broadcast(state.step >= loop.steps or left <= state.judge_seconds)

    if not resumed:
        _judge(state, start, judge)
        state.seconds = time.monotonic() - began
        checkpoints.keep(state, optimizer, ranks)
    over = is_over()
    with held_interrupt() if checkpoints.path else nullcontext(lambda: False) as interrupted:
        while not over:
            generator = torch.Generator().manual_seed(ranks.seed(seed * 1_000_003 + state.step))
            gradient = objective.gradient(problem, start.with_tensors(state.tensors), state.lr, state.carry, generator)
            _follow(state, optimizer, gradient.mean(ranks), loop)
            judged = state.step % loop.evaluate_every == 0 or is_over()
            if judged:
                judging(state.step)
                _judge(state, start, judge)
            over = judged and is_over()
            state.seconds = time.monotonic() - began
            stop = any(ranks.all_gather(interrupted()))
            if stop or over or state.step % loop.checkpoint_every == 0:
                checkpoints.keep(state, optimizer, ranks)
            watch(_progress(state))
            if stop:
                raise KeyboardInterrupt
    return start.with_tensors(state.best), math.exp(state.best_log_lr), state.best_fit_steps, _progress(state)


def _optimizer(loop: OuterLoop, state: OuterState) -> torch.optim.Adam:
    """Adam with a step size for each tensor in proportion to how far its entries are spread."""
    groups = [{"params": [part], "lr": loop.lr * max(float(part.std()), 1e-8)} for part in state.tensors.values()]
    return torch.optim.Adam([*groups, {"params": [state.log_lr], "lr": loop.lr_of_log_lr}], betas=(0.9, 0.99))


def _follow(state: OuterState, optimizer: torch.optim.Adam, gradient: OuterGradient, loop: OuterLoop) -> None:
    """One outer step along the direction of a gradient, or none where it is not finite.

    A gradient through the first steps of a training is hundreds of times longer than one through later steps. Of those,
    Adam would see nothing, whose steps are measured by the longest.
    """
    state.step += 1
    state.carry = gradient.carry
    norms = {name: float(part.norm()) for name, part in gradient.factors.items()}
    if not all(math.isfinite(number) for number in (*norms.values(), gradient.value, gradient.log_lr)):
        state.skipped, state.skipped_in_row = state.skipped + 1, state.skipped_in_row + 1
        logger.warning("outer step %d has no finite gradient and is skipped", state.step)
        if state.skipped_in_row >= MOST_BAD_STEPS:
            raise DivergedError(
                f"{MOST_BAD_STEPS} outer steps in a row had no finite gradient, the last of them step {state.step}; "
                f"lower the inner learning rate (now {state.lr:.3g}) or the window"
            )
        return
    state.skipped_in_row, state.gradient_norm = 0, math.hypot(*norms.values())
    state.loss = 0.9 * state.loss + 0.1 * gradient.value if state.loss else gradient.value
    for name, part in state.tensors.items():
        part.grad = gradient.factors[name] / (norms[name] or 1.0)
    state.log_lr.grad = torch.tensor(max(-1.0, min(1.0, gradient.log_lr)))
    optimizer.step()
    for name, part in state.tensors.items():
        state.average[name].lerp_(part, 1 - loop.average)


def _judge(state: OuterState, start: Factors, judge: Judge) -> None:
    """Score the averaged factors, rounded as a file holds them, and keep them if they are the best."""
    began = time.monotonic()
    stored = round_to_stored(start.with_tensors(state.average))
    state.score, fit_steps = judge(stored, state.lr)
    state.judge_seconds = max(state.judge_seconds, time.monotonic() - began)
    if state.score > state.best_score:
        state.best_fit_steps = fit_steps
        state.best_score, state.best_step, state.best_log_lr = state.score, state.step, float(state.log_lr)
        state.best = stored.tensors()


def _progress(state: OuterState) -> Progress:
    return Progress(
        step=state.step,
        seconds=state.seconds,
        loss=state.loss,
        gradient_norm=state.gradient_norm,
        peak_mb=peak_mb(),
        score=state.score,
        best_score=state.best_score,
        best_step=state.best_step,
        lr=state.lr,
        skipped=state.skipped,
    )
