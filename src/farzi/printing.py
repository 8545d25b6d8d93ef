"""What is printed: progress to the standard error stream, results to the standard output."""

import contextlib
import io
import os
import sys
from collections.abc import Generator

from rich.console import Console

from farzi.errors import InputError

NEWS = Console(stderr=True, markup=False, emoji=False)
RESULTS = Console(markup=False, emoji=False)


@contextlib.contextmanager
def printing() -> Generator[None]:
    """Print whatever there is to print, in any encoding, and end where that is not wanted any more.

    Yields:
        nothing.

    Raises:
        InputError: the block or its output met an error of the system, such as a full disk.
        SystemExit: whoever read the output has ended, as ``head`` does.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        raise SystemExit(1) from None
    except OSError as error:
        _drop_output()
        raise InputError(f"{error.filename or 'the output'} cannot be used: {error.strerror or error}") from error


def _drop_output() -> None:
    """Python would try once more to write what is left when it ends."""
    with contextlib.suppress(OSError):  # of a stream that is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
