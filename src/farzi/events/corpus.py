"""Text files: reading them, and which part of a text is for training, validation and testing."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from farzi.errors import InputError
from farzi.events.text import clear_errors, find_packed, open_text

SHARES = (0.9, 0.95)
"""Where a text that is not published in parts is cut: 90 % for training, 5 % for validation, 5 % for testing."""

_PARTS = ("train", "valid", "test")


class Parts(NamedTuple):
    """The three parts of a text, with line feeds at the ends of lines."""

    train: str
    valid: str
    test: str


def read_parts(path: Path, files: Sequence[str] = ()) -> Parts:
    """Read a text and cut it into parts.

    A folder with one file each whose name says ``train``, ``valid`` and ``test`` (``ptb.train.txt``, ``test.txt``) is
    cut as they say. Of any other folder all ``.txt`` files are read, in the order of their paths, as one text, which is
    cut by position; so is a file. Files may be compressed with gzip.

    Args:
        path: a file or a folder.
        files: what the files in the folder are called, one or three, where that is known.

    Returns:
        the parts: they follow one another in the text.

    Raises:
        InputError: there is nothing to read, a file is not UTF-8 text, or the text is empty or one repeated word.
    """
    if not path.exists():
        raise InputError(f"{path} is missing; give a text file in UTF-8, or a folder of .txt files")
    if files:
        path = path if path.is_dir() or len(files) == 1 else path.parent
        found = [_named(path, name) for name in files]
    else:
        found = _split_files(path) or _all_files(path)
    texts = [_read(file) for file in found]
    if len(texts) == len(_PARTS) and (files or _split_files(path)):
        for file, text in zip(found, texts, strict=True):
            _check_filled(file, text)
        _check_varied(found[0], texts[0])
        return Parts(*texts)
    text = "".join(texts)
    _check_filled(path, text)
    _check_varied(path, text)
    return _cut(text)


def _named(path: Path, name: str) -> Path:
    found = find_packed(path, name) if path.is_dir() else path
    if found is None:
        raise InputError(f"{path} has no {name} (or {name}.gz); give the folder that has it")
    return found


def _split_files(path: Path) -> list[Path]:
    """The files of a text that is published in parts, or none."""
    if not path.is_dir():
        return []
    found = [[file for file in path.iterdir() if _says(part, file.name)] for part in _PARTS]
    return [files[0] for files in found] if all(len(files) == 1 for files in found) else []


def _says(part: str, name: str) -> bool:
    return re.search(rf"(^|[._-]){part}\.txt(\.gz)?$", name, re.IGNORECASE) is not None


def _all_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(
        file for file in path.rglob("*") if file.is_file() and file.name.lower().endswith((".txt", ".txt.gz"))
    )
    if not found:
        raise InputError(f"{path} has no .txt files; give a text file in UTF-8, or a folder of such files")
    return found


def _read(path: Path) -> str:
    with clear_errors(path), open_text(path) as file:  # which makes \n of every kind of line end
        text = file.read()
    if "\0" in text:
        raise InputError(f"{path} is a binary file; give text in UTF-8")
    return text if not text or text.endswith("\n") else text + "\n"


def _cut(text: str) -> Parts:
    first, second = (int(share * len(text)) for share in SHARES)
    return Parts(text[:first], text[first:second], text[second:])


def _check_filled(path: Path, text: str) -> None:
    if not text.strip():
        raise InputError(f"{path} is empty; give a text to learn from, 50 kB or more")


def _check_varied(path: Path, text: str) -> None:
    """Refuse a text of one repeated word; a text without spaces may well have more than one."""
    words = (found.group() for found in re.finditer(r"\S+", text))
    first = next(words, "")
    second = next(words, None)
    if second == first and all(word == first for word in words):
        raise InputError(f"{path} repeats one word, {first[:40]!r}, so there is nothing to predict; give another text")
