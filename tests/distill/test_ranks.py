"""Two processes that work on one summary: they follow the mean of their gradients, and agree in all they do.

Both do all of it in one go (:func:`work`), as it takes seconds to start them; the tests look at what came of it.
"""

import io
import itertools
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from test_distill import LENGTH, SMALL, VOCAB, cyclic_data

from farzi.distill import (
    Checkpoints,
    MetaMatching,
    OuterGradient,
    OuterLoop,
    Problem,
    Ranks,
    Verdict,
    Watch,
    distill,
    read_metrics,
    run_loop,
)
from farzi.distill.ranks import joined
from farzi.errors import InputError
from farzi.evaluation import NextItem
from farzi.models import SASRec
from farzi.summary import Factors, load
from farzi.training import Training, TrajectoryStore

SOON = 300.0
"""Seconds after which something is wrong, however busy the machine is."""

OBJECTIVE = MetaMatching(lr=0.01, window=3, steps=6, runs=2, batch_size=2, real_positions=16 * LENGTH)


def run(ranks: Ranks, path: Path, objective=OBJECTIVE, seen=None, *, steps=4, minutes=1e9, resume=False) -> None:
    """Learn from noise, with a checkpoint at the end."""
    model, data = SASRec(dim=8, max_length=LENGTH), NextItem(cyclic_data())
    torch.manual_seed(0)
    noise = torch.randn(2, 4, LENGTH, 6)
    run_loop(
        OuterLoop(steps=steps, minutes=minutes, lr=0.05, lr_of_log_lr=0.1, evaluate_every=2, checkpoint_every=100),
        objective,
        Problem(model, data.real(model)),
        Factors(latents=noise[0], decoder=torch.randn(6, VOCAB), targets=noise[1]),
        lambda *_: Verdict(0.0, 1),
        seed=7,
        checkpoints=Checkpoints(path=path, resume=resume),
        watch=lambda progress: None if seen is None else seen.append(progress),
        ranks=ranks,
    )


class Disturbed:
    """An objective to which something happens in its second gradient."""

    lr, batch_size = OBJECTIVE.lr, OBJECTIVE.batch_size

    def __init__(self, disturb) -> None:
        self.disturb, self.calls = disturb, itertools.count(1)

    def gradient(self, *given) -> OuterGradient:
        gradient = OBJECTIVE.gradient(*given)
        return self.disturb(gradient) if next(self.calls) == 2 else gradient


def interrupt(gradient: OuterGradient) -> OuterGradient:
    signal.raise_signal(signal.SIGINT)
    return gradient


def spoil(gradient: OuterGradient) -> OuterGradient:
    return gradient._replace(value=float("nan"))


def work(rank: int, folder: Path) -> None:
    """What one of the two processes does."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    ranks, told = Ranks(rank, 2), {}

    run(ranks, folder / "whole.pt")
    run(ranks, folder / "parts.pt", steps=1)
    run(ranks, folder / "parts.pt", resume=True)

    disturbed = Disturbed(interrupt if rank == 1 else lambda gradient: gradient)
    try:
        run(ranks, folder / "interrupted.pt", disturbed)
    except KeyboardInterrupt:
        told["interrupted"] = True

    seen: list = []
    run(ranks, folder / "bad.pt", Disturbed(spoil if rank == 1 else lambda gradient: gradient), seen)
    told["skipped"] = [progress.skipped for progress in seen]

    usual, slow = time.monotonic, itertools.count(0, 1000)
    time.monotonic = (lambda: next(slow)) if rank == 1 else usual
    seen = []
    run(ranks, folder / "slow.pt", seen=seen, minutes=10)
    time.monotonic = usual
    told["steps"] = len(seen)

    told["distilled"] = in_whole(rank, folder)
    try:
        distill(cyclic_data(), **{**SMALL, "judges": 1 + rank}, store=TrajectoryStore(folder=folder / "x"))
    except InputError as error:
        told["refused"] = str(error)
    torch.save(told, folder / f"{rank}.pt")
    os._exit(0)  # as one that is killed; the other one has been waiting for it


def both(target: Callable[..., None], *given) -> list[int | None]:
    """Call a function in two processes, with the number of each; how they ended."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=target, args=(rank, *given)) for rank in (0, 1)]
    for one in processes:
        one.start()
    deadline = time.monotonic() + SOON
    for one in processes:
        one.join(max(deadline - time.monotonic(), 1))
    codes = [one.exitcode for one in processes]
    for one in processes:
        one.kill()
    return codes


