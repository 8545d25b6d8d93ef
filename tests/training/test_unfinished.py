"""A training that is stopped goes on where it was, to the same parameters."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from farzi.errors import InputError
from farzi.events import EventData, Vocabulary
from farzi.models import SASRec
from farzi.states import read_state, write_state
from farzi.summary import Factors
from farzi.training import FactoredSequences, RealSequences, Training, TrajectoryStore, as_training_set, unfinished

MODEL = SASRec(dim=4, max_length=4)
TRAINING = Training(
    steps=40, batch_size=2, evaluate_every=4, patience=20, dropout=0.3, weight_decay=0.1, decay=0.5, crop=0.5
)


class Stopped(Exception):  # noqa: N818
    """As if the process were killed."""


def real():
    events = np.arange(20, dtype=np.int32) % 5
    data = EventData("cycle", events, np.array([0, 10, 20]), Vocabulary(tuple("abcde")))
    return RealSequences(data=data, length=4)


def factors():
    draw = torch.Generator().manual_seed(0)
    latents, targets = (torch.randn(6, 4, 3, generator=draw) for _ in range(2))
    return Factors(latents=latents, targets=targets, decoder=torch.randn(3, 5, generator=draw), temperature=1.0)


SETS = {"real": real(), "decoded": as_training_set(factors()), "in factors": FactoredSequences(factors=factors())}
FRESH = MODEL.init(5, 1)["position"]


def train(folder, data, stop_at=None, best_far_away=True):
    """A model that is best where it is farthest from its start, or else at once, and how often it was looked at."""
    looks = []

    def score(parameters):
        looks.append(parameters)
        if len(looks) == stop_at:
            raise Stopped
        moved = float((parameters["position"] - FRESH).square().sum())
        return moved if best_far_away else -moved

    store = TrajectoryStore(folder=folder, num_snapshots=3)
    return store.train(MODEL, data, TRAINING, score, judge="moved", seed=1), len(looks)


def parts(trained):
    fitted = replace(trained.fitted, parameters={}, seconds=0.0)
    tensors = [part for one in (trained.parameters, *trained.snapshots) for _, part in sorted(one.items())]
    return fitted, [part.numpy().tobytes() for part in tensors]


def stop(folder, data, stop_at, **changes):
    """Stop a training, and give the file that it leaves."""
    with pytest.raises(Stopped):
        train(folder, data, stop_at=stop_at, **changes)
    (left,) = folder.iterdir()
    return left


@pytest.fixture(autouse=True)
def at_every_step(monkeypatch):
    monkeypatch.setattr(unfinished, "SECONDS_BETWEEN", 0.0)


@pytest.mark.parametrize("data", SETS.values(), ids=SETS)
@pytest.mark.parametrize("best_far_away", [True, False])
@pytest.mark.parametrize("stops", [[2], [9], [3, 4]], ids=str)
def test_a_training_that_was_stopped_goes_on_to_the_same_parameters(tmp_path, data, best_far_away, stops):
    whole, all_looks = train(tmp_path / "whole", data, best_far_away=best_far_away)
    assert (whole.fitted.steps > 20) == best_far_away
    assert len(whole.snapshots) == (3 if best_far_away else 0)
    done = 0
    for stop_at in stops:
        left = stop(tmp_path / "parts", data, stop_at, best_far_away=best_far_away)
        done += stop_at - 1
        assert read_state(left)["course"]["step"] == 4 * done + 3
    trained, looks = train(tmp_path / "parts", data, best_far_away=best_far_away)
    assert parts(trained) == parts(whole)
    assert done + looks == all_looks, "what was done is not done again"
    assert [path.suffix for path in (tmp_path / "parts").iterdir()] == [".safetensors"]


def test_looks_are_told_with_their_steps(tmp_path):
    stop(tmp_path, real(), 5)
    told: list[int] = []
    store = TrajectoryStore(folder=tmp_path, num_snapshots=3)
    given = {"judge": "moved", "seed": 1, "watch": lambda step, _: told.append(step)}
    store.train(MODEL, real(), TRAINING, lambda _: 0.0, **given)
    assert told == list(range(20, 41, 4))


def test_time_spent_before_is_counted(tmp_path):
    left = stop(tmp_path, real(), 5)
    state = read_state(left)
    assert 0 < state["course"]["seconds"] < 100
    write_state(left, state | {"course": state["course"] | {"seconds": 1000.0}})
    trained, _ = train(tmp_path, real())
    assert trained.fitted.seconds > 1000


def test_a_short_training_is_never_written_down(tmp_path, monkeypatch):
    monkeypatch.setattr(unfinished, "SECONDS_BETWEEN", 300.0)
    with pytest.raises(Stopped):
        train(tmp_path, real(), stop_at=5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "damage",
    [
        lambda left: left.write_bytes(left.read_bytes()[:-1]),
        lambda left: left.write_bytes(b""),
        lambda left: left.write_bytes(left.read_bytes()[:200] + left.read_bytes()[201:]),
        lambda left: write_state(left, read_state(left) | {"form": 0}),
        lambda left: write_state(left, {"step": 3}),
    ],
    ids=["cut", "empty", "changed", "another version", "another state"],
)
def test_what_cannot_be_gone_on_with_is_told_of_and_the_training_begins_again(tmp_path, caplog, damage):
    whole, all_looks = train(tmp_path / "whole", real())
    left = stop(tmp_path / "parts", real(), 5)
    damage(left)
    trained, looks = train(tmp_path / "parts", real())
    assert (parts(trained), looks) == (parts(whole), all_looks)
    assert f"{left} cannot be read, and its training begins again (" in caplog.text


def test_what_another_process_left_behind_goes_once_the_model_is_there(tmp_path):
    trained, _ = train(tmp_path, real())
    (model,) = tmp_path.iterdir()
    model.with_suffix(".unfinished").write_bytes(b"")
    again, looks = train(tmp_path, real())
    assert (parts(again), looks) == (parts(trained), 0)
    assert list(tmp_path.iterdir()) == [model]


def test_a_training_that_cannot_be_written_down_goes_on(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise InputError("the disk is full")

    whole, _ = train(tmp_path / "whole", real())
    monkeypatch.setattr(unfinished, "write_state", full)
    trained, _ = train(tmp_path / "parts", real())
    assert parts(trained) == parts(whole)
    assert "a training is not written down: the disk is full" in caplog.text
