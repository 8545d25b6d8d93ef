"""The memory of this machine, and what this process has of it, in megabytes (2**20 bytes)."""

import re
import resource
import sys
from pathlib import Path

import psutil

_STATUS, _CGROUP, _CGROUPS = Path("/proc/self/status"), Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def peak_mb() -> float:
    """The most memory that this process has had in use."""
    if _STATUS.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())):
        return int(found[1]) / 2**10  # what getrusage tells on Linux may be the peak of a parent
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def held_mb() -> float:
    """The memory that this process has in use now."""
    return psutil.Process().memory_info().rss / 2**20


def free_mb() -> float:
    """The memory that processes here may still take: of the machine, and of a container that they are kept in."""
    return min([psutil.virtual_memory().available, *_free_in_cgroups()]) / 2**20


def _free_in_cgroups() -> list[float]:
    """What limits of Linux control groups (version 2) leave, in bytes; a cache of files makes room when it has to."""
    groups = _CGROUP.read_text().splitlines() if _CGROUP.exists() else []
    own = next((_CGROUPS / line.removeprefix("0::/") for line in groups if line.startswith("0::/")), _CGROUPS)
    free = list[float]()
    for folder in (own, *own.parents):
        try:
            limit, used = (int((folder / name).read_text()) for name in ("memory.max", "memory.current"))
            found = re.search(r"^inactive_file (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
        except (OSError, ValueError):  # no such group, or its limit is the word "max"
            continue
        free.append(limit - used + (int(found[1]) if found else 0))
    return free
