"""What long commands tell while they run: lines for a log, nothing for those who want quiet, and trackers."""

import json
import sys

import pytest
from small_run import QUICK, QUICK_STUDY

from farzi.cli import main
from farzi.report import TRACKERS


def distilled(films, folder, *more: str) -> list[str]:
    return ["distill", str(films), "-o", str(folder), *QUICK, *more]


def test_a_log_tells_of_a_distillation_in_few_lines(films, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FARZI_CACHE", str(tmp_path / "cache"))
    assert main(distilled(films, tmp_path / "run")) == 0
    err = capsys.readouterr().err
    teachers, trained, start, *outer = err.splitlines()
    assert teachers.startswith("teachers: ")
    assert trained.startswith("teachers 100%: teacher 1 of 1, step 4, valid nDCG@100 ")
    assert start.startswith("start: sequences ")
    assert outer[-1].startswith("distillation 100%: step 2 of 2, loss ")
    for part in (", gradient ", ", valid nDCG@100 ", " (best ", " % of the teachers' (best ", " MB"):
        assert part in outer[-1]
    assert not set("\r\x1b") & set(err)


def test_outer_steps_are_recorded_with_gradient_and_memory(finished):
    for line in (finished / "metrics.jsonl").read_text().splitlines():
        now = json.loads(line)
        assert {"step", "seconds", "loss", "score", "best_score", "best_step", "lr", "skipped"} < now.keys()
        assert now["gradient_norm"] > 0
        assert now["peak_mb"] > 50


def test_a_training_tells_how_far_it_is(films, finished, tmp_path, capsys):
    words = ["train", str(finished / "summary.safetensors"), "-o", str(tmp_path / "m")]
    assert main(words) == 0
    assert capsys.readouterr().err.splitlines()[-1].startswith("training 100%: step ")
    assert main([*words, "--data", str(films)]) == 0
    assert ", valid nDCG@100 " in capsys.readouterr().err


def test_quiet_commands_tell_their_results_alone(films, finished, tmp_path, capsys):
    pytest.importorskip("optuna", reason="the extra tune is not installed")
    summary = str(finished / "summary.safetensors")
    for words in (
        distilled(films, tmp_path / "run"),
        ["tune", *distilled(films, tmp_path / "search")[1:], "--trials", "1"],
        ["evaluate", summary, "--data", str(films), "--methods", "farzi", *QUICK_STUDY],
        ["train", summary, "-o", str(tmp_path / "m")],
    ):
        assert main([*words, "--quiet"]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert out != ""
    assert "quiet" not in (tmp_path / "run" / "config.yaml").read_text()


def test_tensorboard_has_the_steps_of_a_run_and_of_its_resumption(films, tmp_path):
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="the extra tensorboard is not installed"
    )
    words = distilled(films, tmp_path / "run", "--track", "tensorboard", "--quiet")
    assert main(words) == 0
    assert main([*words, "--steps", "4", "--resume"]) == 0
    assert "tensorboard" not in (tmp_path / "run" / "config.yaml").read_text()
    events = reader.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    recorded = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [now["step"] for now in recorded] == [1, 2, 3, 4]
    for name in ("loss", "gradient_norm", "best_score", "peak_mb"):
        found = {one.step: one.value for one in events.Scalars(name)}
        assert found == pytest.approx({now["step"]: now[name] for now in recorded})


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_that_is_not_installed_is_asked_for_before_anything_is_done(
    refused, films, tmp_path, monkeypatch, name
):
    monkeypatch.setitem(sys.modules, name, None)
    assert f"pip install 'farzi[{name}]'" in refused(*distilled(films, tmp_path / "run", "--track", name))
    assert not (tmp_path / "run").exists()
