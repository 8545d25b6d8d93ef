"""The record that every published number has (docs/protocol.md, last section)."""

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from farzi.errors import InputError
from farzi.evaluation import Row

_CHECKOUT = Path(__file__).resolve().parents[3]


def record(rows: Sequence[Row], *, command: str, configuration: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows together with what it takes to get them again.

    Args:
        rows: of a study.
        command: that made them.
        configuration: everything that decided them, as JSON can hold it.

    Returns:
        what a result file holds.
    """
    versions = {"python": platform.python_version()} | {name: version(name) for name in ("farzi", "torch", "numpy")}
    about = {
        "command": command,
        "commit": _commit(),
        "machine": _machine(),
        "versions": versions,
        "configuration": dict(configuration),
    }
    return [{**asdict(row), **about} for row in rows]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A study as its record tells it.

    Args:
        rows: one for each method, ``full`` first.
        command: that made them.
        commit: of farzi.
        machine: where it ran.
        versions: of what it ran with, by name.
    """

    rows: tuple[Row, ...]
    command: str
    commit: str
    machine: str
    versions: Mapping[str, str]


def read_record(path: Path) -> Recorded:
    """Read a study's record.

    Args:
        path: of a file that `farzi evaluate` wrote.

    Returns:
        the study.

    Raises:
        InputError: the file cannot be read, or something in it is missing or of another kind.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        first, rows = content[0], tuple(map(_row, content))
        if not rows[0].metrics or any(row.metrics.keys() != rows[0].metrics.keys() for row in rows):
            raise ValueError("its rows have no metrics, or different ones")
        return Recorded(
            rows=rows,
            command=str(first["command"]),
            commit=str(first["commit"]),
            machine=str(first["machine"]),
            versions={str(name): str(value) for name, value in first["versions"].items()},
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{path} is damaged ({error}); make it again with farzi evaluate") from error


def _row(content: Mapping[str, Any]) -> Row:
    """A row with all that people are shown of it; anything that is not as it should be is an error."""
    method: Any = str(content["method"])
    metrics = {name: {key: float(value[key]) for key in ("mean", "std")} for name, value in content["metrics"].items()}
    return Row(
        dataset=str(content["dataset"]),
        method=method,
        teacher=str(content["teacher"]),
        student=str(content["student"]),
        sequences=int(content["sequences"]),
        length=int(content["length"]),
        targets=str(content["targets"]),
        share_of_events=_finite(content["share_of_events"]),
        bytes=int(content["bytes"]),
        metrics=metrics,
        retention={name: _finite(content["retention"][name]) for name in metrics},
        min_retention=_finite(content["min_retention"]),
        cost={name: None if value is None else _finite(value) for name, value in content["cost"].items()},
    )


def _finite(value: Any) -> float:
    if not math.isfinite(number := float(value)):
        raise ValueError(f"{number} is not finite")
    return number


def _commit() -> str:
    """Of the source tree that farzi runs from, ``-dirty`` if that was changed; else the version."""
    if (_CHECKOUT / ".git").exists():
        command = ["git", "-C", str(_CHECKOUT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        try:
            return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            pass
    return version("farzi")


def _machine() -> str:
    """Processor, cores and memory, as far as the system tells."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [platform.system(), _processor(), f"{os.cpu_count()} cores", f"{memory:.0f} GB"]
    return ", ".join(part for part in parts if part)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
