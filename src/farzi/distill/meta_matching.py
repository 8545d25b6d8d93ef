"""Meta-matching: the gradient of the real loss through training on the summary."""

import logging
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from farzi.distill.objective import OuterGradient, Problem
from farzi.metagrad import Adam, InnerRun, Layout, NonFiniteError, Optimizer, Replay, State, StoreAll, Tensors
from farzi.models import Batch, sequence_loss
from farzi.summary import Factors, expectations
from farzi.training import draw_schedule

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MetaMatching:
    """Train on the summary, measure the loss on real data, differentiate through the training.

    The objective of Farzi Data (Sachdeva et al., 2023, arXiv 2310.09983), with inner runs that last over many outer
    steps: each outer step takes one of them ``window`` steps further and differentiates these, exactly. The window thus
    comes at every stage of training, as in RaT-BPTT (arXiv 2311.07025), without its burn-in; what a run has learned
    from the summary of some outer steps ago is taken for what it would learn from the present one. A run that has taken
    ``steps`` begins anew.

    Args:
        inner: the inner optimiser.
        lr: its learning rate to begin with; the outer loop learns it.
        replay: how the window's states are kept.
        window: inner steps that are differentiated at each outer step.
        steps: inner steps after which a run begins anew.
        runs: inner runs at different stages, taken in turn.
        batch_size: synthetic sequences an inner step.
        real_batch_size: real windows that measure the outer loss.
        teacher_share: share of the teachers' mean expectations in the real targets, the rest being the real events: a
            distribution tells more of what could have come next than the one event that did.
        snapshot_share: share of runs that begin at a teacher's snapshot instead of fresh parameters.

    Raises:
        ValueError: a value is outside its range.
    """

    inner: Optimizer = field(default_factory=Adam)
    lr: float = 1e-2
    replay: Replay = field(default_factory=StoreAll)
    window: int = 20
    steps: int = 500
    runs: int = 8
    batch_size: int = 25
    real_batch_size: int = 128
    teacher_share: float = 0.7
    snapshot_share: float = 0.0

    def __post_init__(self) -> None:
        for name in ("window", "runs", "batch_size", "real_batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.steps < self.window:
            raise ValueError(f"steps is {self.steps}; it must be at least window = {self.window}")
        if not self.lr > 0:
            raise ValueError(f"lr is {self.lr}; it must be positive")
        for name in ("teacher_share", "snapshot_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be between 0 and 1")

    def gradient(
        self, problem: Problem, factors: Factors, lr: float, carry: Tensors, generator: torch.Generator
    ) -> OuterGradient:
        """Differentiate the next window of one inner run.

        Args:
            problem: model, real data and snapshots.
            factors: the summary so far.
            lr: inner learning rate.
            carry: the inner runs so far; empty at first.
            generator: source of all randomness.

        Returns:
            the real loss at the end of the window, its gradient, and the inner runs.
        """
        tensors = {name: part.detach().requires_grad_() for name, part in factors.tensors().items()}
        decoded = factors.with_tensors(tensors).decode()._asdict()
        examples = {name: part.detach() for name, part in decoded.items()}
        model, count = problem.model, factors.num_sequences

        def schedule(steps: int) -> Tensor:
            return draw_schedule(count, min(self.batch_size, count), steps, generator).to(factors.decoder.device)

        start, layout = self._begin(problem, generator)
        run = InnerRun(
            loss=lambda parameters, batch: sequence_loss(model, parameters, Batch(**batch)),
            layout=layout,
            optimizer=self.inner,
            replay=self.replay,
        )
        turn = int(carry["turn"]) if carry else 0
        slot = turn % self.runs
        carry = carry | {"turn": torch.tensor(turn + 1)}
        real = self._real_batch(problem, generator)
        try:
            state = _restore(carry, slot)
            if state is None:  # the first run of its turn begins at a random stage, so that the runs are spread
                stage = int(torch.randint(self.steps - self.window + 1, (), generator=generator))
                state = run.run(start, examples, schedule(stage), lr)
            elif state.count + self.window > self.steps:
                state = start
            meta = run.differentiate(
                lambda parameters: sequence_loss(model, parameters, real), state, examples, schedule(self.window), lr
            )
        except NonFiniteError as error:
            logger.info("%s; the inner run begins anew", error)
            nothing = {name: torch.zeros_like(part) for name, part in tensors.items()}
            return OuterGradient(value=math.nan, factors=nothing, log_lr=0.0, carry=carry | _store(slot, start))
        grads = torch.autograd.grad(
            list(decoded.values()), list(tensors.values()), [meta.examples[name] for name in decoded]
        )
        return OuterGradient(
            value=meta.value,
            factors=dict(zip(tensors, grads, strict=True)),
            log_lr=float(meta.lr) * lr,
            carry=carry | _store(slot, meta.final),
        )

    def _real_batch(self, problem: Problem, generator: torch.Generator) -> Batch:
        """Real windows, their targets mixed with what the teachers expect."""
        real = next(problem.real.batches(self.real_batch_size, generator))
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
    """An inner run's state as named tensors."""
    moments = {f"{slot}.moments.{name}": part for name, part in state.moments.items()}
    return {f"{slot}.count": torch.tensor(state.count), f"{slot}.weights": state.weights} | moments


def _restore(carry: Tensors, slot: int) -> State | None:
    if f"{slot}.count" not in carry:
        return None
    prefix = f"{slot}.moments."
    moments = {name.removeprefix(prefix): part for name, part in carry.items() if name.startswith(prefix)}
    return State(int(carry[f"{slot}.count"]), carry[f"{slot}.weights"], moments)
