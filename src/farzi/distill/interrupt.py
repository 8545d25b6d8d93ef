"""Ctrl-C in the outer loop: the step at work is finished, unless it is pressed again."""

import logging
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

logger = logging.getLogger(__name__)


@contextmanager
def held_interrupt() -> Generator[Callable[[], bool]]:
    """Hold back the first interruption for as long as the block runs; a second one comes through at once.

    Where interruptions do not end the program anyway, or in another thread than the main one, nothing is held back.

    Yields:
        what tells whether there was one.
    """
    came = threading.Event()
    usual = signal.getsignal(signal.SIGINT)
    if usual is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return

    def hold(*_: Any) -> None:
        signal.signal(signal.SIGINT, usual)
        came.set()
        logger.warning("stopping after this outer step; Ctrl-C again stops at once")

    signal.signal(signal.SIGINT, hold)
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGINT, usual)
