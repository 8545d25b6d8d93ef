"""The outer loop's state, and a run folder that keeps it."""

import math
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from farzi.devices import CPU
from farzi.distill.ranks import ALONE, Ranks
from farzi.errors import InputError
from farzi.reading import in_a_line
from farzi.states import read_state, write_state
from farzi.summary import Factors

_NUMBERS = (
    "step", "seconds", "skipped", "skipped_in_row", "loss", "score", "best_score", "best_step",
    "best_log_lr", "best_fit_steps", "judge_seconds",
)  # fmt: skip


class OuterState:
    """Everything the outer loop carries from step to step, beside its optimiser.

    Args:
        start: factors to begin with; not changed.
        lr: inner learning rate to begin with.
        seconds: that were spent before.
    """

    def __init__(self, start: Factors, lr: float, seconds: float = 0.0) -> None:
        self.tensors = {name: part.detach().clone() for name, part in start.tensors().items()}
        self.average = {name: part.clone() for name, part in self.tensors.items()}
        self.best = {name: part.clone() for name, part in self.tensors.items()}
        self.log_lr = torch.tensor(math.log(lr))
        self.carry: dict[str, torch.Tensor] = {}
        self.step = self.best_step = self.best_fit_steps = self.skipped = self.skipped_in_row = 0
        self.seconds, self.loss, self.judge_seconds = seconds, 0.0, 0.0
        self.score = self.best_score = -math.inf
        self.best_log_lr = math.log(lr)
        self.gradient_norm = 0.0  # told, and not kept

    @property
    def lr(self) -> float:
        """The inner learning rate."""
        return math.exp(float(self.log_lr))

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers, ready to be written once they are on the CPU."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        groups = {"tensors": self.tensors, "average": self.average, "best": self.best, "carry": self.carry}
        return {**numbers, **groups, "log_lr": self.log_lr}

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave; tensors are filled in place, as an optimiser holds on to them."""
        for name in _NUMBERS:
            setattr(self, name, content[name])
        for group in ("tensors", "average", "best"):
            for name, part in getattr(self, group).items():
                part.copy_(content[group][name])
        self.log_lr.copy_(content["log_lr"])
        self.carry = content["carry"]


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Where the outer loop's state is kept.

    Args:
        path: of the file; None keeps nothing.
        resume: whether to go on from the file, if it is there.
    """

    path: Path | None = None
    resume: bool = False

    def keep(self, state: OuterState, optimizer: torch.optim.Optimizer, ranks: Ranks = ALONE) -> None:
        """Write the state, whole or not at all; collective, and rank 0 writes what each rank carries.

        Args:
            state: of the outer loop.
            optimizer: of the outer loop.
            ranks: all that have the state in common.

        Raises:
            InputError: the file cannot be written.
        """
        if self.path is None:
            return
        carries = ranks.gather({name: part.to(CPU) for name, part in state.carry.items()})
        if ranks.index > 0:
            return
        parts: dict[str, Any] = {"state": state.state_dict(), "optimizer": optimizer.state_dict()}
        if others := carries[1:]:
            parts["others"] = others
        write_state(self.path, parts)

    def are_there(self, ranks: Ranks = ALONE) -> bool:
        """Tell whether there is something to go on from, and that is wanted; collective, and rank 0 looks.

        Args:
            ranks: all that go on together.
        """
        return ranks.broadcast(self.resume and self.path is not None and self.path.is_file())

    def restore(self, state: OuterState, optimizer: torch.optim.Optimizer, ranks: Ranks = ALONE) -> bool:
        """Go on from the file, if that is wanted and it is there; collective, and rank 0 reads it.

        Args:
            state: filled in.
            optimizer: filled in.
            ranks: all that have the state in common.

        Returns:
            whether there was something to go on from.

        Raises:
            InputError: the file is damaged or belongs to factors of another shape.
        """
        if self.path is None or not self.are_there(ranks):
            return False
        content = ranks.scatter(_read(self.path, ranks.count) if ranks.index == 0 else [])
        with _resuming_from(self.path):
            state.load_state_dict(content["state"])
            optimizer.load_state_dict(content["optimizer"])
        return True


def _read(path: Path, num_ranks: int) -> list[dict[str, Any]]:
    """A checkpoint as each rank needs it, with what that rank carried."""
    with _resuming_from(path):
        content = read_state(path)
        state, optimizer = content["state"], content["optimizer"]
        carries = [state["carry"], *content.get("others", [])]
        if len(carries) != num_ranks:
            raise ValueError(f"it is of {len(carries)} processes, not of {num_ranks}")
        return [{"state": state | {"carry": carry}, "optimizer": optimizer} for carry in carries]


@contextmanager
def _resuming_from(path: Path) -> Generator[None]:
    try:
        yield
    except Exception as error:  # what is whole but not a state of this run fails in any way
        raise InputError(f"{path} cannot be resumed from ({in_a_line(error)}); start again in a new folder") from error


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Hold a run folder for one process; the lock ends with the process, however that ends.

    The file ``.lock`` stays behind and holds nothing by itself.

    Args:
        folder: made where it is missing.

    Yields:
        nothing.

    Raises:
        InputError: another process holds it, or it cannot be written.
    """
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a+")  # the holder's number stays in it
    except OSError as error:
        raise InputError(f"{folder} cannot be used as a run folder: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = f"process {file.read().strip()}"
            raise InputError(
                f"{folder} is in use by another run, {holder}; wait for it or choose another folder"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
