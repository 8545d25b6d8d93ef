"""Two processes under torchrun: one of them writes and tells, and however they are stopped, they go on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_stopping import EVERY, LONGER, SOON, environment, step_kept, steps_taken, wait_for

from farzi.cli import main

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "farzi"]
RARELY_JUDGED = ["--loop.evaluate_every", "60", "--teachers.count", "2"]


def start(films: Path, folder: Path, *more: str) -> subprocess.Popen[str]:
    words = ["distill", films, "-o", folder / "run", *LONGER, *RARELY_JUDGED, *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*TORCHRUN, *map(str, words)], env=environment(folder), **pipes, text=True)


def process_of(rank: int, folder: Path) -> int:
    """The id of a process, by what torchrun told it."""
    told = {f"RANK={rank}", f"FARZI_CACHE={folder / 'cache'}"}
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if told <= set(path.read_text(errors="replace").split("\0")):
                return int(path.parent.name)
        except OSError:  # it has ended, or is somebody else's
            continue
    raise LookupError(f"there is no rank {rank}")


@pytest.fixture(scope="module")
def undisturbed(films, tmp_path_factory) -> bytes:
    """The summary of two processes that were left alone, and what they tell."""
    folder = tmp_path_factory.mktemp("undisturbed")
    process = start(films, folder)
    out, err = process.communicate(timeout=SOON)
    assert process.returncode == 0, err
    assert out.count("summary.safetensors is written") == out.count("share of the events") == 1
    assert err.count("distillation 100%") == 1
    return (folder / "run" / "summary.safetensors").read_bytes()


def check_it_goes_on(films: Path, folder: Path, undisturbed: bytes) -> None:
    process = start(films, folder, "--resume")
    _, err = process.communicate(timeout=SOON)
    assert process.returncode == 0, err
    assert (folder / "run" / "summary.safetensors").read_bytes() == undisturbed


@pytest.mark.slow
def test_a_run_whose_processes_are_killed_goes_on_to_the_same_bytes(films, undisturbed, tmp_path):
    for step, rank in ((EVERY + 1, 1), (3 * EVERY + 1, 0)):
        process = start(films, tmp_path, "--resume")
        wait_for(process, tmp_path, step)
        os.kill(process_of(rank, tmp_path), signal.SIGKILL)
        _, told = process.communicate(timeout=SOON)
        assert process.returncode != 0
        assert "another of the 2 processes has ended" in told or "told to end, perhaps as another" in told
        assert "--resume" in told
        assert not (tmp_path / "run" / "summary.safetensors").exists()
        assert 0 <= steps_taken(tmp_path) - step_kept(tmp_path) <= EVERY, "more than an interval is lost"
    check_it_goes_on(films, tmp_path, undisturbed)


@pytest.mark.slow
def test_interrupted_processes_keep_the_step_at_work(films, undisturbed, tmp_path):
    process = start(films, tmp_path)
    wait_for(process, tmp_path, EVERY + 1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=SOON)
    assert process.returncode != 0
    assert told.count(f"farzi: stopped; go on with: torchrun ... -m farzi distill {films} ") == 1
    assert "rank 1" not in told
    assert step_kept(tmp_path) == steps_taken(tmp_path)
    check_it_goes_on(films, tmp_path, undisturbed)


def test_only_a_distillation_takes_several_processes(finished, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, who in ((0, "farzi"), (1, "farzi, rank 1")):
        monkeypatch.setenv("RANK", str(rank))
        assert main(["inspect", str(finished / "summary.safetensors")]) == 2
        assert capsys.readouterr().err == f"{who}: inspect works in one process; start it without torchrun\n"
