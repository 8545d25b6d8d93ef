"""What an objective is: a gradient for the outer loop to follow."""

from typing import NamedTuple, Protocol, Self

import torch

from farzi.distill.ranks import Ranks
from farzi.metagrad import Tensors
from farzi.models import Parameters, SequenceModel
from farzi.summary import Factors, Teacher
from farzi.training import RealSequences


class Problem(NamedTuple):
    """What a summary is learned for.

    Args:
        model: trained on the summary.
        real: the full training data.
        teachers: models trained on the full data; may be none.
        snapshots: parameters along their trajectories, starts of inner runs beside fresh ones; may be none.
    """

    model: SequenceModel
    real: RealSequences
    teachers: tuple[Teacher, ...] = ()
    snapshots: tuple[Parameters, ...] = ()


class OuterGradient(NamedTuple):
    """What an objective gives for one outer step.

    Args:
        value: of the objective.
        factors: gradient by the factors' tensors.
        log_lr: derivative by the logarithm of the inner learning rate.
        carry: what the objective wants to be handed at the next outer step, on the CPU; it is kept in checkpoints.
    """

    value: float
    factors: Tensors
    log_lr: float
    carry: Tensors

    def mean(self, ranks: Ranks) -> "OuterGradient":
        """The mean over ranks, each of which has a gradient; collective.

        Args:
            ranks: all of them.

        Returns:
            value and gradient are the same on all ranks, and not finite if those of one of them are not; ``carry`` is
            this rank's own.

        Raises:
            InputError: another rank has ended.
        """
        numbers = torch.tensor([self.value, self.log_lr], dtype=torch.float64)
        mean = ranks.mean({**self.factors, "numbers": numbers})
        value, log_lr = mean["numbers"].tolist()
        return OuterGradient(value, {name: mean[name] for name in self.factors}, log_lr, self.carry)


class Objective(Protocol):
    """A measure of a summary's worth with its gradient."""

    @property
    def lr(self) -> float:
        """Inner learning rate to begin with."""
        ...

    @property
    def batch_size(self) -> int:
        """Synthetic sequences an inner step."""
        ...

    def suited(self, sequences: int, length: int) -> Self:
        """The same, with all that hangs on a summary's size chosen where it was left open; asked before all else."""
        ...

    def check(self, num_sequences: int, vocab_size: int) -> None:
        """Refuse, by an ``InputError``, a size of summary that it cannot serve; asked before anything is trained."""
        ...

    def student_lr(self, lr: float) -> float:
        """What Adam is to train students with, where inner runs have this learning rate."""
        ...

    def gradient(
        self, problem: Problem, factors: Factors, lr: float, carry: Tensors, generator: torch.Generator
    ) -> OuterGradient:
        """Estimate value and gradient once; all chance comes from the generator, ``carry`` is empty at first."""
        ...
