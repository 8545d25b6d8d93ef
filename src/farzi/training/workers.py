"""Trainings that do not depend on each other, side by side on the cores of one machine."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch

from farzi.errors import InputError
from farzi.training.process import prepare_process

T = TypeVar("T")


class Workers(AbstractContextManager["Workers"]):
    """Processes that train models, with one thread each: small models gain more from that than from more threads.

    A script that asks for several has to be guarded by ``if __name__ == "__main__"``, as they import it again.

    Args:
        count: how many; 1 does the work in this process, with all its threads.
        apart: whether even one is a process of its own, with as many threads as this one.

    Raises:
        InputError: the count is not positive.
    """

    def __init__(self, count: int = 1, *, apart: bool = False) -> None:
        if count < 1:
            raise InputError(f"workers is {count}; it must be at least 1")
        self.count = count
        self._pool: ProcessPoolExecutor | None = None
        self._others = set(multiprocessing.active_children())
        if count > 1 or apart:
            context, threads = multiprocessing.get_context("spawn"), 1 if count > 1 else torch.get_num_threads()
            self._pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(threads,))

    def __exit__(self, *_: Any) -> None:
        """End the processes, in the middle of their work after an error."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - self._others:
                child.terminate()

    def map(self, function: Callable[..., T], *arguments: Iterable[Any]) -> Iterator[T]:
        """Call a function with each set of arguments.

        Args:
            function: at the top level of a module, or a method of something that can be pickled.
            arguments: as for :func:`map`, which can be pickled.

        Yields:
            results, in the order of the arguments.

        Raises:
            InputError: a process was killed from outside.
        """
        if self._pool is None:
            yield from map(function, *arguments)
            return
        try:
            yield from self._pool.map(function, *arguments)
        except BrokenProcessPool as error:
            raise InputError(
                "a worker process was killed, perhaps because memory ran out; try fewer workers, or a smaller model"
            ) from error


def _begin(threads: int) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and ends its workers
    torch.set_num_threads(threads)
    prepare_process()


def _end_with_parent() -> None:
    """A parent that is killed cannot end its workers, and they would wait for work for ever."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
