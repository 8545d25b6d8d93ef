"""What keeps a run: its checkpoint and its lock."""

import hashlib
import random
import subprocess
import sys

import pytest
import torch

from farzi.distill import Checkpoints, OuterState, locked
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
