"""What a run folder is for: the settings that decide its summary."""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from farzi.errors import InputError
from farzi.files import write_json


def describe_choice(value: Any) -> Any:
    """A design choice as JSON can hold it: its class and its fields.

    Args:
        value: a dataclass, or anything else.

    Returns:
        class and fields, those of fields in their turn; anything else as it is.
    """
    if is_dataclass(value) and not isinstance(value, type):
        chosen = {field.name: describe_choice(getattr(value, field.name)) for field in fields(value) if field.init}
        return {"class": type(value).__name__} | chosen
    return value


def claim(folder: Path, settings: dict[str, Any], resume: bool) -> None:
    """Write down what a run folder is for, or see that it is for the same.

    Args:
        folder: of the run, held by this process.
        settings: everything that decides the summary, as JSON holds it.
        resume: whether a run that is there may go on.

    Raises:
        InputError: it holds a run that is not to be resumed, or one with other settings.
    """
    path = folder / "settings.json"
    if not path.exists():
        write_json(path, settings)
        return
    if not resume:
        raise InputError(f"{folder} holds a run already; go on with --resume or choose another folder")
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}); start again in a new folder") from error
    different = sorted(name for name in settings.keys() | found.keys() if settings.get(name) != found.get(name))
    if different:
        raise InputError(
            f"{folder} holds a run with another {' and '.join(different)}; resume with the settings it was begun with, "
            f"which are in {path}, or choose another folder"
        )
