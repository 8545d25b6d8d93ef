"""Meta-matching: the gradient of the real loss through training on the summary."""

import logging
import math
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from farzi.devices import CPU
from farzi.distill.examples import Decoded, Examples, InFactors, InnerLoss
from farzi.distill.objective import OuterGradient, Problem
from farzi.errors import InputError
from farzi.metagrad import (
    Adam,
    CompileError,
    Eager,
    Execution,
    InnerRun,
    Layout,
    NonFiniteError,
    Optimizer,
    Replay,
    State,
    StoreAll,
    Tensors,
)
from farzi.models import Batch, sequence_loss
from farzi.summary import Factors, expectations
from farzi.training import FEW_SEQUENCES, draw_schedule, stretch

logger = logging.getLogger(__name__)

STUDENT_LR = 1e-2
"""Learning rate of Adam where a step sees no more than :data:`farzi.training.FEW_SEQUENCES`, unless said otherwise."""

FEW_POSITIONS = 1000
"""Positions that a step sees at most, if these sequences have no more, unless said otherwise."""

MOST_DECODED_BYTES = 2**28
"""A summary whose distributions take more than this in float32 stays in factors for inner steps.

Differentiating through steps on distributions needs room for about six times as much as they take (docs/log.md,
2026-11-25).
"""


