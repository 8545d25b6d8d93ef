"""What is told of memory: of this process alone, and what a container leaves of it."""

import math
import subprocess
import sys

import pytest

from farzi import machine

MB = 2**20
PROGRAM = "from farzi.machine import held_mb, peak_mb; {}; print(held_mb(), peak_mb())"


def told_by_a_process(statement: str) -> tuple[float, float]:
    """Memory held and at its peak, of a process that runs a statement."""
    words = [sys.executable, "-c", PROGRAM.format(statement)]
    told = subprocess.run(words, capture_output=True, text=True, check=True)
    held, peak = map(float, told.stdout.split())
    return held, peak


def test_the_peak_is_what_a_process_had_itself_and_not_its_parent():
    held = bytearray(300 * MB)
    held[::4096] = b"1" * len(held[::4096])
    assert machine.held_mb() > 300
    now, peak = told_by_a_process("pass")
    assert now <= peak < now + 100
    del held
    now, peak = told_by_a_process(f"x = b'1' * (200 * {MB}); del x")
    assert peak > now + 150


def test_a_container_leaves_what_its_narrowest_group_does(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path / "fs")
    free = machine.free_mb()
    assert 0 < free < math.inf, "no groups: all that the machine has"
    inner, outer = tmp_path / "fs" / "pod" / "task", tmp_path / "fs" / "pod"
    inner.mkdir(parents=True)
    (tmp_path / "cgroup").write_text("1:cpu:/\n0::/pod/task\n")

    def group(folder, limit, used, cache):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\nfile 9\ninactive_file {cache}\n")

    group(inner, "max", 5 * MB, 0)
    group(outer, 9 * MB, 5 * MB, 2 * MB)
    assert machine.free_mb() == pytest.approx(6)
    group(inner, 7 * MB, 5 * MB, 1 * MB)
    assert machine.free_mb() == pytest.approx(3)
