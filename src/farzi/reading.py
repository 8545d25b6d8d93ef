"""Files that may come from anywhere: what is not exactly what it should be is refused, before it takes memory."""

import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from farzi.errors import InputError

MOST_HEADER_BYTES = 2**26
"""The longest header of a safetensors file that is read, and written: it has room for a million titles with their ids.

Read as objects, JSON can take thirty times its length in memory, so that this bounds what a hostile file takes.
"""

MOST_NESTED = 32
"""How deep JSON may be nested; a summary's card, the deepest that farzi writes, has 6 levels."""


def read_tensors(path: Path, remedy: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read a safetensors file whole.

    Args:
        path: of the file.
        remedy: what the user is told to do where it is none.

    Returns:
        its metadata and its tensors, by name.

    Raises:
        InputError: there is no such file, it is not a regular file, or not exactly a safetensors file.
    """
    if not os.path.isfile(path):  # of a path that cannot even be looked at, Path.is_file raises
        raise InputError(f"{path} is not a file; {remedy}")
    try:
        with path.open("rb") as file:
            length = file.read(8)
            if (size := int.from_bytes(length, "little")) > MOST_HEADER_BYTES:
                raise ValueError(f"its header of {size:,} bytes is longer than {MOST_HEADER_BYTES:,}")
            header = file.read(size)
            if len(length) < 8 or len(header) < size:
                raise ValueError("it ends within its header")
            content = _parse_header(header)
            there = os.fstat(file.fileno()).st_size
            file.seek(0)
            tensors = load(file.read(min(8 + size + _promised(content) + 1, there)))  # one more than should be there
            return content.get("__metadata__") or {}, tensors
    except (SafetensorError, OSError, ValueError, KeyError, MemoryError) as error:
        raise InputError(f"{path} is not a whole safetensors file ({in_a_line(error)}); {remedy}") from error


def parse_json(text: str) -> Any:
    """Parse JSON that means one thing only.

    Args:
        text: the JSON.

    Returns:
        what it stands for.

    Raises:
        ValueError: it is no JSON, repeats a key, holds a number that is not one or half a character, or is nested more
            than :data:`MOST_NESTED` deep.
    """
    try:
        content = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
        _check_nesting(content, MOST_NESTED)
    except RecursionError:
        raise ValueError(f"its JSON is nested more than {MOST_NESTED} deep") from None
    json.dumps(content, ensure_ascii=False).encode()  # an escape may be half of a surrogate pair
    return content


def in_a_line(error: Exception) -> str:
    """What an error says, or what it is, on one line that is not long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]} ..."


def _parse_header(header: bytes) -> dict[str, Any]:
    """Refuse what safetensors would read in its own way; the table of tensors is for it to check."""
    content = parse_json(header.decode())
    if not isinstance(content, dict):
        raise ValueError("its header is no JSON object")
    return content


def _promised(header: dict[str, Any]) -> int:
    """How many bytes of tensors a header tells of, as far as it makes sense."""
    offsets = (entry.get("data_offsets") for entry in header.values() if isinstance(entry, dict))
    ends = (pair[1] for pair in offsets if isinstance(pair, list) and len(pair) == 2)
    return max((end for end in ends if isinstance(end, int) and end > 0), default=0)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"its JSON has {name!r} twice in one object")
        found[name] = value
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"its JSON holds {text}, which is no number")


def _check_nesting(content: Any, left: int) -> None:
    if left < 0:
        raise RecursionError
    for part in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        if isinstance(part, dict | list):
            _check_nesting(part, left - 1)
