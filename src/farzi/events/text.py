"""Opening of files, packed or not, and what is said of those that cannot be read."""

import csv
import gzip
import io
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from polars.exceptions import NoDataError, PanicException, PolarsError

from farzi.errors import InputError


def open_bytes(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """Open a file, unpacking it on the way if it is gzip-compressed, whatever its name."""
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if compressed else path.open("rb")


def open_text(path: Path) -> io.TextIOWrapper:
    """Open UTF-8 text, with a byte order mark or without, gzip-compressed or not."""
    return io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig")


def find_packed(folder: Path, name: str) -> Path | None:
    """Return the path of a file that lies in a folder as it is or as ``.gz``, or None."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


@contextmanager
def clear_errors(path: Path) -> Generator[None, None, None]:
    """Turn what a damaged or foreign file raises into the user's error.

    Raises:
        InputError: the block raised what a file that is empty, damaged or of another format leads to.
    """
    try:
        yield
    except NoDataError as error:
        raise InputError(f"{path} is empty") from error
    except (PolarsError, PanicException, UnicodeDecodeError, OSError, EOFError, zlib.error, csv.Error) as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise InputError(f"{path} is damaged or of another format ({reason}); text must be UTF-8") from error
