"""Work handed to other processes: results in order, one thread each, and a clear word when one is killed."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from farzi.errors import InputError
from farzi.training import Workers


def thread_count(number: int) -> tuple[int, int, int]:
    return number, torch.get_num_threads(), os.getpid()


def kill_itself(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_results_come_in_order_from_processes_of_one_thread():
    with Workers(2) as workers:
        numbers, threads, processes = zip(*workers.map(thread_count, range(5)), strict=True)
    assert numbers == (0, 1, 2, 3, 4)
    assert set(threads) == {1}
    assert os.getpid() not in processes


def tiny(_: int) -> float:
    return float(torch.full((), 1e-38) * 0.01)


def test_numbers_too_small_for_a_normal_exponent_are_zero_in_worker_processes():
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot do without them")
    assert tiny(0) > 0
    with Workers(2) as workers:
        assert list(workers.map(tiny, range(2))) == [0.0, 0.0]


def test_one_worker_is_this_process():
    with Workers(1) as workers:
        assert [result[2] for result in workers.map(thread_count, range(3))] == [os.getpid()] * 3


def test_a_worker_that_is_killed_is_told_of():
    with Workers(2) as workers, pytest.raises(InputError, match=r"worker process was killed.*fewer workers"):
        list(workers.map(kill_itself, range(2)))


def test_an_error_ends_the_processes():
    def work() -> None:
        with Workers(2) as workers:
            next(workers.map(time.sleep, [0, 120]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    deadline = time.monotonic() + 30  # the second one would sleep for longer
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not multiprocessing.active_children()


def test_there_is_at_least_one_worker():
    with pytest.raises(InputError, match="workers is 0"):
        Workers(0)


PARENT = """
import multiprocessing, time
from farzi.training import Workers
if __name__ == "__main__":
    with Workers(2) as workers:
        next(workers.map(time.sleep, [0, 0]))
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        next(workers.map(time.sleep, [600, 600]))
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    children = [int(number) for number in parent.stdout.readline().split()]
    assert len(children) == 2
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 60
    while any(is_alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_alive(child) for child in children)


def is_alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
