"""Trackers are told the numbers of each step, go on where a run was resumed, and are not needed."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from farzi.distill import Progress, Watch
from farzi.errors import InputError
from farzi.report import TRACKERS, tracked


def progress(step: int, loss: float = 1.0) -> Progress:
    numbers = {"seconds": 3.0, "gradient_norm": 0.5, "peak_mb": 100.0, "score": 0.1, "best_score": 0.2, "best_step": 0}
    return Progress(step=step, loss=loss, lr=0.01, skipped=0, **numbers)


def follow(tracker, steps: range, loss: float) -> None:
    with tracked(Watch(), tracker) as watch:
        for step in steps:
            watch.progress(progress(step, loss))


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows, by its own reader."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(folder))
    events.Reload()
    return {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_goes_on_where_a_killed_run_is_resumed(tmp_path):
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    follow(TRACKERS["tensorboard"](tmp_path), range(1, 6), loss=1.0)
    follow(TRACKERS["tensorboard"](tmp_path), range(4, 8), loss=0.5)
    found = scalars(tmp_path / "tensorboard")
    assert found["loss"] == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 0.5), (5, 0.5), (6, 0.5), (7, 0.5)]
    assert set(found) == set(vars(progress(1))) - {"step"}
    assert found["gradient_norm"] == [(step, 0.5) for step in range(1, 8)]


class Fake(ModuleType):
    """Stands for wandb and for trackio."""

    def __init__(self) -> None:
        super().__init__("fake")
        self.begun: list[dict[str, str]] = []
        self.told: list[tuple[int, dict[str, float]] | str] = []

    def init(self, **settings: str) -> SimpleNamespace:
        self.begun.append(settings)
        return SimpleNamespace(
            log=lambda values, step: self.told.append((step, values)), finish=lambda: self.told.append("finished")
        )


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_session_is_found_again_by_its_name(tmp_path, monkeypatch, name):
    fake = Fake()
    monkeypatch.setitem(sys.modules, name, fake)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder, steps in (("a", range(1, 3)), ("a", range(2, 4)), ("b", range(1, 2))):
        follow(TRACKERS[name](tmp_path / folder), steps, loss=1.0)
    assert [one if isinstance(one, str) else one[0] for one in fake.told] == [
        *[1, 2, "finished"],
        *[2, 3, "finished"],
        *[1, "finished"],
    ]
    assert fake.told[0] == (1, {key: value for key, value in vars(progress(1)).items() if key != "step"})
    first, resumed, other = fake.begun
    assert first == resumed
    assert first["resume"] == "allow"
    assert first["name"].startswith("a-")
    assert other["name"].startswith("b-")
    if name == "wandb":
        assert (first["id"], first["dir"]) == (first["name"], str(tmp_path / "a"))


@pytest.mark.parametrize("name", TRACKERS)
def test_a_package_that_is_missing_is_named_with_its_extra(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=rf"--track {name} needs .* pip install 'farzi\[{name}\]'"):
        TRACKERS[name](tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", TRACKERS)
def test_a_run_without_a_step_leaves_nothing(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, Fake())
    follow(TRACKERS[name](tmp_path), range(0), loss=1.0)
    assert list(tmp_path.iterdir()) == []


def test_an_error_closes_a_tracker(tmp_path, monkeypatch):
    fake = Fake()
    monkeypatch.setitem(sys.modules, "trackio", fake)

    def interrupted():
        with tracked(Watch(), TRACKERS["trackio"](tmp_path)) as watch:
            watch.progress(progress(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert fake.told[-1] == "finished"


@pytest.mark.parametrize("name", [None, "trackio"])
def test_whoever_watches_anyway_is_still_told(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "trackio", Fake())
    told = []
    with tracked(Watch(progress=told.append), TRACKERS[name](tmp_path) if name else None) as watch:
        watch.progress(progress(1))
    assert told == [progress(1)]
