"""Files that are written whole or not at all."""

import json
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from farzi.errors import InputError


@contextmanager
def atomic_write(path: str | Path) -> Generator[IO[bytes]]:
    """Open a temporary binary file beside ``path`` that replaces it once the block ends without an error.

    Args:
        path: the file to write; its folder is made where it is missing.

    Yields:
        a binary file, writable.

    Raises:
        InputError: the folder or the file cannot be written (read-only, full disk, a file where a folder should be).
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}; free space or choose another path"
        ) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def check_writable(path: str | Path) -> None:
    """Find out before long work, as far as that can be known, that a file could not be written.

    Args:
        path: of the file.

    Raises:
        InputError: it is a folder, or lies in none that can be written to.
    """
    path = Path(path)
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the path of a file")
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        reason = "is read-only" if folder.is_dir() else "is a file"
        raise InputError(f"{path} cannot be written, as {folder} {reason}; choose another path")


def write_json(path: str | Path, content: Any) -> None:
    """Write readable JSON, whole or not at all.

    Args:
        path: of the file.
        content: what JSON can hold.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_write(path) as file:
        file.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the platform can."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