def in_whole(rank: int, folder: Path) -> dict:
    """A distillation whose minutes are limited, on machines that have no folder in common."""
    NextItem.student = NextItem.judging = Training(steps=40, evaluate_every=20)
    store, looks = TrajectoryStore(folder=folder / f"teachers-{rank}", num_snapshots=2), []
    watch = Watch(teacher=lambda now: looks.append(now.number), progress=lambda now: looks.append(-now.step))
    loop, teachers = replace(SMALL["loop"], minutes=600), replace(SMALL["teachers"], count=3)
    given = {**SMALL, "judges": 3, "loop": loop, "teachers": teachers}
    summary = distill(cyclic_data(), **given, store=store, run=folder / f"run-{rank}", watch=watch)
    return {"bytes": summary.to_bytes(), "looks": looks}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where both have left what they did."""
    folder = tmp_path_factory.mktemp("ranks")
    assert both(work, folder) == [0, 0]
    return folder


@pytest.fixture(scope="module")
def told(folder) -> list[dict]:
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def kept(path: Path) -> dict:
    """A checkpoint; its last 32 bytes are the digest of the others."""
    return torch.load(io.BytesIO(path.read_bytes()[:-32]), weights_only=True)


class InTurn:
    """The mean of the gradients of several initialisations and their inner runs, all in one process."""

    lr, batch_size = OBJECTIVE.lr, OBJECTIVE.batch_size

    def __init__(self, count: int) -> None:
        self.count = count

    def gradient(self, problem, factors, lr, carry, generator):
        gradients, carries = [], {}
        for number in range(self.count):
            own = torch.Generator().manual_seed(Ranks(number, self.count).seed(generator.initial_seed()))
            prefix = f"{number}/"
            mine = {name.removeprefix(prefix): part for name, part in carry.items() if name.startswith(prefix)}
            gradients.append(OBJECTIVE.gradient(problem, factors, lr, mine, own))
            carries |= {prefix + name: part for name, part in gradients[-1].carry.items()}
        return OuterGradient(
            value=sum(one.value for one in gradients) / self.count,
            factors={name: sum(one.factors[name] for one in gradients) / self.count for name in factors.tensors()},
            log_lr=sum(one.log_lr for one in gradients) / self.count,
            carry=carries,
        )


def write_slowly(rank: int, folder: Path, port: int) -> None:
    """Rank 0 writes what the other one finds as soon as it is on its own again."""
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    with joined(torch.device("cpu")) as ranks:
        if ranks.index == 0:
            time.sleep(0.5)
            (folder / "written").touch()
    assert (folder / "written").exists()


def test_no_rank_ends_before_rank_0_has_written(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert both(write_slowly, tmp_path, port) == [0, 0]


def test_two_ranks_are_one_process_with_two_initialisations(folder, tmp_path):
    together = kept(folder / "whole.pt")
    for count in (2, 1):
        run(Ranks(), tmp_path / f"{count}.pt", InTurn(count))
    one, two = (kept(tmp_path / f"{count}.pt")["state"] for count in (1, 2))
    state, others = together["state"], together["others"]
    for name, part in state["tensors"].items():
        torch.testing.assert_close(part, two["tensors"][name], atol=1e-6, rtol=0)
        assert (part - one["tensors"][name]).abs().max() > 1e-2
    torch.testing.assert_close(state["log_lr"], two["log_lr"], atol=1e-6, rtol=0)
    assert state["loss"] == pytest.approx(two["loss"], abs=1e-6)
    for number, carry in enumerate([state["carry"], *others]):
        for name, part in carry.items():
            torch.testing.assert_close(part, two["carry"][f"{number}/{name}"], atol=1e-6, rtol=0)
    assert not torch.allclose(state["carry"]["0.weights"], others[0]["0.weights"], atol=1e-2)


def test_two_ranks_that_are_resumed_come_to_the_same_bits(folder):
    whole, parts = kept(folder / "whole.pt"), kept(folder / "parts.pt")
    for group in ("tensors", "average", "carry"):
        for name, part in whole["state"][group].items():
            assert torch.equal(part, parts["state"][group][name])
    assert torch.equal(whole["state"]["log_lr"], parts["state"]["log_lr"])
    (carry,), (again,) = whole["others"], parts["others"]
    assert all(torch.equal(part, again[name]) for name, part in carry.items())


def test_a_checkpoint_is_for_as_many_ranks_as_made_it(folder):
    with pytest.raises(InputError, match=r"whole\.pt cannot be resumed from \(it is of 2 processes, not of 1\)"):
        run(Ranks(), folder / "whole.pt", resume=True)


def test_an_interruption_of_one_ends_both_after_the_step(folder, told):
    assert [one["interrupted"] for one in told] == [True, True]
    assert kept(folder / "interrupted.pt")["state"]["step"] == 2


def test_a_bad_gradient_of_one_is_skipped_by_both(told):
    assert [one["skipped"] for one in told] == [[0, 1, 1, 1]] * 2


def test_the_time_is_that_of_rank_0(told):
    assert [one["steps"] for one in told] == [4, 4]


def test_a_distillation_is_shared_out_and_written_once(folder, told):
    first, second = (one["distilled"] for one in told)
    assert first["bytes"] == second["bytes"] == (folder / "run-0" / "summary.safetensors").read_bytes()
    assert len(read_metrics(folder / "run-0" / "metrics.jsonl")) == SMALL["loop"].steps
    assert not (folder / "run-1").exists()
    assert [len(list((folder / f"teachers-{rank}").iterdir())) for rank in (0, 1)] == [2, 1]
    assert set(first["looks"]) == {1, 3, -1, -2, -3, -4}
    assert second["looks"] == []
    assert load(folder / "run-0" / "summary.safetensors").card.origin["ranks"] == 2


def test_other_options_than_those_of_rank_0_are_refused_and_end_both(told):
    assert told[1]["refused"] == (
        "data or options are not those of rank 0; start the same command on the same data everywhere"
    )
    assert told[0]["refused"] == (
        "another of the 2 processes has ended, and this one cannot go on without it; go on from the last checkpoint "
        "with the same command and --resume"
    )
