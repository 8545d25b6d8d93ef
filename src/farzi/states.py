"""Files of a computation that is under way: everything that it takes to go on."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from farzi.devices import CPU
from farzi.files import atomic_write

_DIGEST_BYTES = 32


def write_state(path: Path, content: dict[str, Any]) -> None:
    """Write a state, whole or not at all.

    Args:
        path: of the file.
        content: numbers, and tensors of any device, in dictionaries and lists.

    Raises:
        InputError: the file cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(_on_cpu(content), buffer)
    with atomic_write(path) as file, buffer.getbuffer() as saved:
        file.write(saved)
        file.write(hashlib.sha256(saved).digest())


def read_state(path: Path) -> dict[str, Any]:
    """Read a state.

    Args:
        path: of a file that :func:`write_state` wrote; whatever else is in it raises some exception.

    Returns:
        what was written, with its tensors on the CPU.

    Raises:
        ValueError: its checksum does not fit; torch would read changed bytes as if they were right.
    """
    with path.open("rb") as file:
        saved = file.read(max(path.stat().st_size - _DIGEST_BYTES, 0))
        digest = file.read()
    if hashlib.sha256(saved).digest() != digest:
        raise ValueError("it is damaged: its checksum does not fit")
    return torch.load(io.BytesIO(saved), weights_only=True)


def _on_cpu(content: Any) -> Any:
    """The same dictionaries and lists, with their tensors on the CPU."""
    if isinstance(content, torch.Tensor):
        return content.to(CPU)
    if isinstance(content, dict):
        return {name: _on_cpu(part) for name, part in content.items()}
    return [_on_cpu(part) for part in content] if isinstance(content, list) else content
