"""``farzi tune``: a folder whose recipe and summary belong together, and one line for whatever is wrong."""

import json
import math
import sys
from pathlib import Path

import pytest
from small_run import QUICK

from farzi.cli import command_parser, main
from farzi.commands import tune
from farzi.options import parse

SEARCH = [*QUICK, "--objective.lr", "1e-4", "--trials", "2", "--search", "objective.lr", "size.rank", "--seed", "2"]
"""Which of so short trials does better depends on how a machine rounds."""


@pytest.fixture(scope="module")
def searched(films, tmp_path_factory) -> Path:
    """The folder of a finished search; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "search"
    assert main(["tune", str(films), "-o", str(folder), *SEARCH]) == 0
    return folder


def test_the_recipe_of_a_search_gives_its_summary(searched, tmp_path):
    assert {path.name for path in searched.iterdir()} == {
        ".lock",
        "recipe.yaml",
        "settings.json",
        "summary.safetensors",
        "trials.json",
    }
    trials = json.loads((searched / "trials.json").read_text())
    assert [list(one["parameters"]) for one in trials] == [["objective.lr", "size.rank"]] * 2
    rates = [one["parameters"]["objective.lr"] for one in trials]
    assert rates[0] == 1e-4
    best = max(trials, key=lambda trial: trial["score"])
    assert f"\n    lr: {best['parameters']['objective.lr']}\n" in (searched / "recipe.yaml").read_text()
    assert main(["distill", "--config", str(searched / "recipe.yaml"), "-o", str(tmp_path)]) == 0
    assert (tmp_path / "summary.safetensors").read_bytes() == (searched / "summary.safetensors").read_bytes()
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["progress"]["best_score"] == best["score"]


def test_a_search_says_what_was_gained_and_how_to_go_on(films, searched, capsys):
    before = {path.name: path.read_bytes() for path in searched.iterdir() if path.name != ".lock"}
    assert main(["tune", str(films), "-o", str(searched), *SEARCH, "--resume"]) == 0
    out, err = capsys.readouterr()
    shown = " ".join(out.split())
    first, second = (trial["score"] for trial in json.loads(before["trials.json"]))
    for told in (
        "as given",
        "objective.lr",
        "valid nDCG@100",
        "trial 2, the best" if second > first else "as given is best",
        "2 complete",
        f"--config {searched}/recipe.yaml",
    ):
        assert told in shown
    assert "trial 1" not in err, "nothing is left to be tried"
    assert {name: (searched / name).read_bytes() for name in before} == before


def test_minutes_are_those_of_the_search():
    _, options = parse(command_parser(), ["tune", "x", "-o", "y", "--minutes", "60", "--steps", "7", "--length=9"])
    assert (options.tune.minutes, options.tune.loop.minutes) == (60, math.inf)
    assert (options.tune.loop.steps, options.tune.size.length) == (7, 9)


def test_a_search_that_cannot_be_is_refused_in_one_line(refused, films, tmp_path, monkeypatch):
    words = ["tune", films, "-o", tmp_path / "search", *QUICK]
    assert "'loop.momentum'; what can be searched is loop.lr, objective.lr" in refused(
        *words, "--search", "loop.momentum"
    )
    assert "--trials is 0" in refused(*words, "--trials", "0")
    assert "windw" in refused(*words, "--objective.windw", "3")
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert "pip install 'farzi[tune]'" in refused(*words)
    assert not (tmp_path / "search").exists()


def test_an_interruption_says_how_to_go_on(films, monkeypatch, tmp_path, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(tune, "watch_search", interrupted)
    assert main(["tune", str(films), "-o", str(tmp_path), "--trials", "3"]) == 130
    err = capsys.readouterr().err
    assert err == f"farzi: stopped; go on with: farzi tune {films} -o {tmp_path} --trials 3 --resume\n"
