"""A run that is stopped, however that happens, goes on to the bytes of one that was left alone."""

import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from small_run import QUICK, run_as_process

STEPS, EVERY = 60, 4
LONGER = [*QUICK, "--steps", str(STEPS), "--loop.evaluate_every", "15", "--loop.checkpoint_every", str(EVERY)]
INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from farzi.cli import main
sys.exit(main())
"""
"""The command line; a shell may have had its children ignore interruptions."""

SOON = 300.0
"""Seconds after which something is wrong, however busy the machine is."""


@pytest.fixture(scope="module")
def undisturbed(films, tmp_path_factory) -> bytes:
    """The summary of a run that was left alone."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = run_as_process(words(films, folder / "run"), env=environment(folder))
    assert done.returncode == 0, done.stderr
    return (folder / "run" / "summary.safetensors").read_bytes()


def words(films: Path, run: Path, *more: str) -> list[str | Path]:
    return ["distill", films, "-o", run, *LONGER, *more]


def environment(folder: Path) -> dict[str, str]:
    """With a cache of its own, so that teachers are trained in the run and not found."""
    return {**os.environ, "FARZI_CACHE": str(folder / "cache")}


def start(films: Path, folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", INTERRUPTIBLE, *map(str, words(films, folder / "run", *more))]
    return subprocess.Popen(command, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def steps_taken(folder: Path) -> int:
    metrics = folder / "run" / "metrics.jsonl"
    return metrics.read_bytes().count(b"\n") if metrics.exists() else 0


def step_kept(folder: Path) -> int:
    """The step of the checkpoint; its last 32 bytes are the digest of the others."""
    path = folder / "run" / "checkpoint.pt"
    if not path.exists():
        return 0
    content = path.read_bytes()
    assert hashlib.sha256(content[:-32]).digest() == content[-32:]
    return torch.load(io.BytesIO(content[:-32]), weights_only=True)["state"]["step"]


def wait_for(process: subprocess.Popen[str], folder: Path, step: int) -> None:
    """Until a run has taken so many steps; for none, until it has begun."""
    deadline = time.monotonic() + SOON
    while steps_taken(folder) < step or not (folder / "run" / "settings.json").exists():
        assert process.poll() is None, f"the run ended by itself: {process.stderr and process.stderr.read()}"
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(films, undisturbed, tmp_path, kills):
    """Each time at a random moment of the rest; the first time while teachers are trained."""
    chance = random.Random(kills)
    moments = [0, *sorted(chance.sample(range(1, STEPS - 15), kills - 1))]
    for step in moments:
        process = start(films, tmp_path, "--resume")
        wait_for(process, tmp_path, step)
        time.sleep(chance.uniform(0, 0.02))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (tmp_path / "run" / "summary.safetensors").exists()
        assert steps_taken(tmp_path) - step_kept(tmp_path) <= EVERY, "more than an interval is lost"
    done = run_as_process(words(films, tmp_path / "run", "--resume"), env=environment(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "summary.safetensors").read_bytes() == undisturbed
    assert steps_taken(tmp_path) == STEPS


def test_an_interrupted_run_keeps_the_step_at_work_and_says_how_to_go_on(films, undisturbed, tmp_path):
    process = start(films, tmp_path)
    wait_for(process, tmp_path, EVERY + 1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=SOON)
    assert process.returncode == 130, told
    assert "stopping after this outer step; Ctrl-C again stops at once" in " ".join(told.split())
    assert told.splitlines()[-1].startswith(f"farzi: stopped; go on with: farzi distill {films} ")
    assert told.endswith(" --resume\n")
    assert step_kept(tmp_path) == steps_taken(tmp_path) < STEPS
    done = run_as_process(words(films, tmp_path / "run", "--resume"), env=environment(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "summary.safetensors").read_bytes() == undisturbed
