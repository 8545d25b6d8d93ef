"""Processes that work on one distillation together, as torchrun starts them."""

import os
import signal
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from farzi.errors import InputError
from farzi.metagrad import Tensors

T = TypeVar("T")

_PATIENCE = timedelta(days=30)  # one rank may train a teacher while the others wait


@dataclass(frozen=True)
class Ranks:
    """All processes of a distillation, as this one of them sees it.

    What is called collective has to be called by all of them, in the same order. A process by itself gets back what it
    gave.

    Args:
        index: of this process, its rank; 0 leads and is the only one to write.
        count: how many there are.
    """

    index: int = 0
    count: int = 1

    def seed(self, seed: int) -> int:
        """A seed of this rank's own; that of rank 0 is the given one.

        Args:
            seed: that all have in common.

        Returns:
            a seed from 0 to 2^63 - 1, whose last 32 bits, the only ones that a generator minds, differ by rank.
        """
        return (seed + self.index * 2_654_435_761) % 2**63

    def deal(self, numbers: Iterable[int]) -> list[int]:
        """This rank's share of some numbers: each belongs to the rank that it leaves as a remainder.

        Args:
            numbers: such as seeds.

        Returns:
            those of them that are this rank's.
        """
        return [number for number in numbers if number % self.count == self.index]

    def share(self, results: dict[int, T]) -> dict[int, T]:
        """The results of numbers that were dealt, on all ranks; collective.

        Args:
            results: of this rank's numbers, can be pickled.

        Returns:
            the results of all numbers, in their order.

        Raises:
            InputError: another rank has ended.
        """
        everything = dict[int, T]()
        for source in range(self.count):
            everything |= self.broadcast(results, source)
        return dict(sorted(everything.items()))

    def mean(self, tensors: Tensors) -> Tensors:
        """The mean over the ranks; collective.

        Args:
            tensors: of the same names and shapes on each rank.

        Returns:
            the same on all ranks.

        Raises:
            InputError: another rank has ended.
        """
        if self.count == 1:
            return tensors
        total = {name: part.clone() for name, part in tensors.items()}
        with self._together():
            for part in total.values():
                dist.all_reduce(part)
        return {name: part / self.count for name, part in total.items()}

    def all_gather(self, value: T) -> list[T]:
        """The values of all ranks, on all ranks; collective.

        Args:
            value: small, and can be pickled.

        Returns:
            one of each rank.

        Raises:
            InputError: another rank has ended.
        """
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        with self._together():
            dist.all_gather_object(values, value)
        return values

    def broadcast(self, value: T, source: int = 0) -> T:
        """The value of one rank, on all ranks; collective.

        Args:
            value: can be pickled; that of other ranks does not matter.
            source: whose value it is.

        Returns:
            the value.

        Raises:
            InputError: another rank has ended.
        """
        values = [value]
        if self.count > 1:
            with self._together():
                dist.broadcast_object_list(values, src=source)
        return values[0]

    def gather(self, value: T) -> list[T]:
        """The values of all ranks, on rank 0 alone; collective.

        Args:
            value: can be pickled.

        Returns:
            one of each rank; nothing on other ranks.

        Raises:
            InputError: another rank has ended.
        """
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count if self.index == 0 else []
        with self._together():
            dist.gather_object(value, values or None)
        return values

    def scatter(self, values: Sequence[T]) -> T:
        """A value of its own for each rank, from rank 0; collective.

        Args:
            values: one for each rank; those of other ranks do not matter.

        Returns:
            this rank's.

        Raises:
            InputError: another rank has ended.
        """
        if self.count == 1:
            return values[0]
        own: list[Any] = [None]
        with self._together():
            dist.scatter_object_list(own, list(values) if self.index == 0 else None)
        return own[0]

    @contextmanager
    def _together(self) -> Generator[None]:
        try:
            yield
        except RuntimeError as error:
            raise InputError(
                f"another of the {self.count} processes has ended, and this one cannot go on without it; "
                "go on from the last checkpoint with the same command and --resume"
            ) from error


ALONE = Ranks()
"""A process that works by itself."""


def launched() -> Ranks:
    """What torchrun, or whatever else sets the same variables, says of this process; not joined with others yet."""
    told = os.environ
    return Ranks(int(told["RANK"]), int(told["WORLD_SIZE"])) if int(told.get("WORLD_SIZE", 1)) > 1 else ALONE


def own_device(name: str) -> str:
    """The device of this process, where each has one of its own.

    Args:
        name: as torch calls it.

    Returns:
        ``cuda`` with the number that this process has on its machine; other names as they are.
    """
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if name == "cuda" and launched().count > 1 else name


@contextmanager
def joined(device: torch.device) -> Generator[Ranks]:
    """Join the processes that were launched together, for as long as a block runs.

    None goes on before all have come to the end of the block, so that nothing that happens to one of them afterwards
    ends another that is still writing.

    They talk by gloo, and by nccl where tensors are on GPUs. A process that is told to end (``SIGTERM``), as torchrun
    tells those that are left when one has ended, does so as if it was interrupted. What the program has joined already
    stays as it is.

    Args:
        device: of this process.

    Yields:
        the ranks; a process by itself without others.
    """
    if dist.is_available() and dist.is_initialized():
        yield Ranks(dist.get_rank(), dist.get_world_size())
        return
    if launched() == ALONE:
        yield ALONE
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        with _interrupted_by_termination():
            ranks = Ranks(dist.get_rank(), dist.get_world_size())
            yield ranks
            ranks.all_gather(None)
    finally:
        dist.destroy_process_group()


@contextmanager
def _interrupted_by_termination() -> Generator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: Any) -> None:
        raise KeyboardInterrupt("told to end, perhaps as another of the processes has ended")

    usual = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)
