"""``farzi plan``: what a distillation will take, which replay to type, and, when there is time, whether it is true."""

import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from small_run import QUICK, run_as_process, write_films, write_text

from farzi.cli import command_parser, main
from farzi.commands import plan as planning
from farzi.distill import Estimate, ReplayEstimate, Span, read_metrics
from farzi.metagrad import Segments, StoreAll, Unstep
from farzi.options import parse


def estimate_of(chosen: int | None) -> Estimate:
    """An estimate that chose the replay of this number, or none."""
    replays = tuple(
        ReplayEstimate(replay=replay, memory_mb=memory_mb, step_s=step_s, total=Span(600, 60 * total))
        for replay, memory_mb, step_s, total in (
            (StoreAll(), 4321.0, 1.0, 40),
            (Segments(), 1000.0, 1.25, 50),
            (Unstep(), 900.0, 1.5, 60),
        )
    )
    return Estimate(
        replays=replays,
        available_mb=2000.0,
        steps=320,
        judgements=5,
        new_teachers=3,
        teaching=Span(120, 1200),
        starting=6.0,
        judging=Span(60, 60),
        chosen=None if chosen is None else replays[chosen],
    )


@pytest.fixture
def told(films, monkeypatch, capsys):
    """What is printed of an estimate, in one line."""

    def call(chosen: int | None) -> str:
        monkeypatch.setattr(planning, "estimate", lambda data: estimate_of(chosen))
        assert main(["plan", str(films)]) == 0
        return " ".join(capsys.readouterr().out.split())

    return call


def test_the_option_that_is_told_is_one_that_a_distillation_takes(told):
    text = told(1)
    for line in ("StoreAll (as given) 4,321 1 10 to 40", "Segments 1,000 1.25 10 to 50", "Unstep (inexact) 900"):
        assert line in text
    assert "outer steps: 320 at most 6.67" in text
    assert "teachers to be trained: 3 2 to 20" in text
    assert "judgements: 5 1" in text
    words = re.search(r"fits into 2,000 MB .*; give farzi distill (--.*)", text)[1].split()
    _, options = parse(command_parser(), ["distill", "x", "-o", "y", *words])
    assert options.distill.objective.replay == Segments()


def test_the_default_needs_no_option(told):
    assert "StoreAll is the fastest that fits" in (text := told(0))
    assert "is what farzi distill takes as given" in text
    assert "--objective" not in text


def test_where_nothing_fits_it_says_what_is_missing(told):
    assert "Nothing fits into 2,000 MB with a quarter to spare: Unstep needs least, 900 MB." in told(None)


def test_a_recipe_is_planned_as_it_would_be_run(finished, monkeypatch):
    asked = {}

    def estimate(data, *, size, objective, memory_mb):
        asked.update(length=size.length, window=objective.window, memory_mb=memory_mb)
        return estimate_of(0)

    monkeypatch.setattr(planning, "estimate", estimate)
    words = ["plan", "--config", str(finished / "config.yaml"), "--memory_mb", "700", "--length", "4"]
    assert main(words) == 0
    assert asked == {"length": 4, "window": 2, "memory_mb": 700}


def test_what_cannot_be_planned_is_refused_in_one_line(refused, films):
    assert "memory_mb is -1" in refused("plan", films, *QUICK, "--memory_mb", "-1")
    assert "windw" in refused("plan", films, *QUICK, "--objective.windw", "3")
    assert "name the data" in refused("plan")
    assert "max_length" in refused("plan", films, *QUICK, "--length", "9")


def test_a_plan_is_made_and_nothing_else(films, cache, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = set(cache.rglob("*"))
    assert main(["plan", str(films), *QUICK]) == 0
    out, err = capsys.readouterr()
    assert "StoreAll is the fastest that fits" in out
    assert err == ""
    assert (set(cache.rglob("*")), list(tmp_path.iterdir())) == (before, [])


LONG = [
    *["--model.max_length", "5", "--sequences", "20", "--length", "5", "--steps", "3", "--loop.evaluate_every", "3"],
    *["--judges", "2", "--teachers.count", "1", "--teachers.training.steps", "20"],
    *["--teachers.training.evaluate_every", "20", "--objective.steps", "200", "--objective.turns", "1"],
    *["--objective.runs", "1"],
]
WIDE = ["--model", "sasrec", "--model.dim", "96", "--objective.window", "200"]
KINDS = {
    "small": ["--model", "sasrec", "--model.dim", "32", "--objective.window", "20"],
    "wide": WIDE,
    "segments": [*WIDE, "--objective.replay", "farzi.metagrad.Segments"],
    "tree": [*WIDE, "--objective.replay", "farzi.metagrad.Tree"],
    "workers": ["--model", "sasrec", "--model.dim", "32", "--objective.window", "20", "--workers", "2"],
    "text": ["--text", "TEXT", "--model", "transformer", "--model.dim", "64", "--objective.window", "100"],
}


def most_held(words: Sequence[str | Path], **options) -> float:
    """Run farzi, and look all the time at what its processes hold together, in megabytes."""
    most = 0.0
    with subprocess.Popen([sys.executable, "-m", "farzi", *map(str, words)], **options) as run:
        process = psutil.Process(run.pid)
        while run.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
                everyone = [process, *process.children(recursive=True)]
                most = max(most, sum(one.memory_info().rss for one in everyone) / 2**20)
            time.sleep(0.02)
    assert run.returncode == 0
    return most


@pytest.mark.parametrize(
    "kind", [kind if kind == "small" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_what_was_told_is_what_happens(tmp_path, kind):
    """Memory within a quarter; the time of an outer step within a factor of four, as machines have other work."""
    text = write_text(tmp_path / "text.txt", num_lines=2000)
    films = [] if kind == "text" else [write_films(tmp_path / "films", num_users=200, length=30)]
    words = [*films, *(text if word == "TEXT" else word for word in KINDS[kind]), *LONG]
    environment = {**os.environ, "FARZI_CACHE": str(tmp_path / "cache")}
    told = run_as_process(["plan", *words], env=environment, check=True).stdout
    memory, step = re.search(r"\(as given\) +([\d,]+) +([\d.,]+) ", told).groups()
    held = most_held(["distill", *words, "-o", tmp_path / "run", "--quiet"], env=environment)
    peak = max(held, json.loads((tmp_path / "run" / "run.json").read_text())["peak_mb"])
    assert float(memory.replace(",", "")) == pytest.approx(peak, rel=0.25)
    ends = [progress.seconds for progress in read_metrics(tmp_path / "run" / "metrics.jsonl")]
    took = [end - begin for begin, end in itertools.pairwise(ends[:-1])]  # the first begins, the last is judged
    assert 1 / 4 < float(step.replace(",", "")) / (sum(took) / len(took)) < 4