@dataclass(frozen=True, kw_only=True)
class MetaMatching:
    """Train on the summary, measure the loss on real data, differentiate through the training.

    The objective of Farzi Data (Sachdeva et al., 2023, arXiv 2310.09983), with inner runs that last over many outer
    steps: each outer step takes one of them a stride further and differentiates its last ``window`` steps, exactly. The
    window thus comes at every stage of training, as in RaT-BPTT (arXiv 2311.07025), without its burn-in; what a run
    has learned from the summary of some outer steps ago is taken for what it would learn from the present one, so the
    summary corrects what others before it have left. A run that has taken ``steps`` begins anew, after ``turns``
    strides, which is ``turns * runs`` outer steps.

    Where the vocabulary is very large, inner steps may see a random part of it (``sampled_events``). At each outer step
    events are dealt out at random to the synthetic sequences, none to two of them, and an inner step sees those of its
    batch: the summary's distributions and the model's predictions are renormalised on them. This is biased. The
    normaliser over a part of the events is smaller than over all, so every event that is seen is given more probability
    than it has: by one over the part's probability, which differs between model and summary and from position to
    position. Expected embeddings and gradients thus are ratios of sums over the sample, and the mean of such ratios is
    not the ratio of the means. Whatever belongs to an event that a step does not see, a column of the decoder or a row
    of the model's matrices, gets no gradient from that step. All this fades as the part grows to the whole. The outer
    loss is always over all events.

    Args:
        inner: the inner optimiser.
        lr: its learning rate to begin with; the outer loop learns it. 0 for 0.01, and more for large batches, see
            :func:`farzi.training.stretch`.
        replay: how the window's states are kept.
        execution: how inner steps are executed.
        window: inner steps that are differentiated at each outer step.
        steps: inner steps after which a run begins anew.
        runs: inner runs at different stages, taken in turn.
        turns: strides in which a run takes its steps; a stride is no shorter than the window.
        batch_size: synthetic sequences an inner step; 0 for a fifth of all, but no more than have a thousand positions
            and no fewer than 25.
        sampled_events: events that an inner step sees, dealt out evenly to the sequences of its batch (a remainder is
            left out); 0 for all.
        real_positions: positions of the real windows that measure the outer loss, padding among them.
        teacher_share: share of the teachers' mean expectations in the real targets, the rest being the real events: a
            distribution tells more of what could have come next than the one event that did.
        snapshot_share: share of runs that begin at a teacher's snapshot instead of fresh parameters; there are
            snapshots where the summary's sequences are as long as the model reads.

    Raises:
        ValueError: a value is outside its range.
    """

    inner: Optimizer = field(default_factory=Adam)
    lr: float = 0.0
    replay: Replay = field(default_factory=StoreAll)
    execution: Execution = field(default_factory=Eager)
    window: int = 20
    steps: int = 500
    runs: int = 8
    turns: int = 8
    batch_size: int = 0
    sampled_events: int = 0
    real_positions: int = 5000
    teacher_share: float = 0.7
    snapshot_share: float = 0.0

    def __post_init__(self) -> None:
        for name in ("window", "runs", "turns", "real_positions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        suits, everything = "what suits the summary's size", "all events"
        for name, zero in (("lr", suits), ("batch_size", suits), ("sampled_events", everything)):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive, or 0 for {zero}")
        if self.steps < self.window:
            raise ValueError(f"steps is {self.steps}; it must be at least window = {self.window}")
        for name in ("teacher_share", "snapshot_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be between 0 and 1")

    @property
    def stride(self) -> int:
        """Inner steps by which an outer step takes a run further."""
        return max(self.steps // self.turns, self.window)

    def suited(self, sequences: int, length: int) -> Self:
        """The same, with batch size and learning rate chosen where they were left open.

        Args:
            sequences: number of the summary's.
            length: positions of each.

        Returns:
            an objective whose batch size and learning rate are positive.
        """
        batch_size = self.batch_size or max(min(sequences // 5, FEW_POSITIONS // length), FEW_SEQUENCES)
        lr = self.lr or STUDENT_LR * stretch(min(batch_size, sequences))
        return replace(self, batch_size=batch_size, lr=lr)

    def check(self, num_sequences: int, vocab_size: int) -> None:
        """Refuse a part of the vocabulary that cannot be dealt out.

        Args:
            num_sequences: of the summary.
            vocab_size: number of events in the vocabulary.

        Raises:
            InputError: ``sampled_events`` is too small or too large.
        """
        batch = min(self.batch_size, num_sequences)
        if 0 < self.sampled_events < batch:
            raise InputError(
                f"sampled_events is {self.sampled_events}; it must be at least {batch}, one for each sequence of a "
                "step, or 0 for all events"
            )
        if self.sampled_events // batch * num_sequences > vocab_size:
            raise InputError(
                f"sampled_events is {self.sampled_events}, but {num_sequences} sequences share {vocab_size} events, "
                f"{batch} sequences a step; give at most {vocab_size // num_sequences * batch}, or 0 for all events"
            )

    def student_lr(self, lr: float) -> float:
        """Inner runs' own, if Adam takes their steps; of another optimiser's it tells nothing.

        Args:
            lr: of the inner runs.

        Returns:
            the learning rate of students.
        """
        return lr if isinstance(self.inner, Adam) else STUDENT_LR * stretch(self.batch_size)

    def gradient(
        self, problem: Problem, factors: Factors, lr: float, carry: Tensors, generator: torch.Generator
    ) -> OuterGradient:
        """Take one inner run a stride further and differentiate the window at its end.

        Args:
            problem: model, real data and snapshots.
            factors: the summary so far.
            lr: inner learning rate.
            carry: the inner runs so far; empty at first.
            generator: source of all randomness.

        Returns:
            the real loss at the end of the window, its gradient, and the inner runs.

        Raises:
            InputError: there are too few events to be dealt out, or inner steps cannot be compiled.
        """
        self = self.suited(factors.num_sequences, factors.length)
        shown = self._show(factors, generator)
        model, count = problem.model, factors.num_sequences

        def schedule(steps: int) -> Tensor:
            return draw_schedule(count, min(self.batch_size, count), steps, generator).to(factors.decoder.device)

        start, layout = self._begin(problem, generator)
        run = InnerRun(
            loss=InnerLoss(model, factors.temperature),
            layout=layout,
            optimizer=self.inner,
            replay=self.replay,
            execution=self.execution,
        )
        turn = int(carry["turn"]) if carry else 0
        slot = turn % self.runs
        carry = carry | {"turn": torch.tensor(turn + 1)}
        real = self._real_batch(problem, generator)
        try:
            if not turn:  # one training, left behind at one stage after another, is where the runs come from
                state, apart = start, (self.steps - self.stride) // self.runs
                for number in range(self.runs):
                    if number:
                        state = run.run(state, shown.examples, schedule(apart), lr, shared=shown.shared)
                    carry |= _store(number, state)
            state = _restore(carry, slot, start.weights.device)
            if state is None or state.count + self.stride > self.steps:
                state = start
            if self.stride > self.window:
                ahead = schedule(self.stride - self.window)
                state = run.run(state, shown.examples, ahead, lr, shared=shown.shared)
            meta = run.differentiate(
                lambda parameters: sequence_loss(model, parameters, real),
                state,
                shown.examples,
                schedule(self.window),
                lr,
                shared=shown.shared,
            )
        except CompileError as error:
            raise InputError(f"inner steps cannot be executed as {self.execution}: {error}") from error
        except NonFiniteError as error:
            logger.info("%s; the inner run begins anew", error)
            nothing = {name: torch.zeros_like(part) for name, part in factors.tensors().items()}
            return OuterGradient(value=math.nan, factors=nothing, log_lr=0.0, carry=carry | _store(slot, start))
        return OuterGradient(
            value=meta.value,
            factors=shown.pull(meta),
            log_lr=float(meta.lr) * lr,
            carry=carry | _store(slot, meta.final),
        )

    def _show(self, factors: Factors, generator: torch.Generator) -> Examples:
        """The summary as the inner steps of this window see it."""
        count, vocab_size = factors.num_sequences, factors.vocab_size
        self.check(count, vocab_size)
        if self.sampled_events:
            each = self.sampled_events // min(self.batch_size, count)
            dealt = torch.randperm(vocab_size, generator=generator)[: count * each].view(count, each)
            return InFactors.of(factors, dealt.to(factors.decoder.device))
        return InFactors.of(factors) if factors.decoded_bytes > MOST_DECODED_BYTES else Decoded(factors)

    def _real_batch(self, problem: Problem, generator: torch.Generator) -> Batch:
        """Real windows, their targets mixed with what the teachers expect."""
        batch_size = max(self.real_positions // problem.real.length, 1)
        real = next(problem.real.batches(batch_size, generator))
        if not self.teacher_share or not problem.teachers:
            return real
        mixed = expectations(real.inputs, problem.teachers).mul_(self.teacher_share)
        event = torch.full_like(mixed[..., :1], 1 - self.teacher_share)
        return Batch(real.inputs, mixed.scatter_add_(-1, real.targets.clamp_min(0)[..., None], event))

    def _begin(self, problem: Problem, generator: torch.Generator) -> tuple[State, Layout]:
        """A run's first state: fresh parameters, or a snapshot's."""
        from_snapshot = float(torch.rand((), generator=generator)) < self.snapshot_share
        seed = int(torch.randint(2**31, (), generator=generator))
        if from_snapshot and problem.snapshots:
            parameters = problem.snapshots[seed % len(problem.snapshots)]
        else:
            parameters = problem.model.init(problem.real.vocab_size, seed)
        layout = Layout.of(parameters)
        return self.inner.init(layout.flatten(parameters).to(problem.real.device)), layout


def _store(slot: int, state: State) -> Tensors:
    """An inner run's state as named tensors, which rest on the CPU until it is the run's turn again."""
    moments = {f"{slot}.moments.{name}": part.to(CPU) for name, part in state.moments.items()}
    return {f"{slot}.count": torch.tensor(state.count), f"{slot}.weights": state.weights.to(CPU)} | moments


def _restore(carry: Tensors, slot: int, device: torch.device) -> State | None:
    if f"{slot}.count" not in carry:
        return None
    prefix = f"{slot}.moments."
    moments = {name.removeprefix(prefix): part.to(device) for name, part in carry.items() if name.startswith(prefix)}
    return State(int(carry[f"{slot}.count"]), carry[f"{slot}.weights"].to(device), moments)
