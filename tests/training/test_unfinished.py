"""A training that is stopped goes on where it was, to the same bytes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from farzi.events import EventData, Vocabulary
from farzi.models import SASRec
from farzi.states import read_state
from farzi.summary import Factors
from farzi.training import FactoredSequences, RealSequences, Training, TrajectoryStore, unfinished

MODEL = SASRec(dim=4, max_length=4)
TRAINING = Training(steps=40, batch_size=2, evaluate_every=4, patience=6, dropout=0.3, weight_decay=0.1, decay=0.5)


class Stopped(Exception):  # noqa: N818
    """As if the process were killed."""


def real():
    events = np.arange(20, dtype=np.int32) % 5
    data = EventData("cycle", events, np.array([0, 10, 20]), Vocabulary(tuple("abcde")))
    return RealSequences(data=data, length=4)


def synthetic():
    draw = torch.Generator().manual_seed(0)
    latents, targets = (torch.randn(6, 4, 3, generator=draw) for _ in range(2))
    factors = Factors(latents=latents, targets=targets, decoder=torch.randn(3, 5, generator=draw), temperature=1.0)
    return FactoredSequences(factors=factors)


def train(folder, data, stop_at=None):
    """A model, and how often it was looked at."""
    looks = []

    def score(parameters):
        looks.append(parameters)
        if len(looks) == stop_at:
            raise Stopped
        return -float(parameters["embedding"].square().sum())

    store = TrajectoryStore(folder=folder, num_snapshots=3)
    return store.train(MODEL, data, TRAINING, score, judge="norm", seed=1), len(looks)


def parts(trained):
    fitted = replace(trained.fitted, parameters={}, seconds=0.0)
    tensors = [part for one in (trained.parameters, *trained.snapshots) for part in one.values()]
    return fitted, [part.numpy().tobytes() for part in tensors]


@pytest.mark.parametrize("data", [real(), synthetic()], ids=["real", "synthetic"])
@pytest.mark.parametrize("stops", [[2], [6], [3, 4]])
def test_a_training_that_was_stopped_goes_on_to_the_same_bytes(tmp_path, monkeypatch, data, stops):
    whole, all_looks = train(tmp_path / "whole", data)
    monkeypatch.setattr(unfinished, "SECONDS_BETWEEN", 0.0)
    done = 0
    for stop in stops:
        with pytest.raises(Stopped):
            train(tmp_path / "parts", data, stop_at=stop)
        (left,) = (tmp_path / "parts").iterdir()
        done += stop - 1
        assert read_state(left)["step"] == 4 * done + 3
    trained, looks = train(tmp_path / "parts", data)
    assert parts(trained) == parts(whole)
    assert done + looks == all_looks, "what was done is not done again"
    assert [path.suffix for path in (tmp_path / "parts").iterdir()] == [".safetensors"]


def test_time_spent_before_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(unfinished, "SECONDS_BETWEEN", 0.0)
    with pytest.raises(Stopped):
        train(tmp_path, real(), stop_at=5)
    (left,) = tmp_path.iterdir()
    spent = read_state(left)["seconds"]
    state = read_state(left) | {"seconds": 1000.0}
    unfinished.write_state(left, state)
    trained, _ = train(tmp_path, real())
    assert 0 < spent < 100
    assert trained.fitted.seconds > 1000


def test_a_short_training_is_never_written_down(tmp_path):
    with pytest.raises(Stopped):
        train(tmp_path, real(), stop_at=5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[:-1], lambda whole: b"", lambda whole: whole[:200] + whole[201:]]
)
def test_a_damaged_file_is_told_of_and_the_training_begins_again(tmp_path, monkeypatch, caplog, damage):
    whole, all_looks = train(tmp_path / "whole", real())
    monkeypatch.setattr(unfinished, "SECONDS_BETWEEN", 0.0)
    with pytest.raises(Stopped):
        train(tmp_path / "parts", real(), stop_at=5)
    (left,) = (tmp_path / "parts").iterdir()
    left.write_bytes(damage(left.read_bytes()))
    trained, looks = train(tmp_path / "parts", real())
    assert (parts(trained), looks) == (parts(whole), all_looks)
    assert f"{left} cannot be read, and its training begins again (" in caplog.text
