"""The record that every published number has (docs/protocol.md, last section)."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

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
