"""Models trained once and kept: on the full data, with snapshots along the way, and those of a study."""

import hashlib
import json
import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save
from torch import Tensor

from farzi.devices import CPU
from farzi.events import cache_folder
from farzi.files import atomic_write
from farzi.models import Parameters, SequenceModel, describe_model
from farzi.reading import in_a_line, read_tensors
from farzi.training.fit import Fitted, Score, Training, TrainingSet, fit
from farzi.training.unfinished import Unfinished

logger = logging.getLogger(__name__)

KEY_VERSION = 1
"""Enters every key; raised when trained models of before must not be reused."""

MODEL_VERSIONS = {"sasrec": 1, "sasrec-modern": 1}
"""Added to it for single models: raised when one of the same sizes computes otherwise than before."""


FULL_DATA = Training(lr=3e-3, steps=160_000, batch_size=0, dropout=0.1, evaluate_every=0, patience=12)
"""How models are fitted to full data unless said otherwise: chosen on validation of three data sets (docs/log.md)."""


@dataclass(frozen=True, kw_only=True)
class Teachers:
    """Models trained on the full data, whose expectations a summary starts from.

    Args:
        count: how many; 0 starts from real events alone.
        training: how each is trained.

    Raises:
        ValueError: the count is negative.
    """

    count: int = 4
    training: Training = FULL_DATA

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count is {self.count}; it must not be negative")


class KnownSet(TrainingSet, Protocol):
    """A training set that can be told from any other."""

    @property
    def identity(self) -> dict[str, Any]:
        """What tells it from any other, as JSON holds it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """One trained model; all its tensors rest on the CPU.

    Args:
        parameters: at the best step.
        snapshots: parameters on the way there, evenly spaced, the best excluded.
        fitted: step, score, curve and time of the training; the time is that of the first training if it was reused.
    """

    parameters: Parameters
    snapshots: tuple[Parameters, ...]
    fitted: Fitted


@dataclass(frozen=True, kw_only=True)
class TrajectoryStore:
    """Trains, unless the same training is in the folder already; goes on with one that was stopped there.

    Args:
        folder: where trained models are kept; farzi's in the user's cache folder by default.
        num_snapshots: snapshots kept of each.
    """

    folder: Path = field(default_factory=lambda: cache_folder() / "teachers")
    num_snapshots: int = 8

    def find(
        self, model: SequenceModel, data: KnownSet, training: Training, *, judge: str, seed: int
    ) -> Trajectory | None:
        """Read a training from the folder.

        Args:
            model: what was trained.
            data: what it is trained on.
            training: how.
            judge: says by what it was chosen.
            seed: of the training.

        Returns:
            the trained model, or None if it is not there or damaged.
        """
        return _find(self._path(self._decided_by(model, data, training, judge, seed)), model)

    def train(
        self,
        model: SequenceModel,
        data: KnownSet,
        training: Training,
        score: Score,
        *,
        judge: str,
        seed: int,
        watch: Callable[[int, float], None] = lambda _step, _score: None,
        within: float = math.inf,
    ) -> Trajectory:
        """Train a model, or read the same training from the folder.

        Args:
            model: what to train.
            data: what it is trained on.
            training: how.
            score: judges parameters on validation data.
            judge: says what ``score`` measures and on what; part of the key.
            seed: of the training.
            watch: told the step and the score of every look; of none for a model from the folder.
            within: seconds after which a training is given up.

        Returns:
            the trained model.

        Raises:
            InputError: the folder cannot be written.
            OutOfTimeError: the training did not end in these seconds.
        """
        decided_by = self._decided_by(model, data, training, judge, seed)
        path = self._path(decided_by)
        unfinished = Unfinished(path.with_suffix(".unfinished"))
        found = _find(path, model)
        if found is not None:
            unfinished.remove()
            return found

        def observe(step: int, parameters: Parameters, score: float) -> None:
            watch(step, score)
            if self.num_snapshots:
                unfinished.seen.append({name: part.to(CPU, copy=True) for name, part in parameters.items()})

        fitted = fit(model, data, training, score, seed=seed, observe=observe, unfinished=unfinished, within=within)
        looks = sum(step < fitted.steps for step, _ in fitted.curve)
        chosen = torch.linspace(0, looks - 1, min(self.num_snapshots, looks)).round().int().tolist()
        snapshots = tuple(unfinished.seen[i] for i in chosen)
        trajectory = Trajectory(parameters=fitted.parameters, snapshots=snapshots, fitted=fitted)
        _write(path, trajectory, decided_by)
        unfinished.remove()
        return trajectory

    def _decided_by(
        self, model: SequenceModel, data: KnownSet, training: Training, judge: str, seed: int
    ) -> dict[str, Any]:
        """Everything that the outcome of a training follows from."""
        return {
            "version": KEY_VERSION + MODEL_VERSIONS.get(model.name, 0),
            "model": describe_model(model),
            **data.identity,
            "device": data.device.type,
            "training": _described(training),
            "judge": judge,
            "seed": seed,
            "snapshots": self.num_snapshots,
        }

    def _path(self, decided_by: dict[str, Any]) -> Path:
        key = hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()[:24]
        return self.folder / f"{key}.safetensors"


def _described(training: Training) -> dict[str, Any]:
    """A training as keys hold it: as before there were ``decay`` and ``crop``, where there is none."""
    return {name: value for name, value in asdict(training).items() if name not in {"decay", "crop"} or value}


def _write(path: Path, trajectory: Trajectory, decided_by: dict[str, Any]) -> None:
    fitted = trajectory.fitted
    parts = {"best": trajectory.parameters} | {f"{i}": part for i, part in enumerate(trajectory.snapshots)}
    tensors = {f"{at}/{name}": part.contiguous() for at, group in parts.items() for name, part in group.items()}
    record = {"steps": fitted.steps, "score": fitted.score, "curve": fitted.curve, "seconds": fitted.seconds}
    metadata = {"record": json.dumps(record), "decided_by": json.dumps(decided_by)}
    metadata["digest"] = _digest(tensors, metadata)
    with atomic_write(path) as file:
        file.write(save(tensors, metadata=metadata))


def _find(path: Path, model: SequenceModel) -> Trajectory | None:
    if not path.is_file():
        return None
    try:
        return _read(path, model)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        logger.warning("%s is damaged and is made again (%s)", path, in_a_line(error))
        return None


def _read(path: Path, model: SequenceModel) -> Trajectory:
    groups: dict[str, Parameters] = {}
    metadata, tensors = read_tensors(path, "delete it")
    digest = _digest(tensors, metadata)
    if metadata.get("digest", digest) != digest:  # files of before have none
        raise ValueError("its checksum does not fit")
    record = json.loads(metadata["record"])
    for full_name, part in tensors.items():
        at, name = full_name.split("/", 1)
        groups.setdefault(at, {})[name] = part
    best = groups.pop("best")
    record["curve"] = tuple((step, score) for step, score in record["curve"])
    snapshots = tuple(groups[at] for at in sorted(groups, key=int))
    return Trajectory(parameters=best, snapshots=snapshots, fitted=Fitted(model=model, parameters=best, **record))


def _digest(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    """SHA-256, in hex, of everything else that the file holds."""
    texts = metadata["record"] + metadata["decided_by"]
    return hashlib.sha256(save(tensors) + texts.encode()).hexdigest()
