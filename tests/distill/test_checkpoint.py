"""What keeps a run: its checkpoint, its lock, and the end of a step before an interruption."""

import hashlib
import random
import signal
import subprocess
import sys
import threading

import pytest
import torch

from farzi.distill import Checkpoints, OuterGradient, OuterLoop, OuterState, Verdict, locked, run_loop
from farzi.distill.interrupt import held_interrupt
from farzi.errors import InputError
from farzi.summary import Factors


def factors() -> Factors:
    torch.manual_seed(0)
    return Factors(latents=torch.randn(2, 3, 4), decoder=torch.randn(4, 5))


def state_and_optimizer() -> tuple[OuterState, torch.optim.Optimizer]:
    state = OuterState(factors(), 0.1)
    state.carry = {"turn": torch.tensor(3)}
    optimizer = torch.optim.Adam([*state.tensors.values()])
    for part in state.tensors.values():
        part.grad = torch.ones_like(part)
    optimizer.step()
    return state, optimizer


@pytest.fixture(autouse=True)
def interruptible():
    """Whatever shell the tests were started from."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.fixture
def path(tmp_path):
    Checkpoints(path=tmp_path / "checkpoint.pt").keep(*state_and_optimizer())
    return tmp_path / "checkpoint.pt"


def restored(path) -> OuterState:
    state, optimizer = state_and_optimizer()
    assert Checkpoints(path=path, resume=True).restore(state, optimizer)
    return state


def damaged(content: bytes, chance: random.Random) -> bytes:
    at, length = chance.randrange(len(content)), chance.randrange(1, 40)
    flipped = bytes((content[at] ^ (1 << chance.randrange(8)),))
    piece = chance.choice((flipped, b"", bytes(length), content[at - length : at] + content[at : at + 1]))
    return chance.choice(
        (content[:at] + piece + content[at + 1 :], content[:at], content[:at] + content[at + length :])
    )


def check_damage(path, count: int) -> None:
    whole, (state, optimizer) = path.read_bytes(), state_and_optimizer()
    for seed in range(count):
        changed = damaged(whole, random.Random(seed))
        if changed == whole:
            continue
        with path.open("r+b") as file:  # faster than a new file
            file.write(changed)
            file.truncate()
        with pytest.raises(InputError, match=r"checkpoint\.pt cannot be resumed from \(it is damaged"):
            Checkpoints(path=path, resume=True).restore(state, optimizer)


def test_any_damage_to_a_checkpoint_is_noticed(path):
    check_damage(path, 300)


@pytest.mark.slow
def test_any_damage_to_a_checkpoint_is_noticed_a_hundred_thousand_times(path):
    check_damage(path, 100_000)


@pytest.mark.parametrize("count", [100, pytest.param(5_000, marks=pytest.mark.slow)])
def test_a_checkpoint_made_to_look_whole_is_read_or_refused(path, count):
    """As a hostile one is; torch is told to unpickle no code."""
    whole = path.read_bytes()[:-32]
    for seed in range(count):
        changed = damaged(whole, random.Random(seed))
        path.write_bytes(changed + hashlib.sha256(changed).digest())
        told = f"{path} cannot be resumed from"
        try:
            restored(path)
        except InputError as error:
            told = str(error)
        assert told.startswith(f"{path} cannot be resumed from")
        assert "\n" not in told


def test_code_in_a_checkpoint_is_not_run(path, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "trapped"), "w"))

    torch.save({"state": Trap()}, path)
    content = path.read_bytes()
    path.write_bytes(content + hashlib.sha256(content).digest())
    with pytest.raises(InputError, match="cannot be resumed from"):
        restored(path)
    assert not (tmp_path / "trapped").exists()


def test_a_checkpoint_of_other_factors_is_refused(path):
    other = OuterState(Factors(latents=torch.randn(2, 3, 6), decoder=torch.randn(6, 5)), 0.1)
    with pytest.raises(InputError, match="cannot be resumed"):
        Checkpoints(path=path, resume=True).restore(other, torch.optim.Adam([*other.tensors.values()]))


def test_a_run_that_ends_in_its_first_step_is_not_judged_anew(tmp_path):
    """Starts and judgements take minutes where a vocabulary is large."""

    class Fragile:
        lr, batch_size = 0.1, 1

        def __init__(self, fails: bool) -> None:
            self.fails = fails

        def gradient(self, problem, factors, *_):
            if self.fails:
                raise MemoryError
            gradients = {name: torch.ones_like(part) for name, part in factors.tensors().items()}
            return OuterGradient(1.0, gradients, 0.0, {})

    judged: list[torch.Tensor] = []

    def judge(factors, lr):
        judged.append(factors.latents)
        return Verdict(float(len(judged)), 1)

    def run(fails: bool, name: str, start: Factors, resume: bool = False) -> Factors:
        loop, checkpoints = OuterLoop(steps=2, evaluate_every=2), Checkpoints(path=tmp_path / name, resume=resume)
        objective = Fragile(fails)
        out = run_loop(loop, objective, None, start, judge, seed=0, checkpoints=checkpoints, watch=lambda _: None)
        return out[0]

    with pytest.raises(MemoryError):
        run(True, "broken", factors())
    assert len(judged) == 1
    nothing = Factors(latents=torch.zeros(2, 3, 4), decoder=torch.zeros(4, 5))
    assert Checkpoints(path=tmp_path / "broken", resume=True).are_there()
    resumed = run(False, "broken", nothing, resume=True)
    assert len(judged) == 2
    whole = run(False, "whole", factors())
    for name, part in whole.tensors().items():
        assert torch.equal(part, resumed.tensors()[name])


HOLD = """
import sys, time
from pathlib import Path
from farzi.distill import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_holds_until_its_process_ends_and_not_longer(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for _ in range(2):  # the first one refused does not spoil what the second is told
            with (
                pytest.raises(InputError, match=f"in use by another run, process {holder.pid}; wait"),
                locked(tmp_path),
            ):
                pass
    finally:
        holder.kill()
        holder.communicate()
    assert (tmp_path / ".lock").exists()
    with locked(tmp_path), pytest.raises(InputError, match="in use"), locked(tmp_path):
        pass


class Interrupting:
    """An objective whose second gradient is interrupted, so many times."""

    lr, batch_size = 0.1, 1

    def __init__(self, times: int) -> None:
        self.times, self.calls = times, 0

    def gradient(self, problem, factors, lr, carry, generator):
        self.calls += 1
        for _ in range(self.times if self.calls == 2 else 0):
            signal.raise_signal(signal.SIGINT)
        return OuterGradient(1.0, {name: torch.ones_like(part) for name, part in factors.tensors().items()}, 0.0, {})


def run(objective, checkpoints, seen):
    loop = OuterLoop(steps=4, evaluate_every=2, checkpoint_every=100)
    judge = lambda *_: Verdict(0.0, 1)  # noqa: E731
    return run_loop(loop, objective, None, factors(), judge, seed=0, checkpoints=checkpoints, watch=seen.append)


def test_an_interruption_ends_the_loop_after_the_step_with_a_checkpoint(tmp_path):
    path, seen = tmp_path / "checkpoint.pt", []
    with pytest.raises(KeyboardInterrupt):
        run(Interrupting(1), Checkpoints(path=path), seen)
    assert [progress.step for progress in seen] == [1, 2]
    later: list = []
    stopped = run(Interrupting(0), Checkpoints(path=path, resume=True), later)
    assert [progress.step for progress in later] == [3, 4]
    whole = run(Interrupting(0), Checkpoints(), [])
    assert torch.equal(stopped[0].latents, whole[0].latents)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("keeps", [True, False])
def test_a_second_one_or_one_where_nothing_is_kept_ends_it_at_once(tmp_path, keeps):
    path, seen = tmp_path / "checkpoint.pt", []
    with pytest.raises(KeyboardInterrupt):
        run(Interrupting(2 if keeps else 1), Checkpoints(path=path if keeps else None), seen)
    assert [progress.step for progress in seen] == [1]
    assert path.exists() == keeps
    if keeps:  # there is what was kept before the first step
        again: list = []
        run(Interrupting(0), Checkpoints(path=path, resume=True), again)
        assert [progress.step for progress in again] == [1, 2, 3, 4]


def test_in_another_thread_nothing_is_held_back():
    found: list[bool] = []

    def hold():
        with held_interrupt() as interrupted:
            found.append(interrupted())

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert found == [False]


def test_where_interruptions_are_ignored_they_stay_so():
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with held_interrupt() as interrupted:
            signal.raise_signal(signal.SIGINT)
            assert not interrupted()
    finally:
        signal.signal(signal.SIGINT, usual)
