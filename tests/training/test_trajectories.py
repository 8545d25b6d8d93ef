"""Models trained on full data: read again as they were, and trained again where their file is damaged."""

import json
import logging
import math
import random
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from farzi.events import EventData, Vocabulary
from farzi.models import Batch, SASRec
from farzi.summary import Factors
from farzi.training import (
    FactoredSequences,
    OutOfTimeError,
    RealSequences,
    TensorSequences,
    Training,
    TrajectoryStore,
    as_training_set,
)

MODEL = SASRec(dim=4, max_length=4)
TRAINING = Training(steps=6, batch_size=2, evaluate_every=2)


@pytest.fixture
def store(tmp_path):
    return TrajectoryStore(folder=tmp_path, num_snapshots=2)


def train(store, within=math.inf, look=lambda: None):
    """The model, and how often it was scored: not at all if it was there."""
    events = np.arange(20, dtype=np.int32) % 5
    data = EventData("cycle", events, np.array([0, 10, 20]), Vocabulary(tuple("abcde")))
    scores: list[float] = []

    def score(_):
        look()
        scores.append(float(len(scores)))
        return scores[-1]

    trained = store.train(
        MODEL, RealSequences(data=data, length=4), TRAINING, score, judge="count", seed=0, within=within
    )
    return trained, len(scores)


def same(one, other) -> bool:
    pairs = zip((one.parameters, *one.snapshots), (other.parameters, *other.snapshots), strict=True)
    return all(torch.equal(part, found[name]) for kept, found in pairs for name, part in kept.items()) and (
        replace(one.fitted, parameters={}, seconds=0.0) == replace(other.fitted, parameters={}, seconds=0.0)
    )


def test_a_model_is_trained_once(store):
    (first, looks), (again, none) = train(store), train(store)
    assert (looks, none) == (3, 0)
    assert same(first, again)


def test_a_training_that_is_out_of_time_leaves_no_model(store, monkeypatch):
    """Each of three looks at the score takes ten seconds, and nothing else takes any."""
    now = [0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def look():
        now[0] += 10

    with pytest.raises(OutOfTimeError):
        train(store, within=19, look=look)
    assert not list(store.folder.iterdir())
    assert train(store, within=20, look=look)[1] == 3  # the last steps begin in time
    assert train(store, within=0)[1] == 0  # what is there takes none


def test_any_damage_is_noticed_and_the_model_is_trained_again(store, caplog):
    first, _ = train(store)
    (path,) = store.folder.iterdir()
    whole, chance = path.read_bytes(), random.Random(0)
    start = 8 + int.from_bytes(whole[:8], "little")
    cuts = [whole[:size] for size in (0, 5, 100, len(whole) - 1)]
    flips = [bytearray(whole) for _ in range(12)]
    for changed in flips:
        changed[chance.randrange(start, len(whole))] ^= 4
    for content in (*cuts, *map(bytes, flips), b"[" * 10_000):
        path.write_bytes(content)
        caplog.clear()
        again, looks = train(store)
        assert looks == 3
        assert same(first, again)
        assert f"{path} is damaged and is made again (" in caplog.text


def test_a_header_that_is_damaged_changes_nothing_that_is_read(store):
    first, _ = train(store)
    (path,) = store.folder.iterdir()
    whole, chance = path.read_bytes(), random.Random(0)
    for _ in range(12):
        changed = bytearray(whole)
        changed[chance.randrange(8, 8 + int.from_bytes(whole[:8], "little"))] ^= 4
        path.write_bytes(changed)
        assert same(first, train(store)[0])


@pytest.mark.parametrize("record", ["[]", "3", "{}", '{"curve": 1}', "{" * 5000])
def test_a_record_that_is_none_is_made_again(store, caplog, record):
    train(store)
    (path,) = store.folder.iterdir()
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() | {"record": record}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del metadata["digest"]
    save_file(tensors, path, metadata=metadata)
    with caplog.at_level(logging.WARNING):
        assert train(store)[1] == 3
    assert "is made again" in caplog.text


def test_files_from_before_there_were_checksums_are_read(store):
    first, _ = train(store)
    (path,) = store.folder.iterdir()
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert json.loads(metadata["decided_by"])["seed"] == 0
    del metadata["digest"]
    save_file(tensors, path, metadata=metadata)
    again, looks = train(store)
    assert looks == 0
    assert same(first, again)


def sequences(kind: str, change: float = 0.0):
    """Of one kind; a change is made to the last number of the last tensor."""
    generator = torch.Generator().manual_seed(0)
    latents, decoder, targets = (torch.randn(shape, generator=generator) for shape in ((3, 4, 2), (2, 5), (3, 4, 2)))
    targets[-1, -1, -1] += change
    factors = Factors(latents=latents, decoder=decoder, targets=targets)
    if kind == "factors":
        return FactoredSequences(factors=factors)
    if kind == "decoded":
        return as_training_set(factors)
    inputs, wanted = factors.decode()
    if kind == "hard":
        inputs, wanted = (part.argmax(-1) for part in Batch(inputs, wanted))
        wanted[-1, -1] = (wanted[-1, -1] + int(change > 0)) % 5
    return TensorSequences(inputs=inputs, targets=wanted, vocab_size=5)


@pytest.mark.parametrize("kind", ["factors", "decoded", "soft", "hard"])
def test_a_student_is_trained_once_on_what_it_is_given(store, kind):
    looks: list[int] = []

    def train_on(data):
        looks.append(0)

        def score(_):
            looks[-1] += 1
            return float(looks[-1])

        return store.train(MODEL, data, TRAINING, score, judge="count", seed=0)

    first, again = train_on(sequences(kind)), train_on(sequences(kind))
    other = train_on(sequences(kind, 1.0))
    assert looks == [3, 0, 3]
    assert same(first, again)
    assert not same(first, other)


def test_sets_of_different_kinds_and_shapes_are_not_taken_for_each_other():
    zeros = torch.zeros(4, 3, dtype=torch.long)
    flat = torch.zeros(3, 4, dtype=torch.long)
    hard = [TensorSequences(inputs=part, targets=part, vocab_size=size) for part in (zeros, flat) for size in (5, 6)]
    soft = sequences("factors").factors
    factored = [FactoredSequences(factors=replace(soft, temperature=t)) for t in (1.0, 2.0)]
    known = [json.dumps(one.identity) for one in (*hard, *factored, sequences("soft"))]
    assert len(set(known)) == len(known)


def test_decoded_sequences_are_known_by_their_factors():
    """Decoding rounds otherwise with other threads, and what is decoded is much larger."""
    decoded = sequences("decoded")
    assert isinstance(decoded, TensorSequences)
    assert decoded.identity == sequences("factors").identity
    assert replace(decoded, inputs=decoded.inputs + 1e-6).identity == decoded.identity
