"""What the pages of the documentation show runs, and does what they say."""

import os
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from documents import PAGES, ROOT, Ran, in_haste, in_small, parse, run, write_material
from farzi.cli import command_parser, main
from farzi.models import scores
from farzi.options import parse as parse_words

SKIPPED = {
    "README.md": ["builds a virtual environment", "builds a virtual environment"],
    "docs/command-line.md": ["writes into the reader's home; tests/cli/test_edges.py reads the script"],
    "docs/gpu.md": ["needs a GPU", "needs a GPU"],
    "docs/several-machines.md": ["starts processes; tests/cli/test_several_processes.py does", "needs two machines"],
    "docs/file-format.md": ["uploads to the Hub; tests/summary/test_hub.py does it with a folder"],
}
"""What does not run, by page: this list is to stay short."""

NO_CODE = {"bibtex", "text"}
"""Blocks that nobody runs. Those in braces are the documentation's own."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Callable[[str], Ran]:
    """Run a page in small, once, in a folder with what it takes for granted."""
    material, cache = tmp_path_factory.mktemp("material"), tmp_path_factory.mktemp("cache")
    write_material(material, cache)
    found: dict[str, Ran] = {}

    def once(page: str) -> Ran:
        if page not in found:
            folder = tmp_path_factory.mktemp("page")
            shutil.copytree(material, folder, dirs_exist_ok=True)
            with patch.dict(os.environ, FARZI_CACHE=str(cache)), in_small():
                found[page] = run(page, folder)
        return found[page]

    with patch.dict(os.environ, FARZI_CACHE=str(cache)), in_small():
        assert main(["distill", "ml-100k", "-o", str(material / "runs" / "demo")]) == 0
    for name in ("small", "large"):
        shutil.copytree(material / "runs" / "demo", material / "runs" / name)
    shutil.copy(material / "runs" / "demo" / "summary.safetensors", material)
    return once


@pytest.mark.parametrize("page", [page for page in PAGES if list(parse(page))])
def test_what_a_page_shows_runs(ran, page):
    assert ran(page).skipped == SKIPPED.get(page, [])


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_code_that_the_tests_do_not_see(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    fences = re.findall(r"^ *(?:```+|~~~+)(.*)$", text, re.MULTILINE)
    assert {kind for kind in fences[::2] if not kind.startswith("{")} <= {"python", "bash", *NO_CODE}
    assert set(fences[1::2]) <= {""}
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^(?: {4}|\t)\S.*$", outside, re.MULTILINE) == []


def test_the_readme_shows_a_model_and_its_comparison(ran):
    names, out, _ = ran("README.md")
    first, *lines = out.splitlines()
    assert first == "SASRec(dim=32, blocks=1, heads=1, max_length=10) torch.Size([12, 32])"
    assert [line.split()[0] for line in lines[:4]] == ["full", "random", "random_teacher", "farzi"]
    assert names["student"].steps == names["summary"].card.advice.steps


def test_replays_of_the_guide_agree(ran):
    first, *others = ran("docs/replay.md").names["gradients"].values()
    assert float(first.norm()) > 0
    assert len(others) == 3
    assert all(torch.equal(first, other) for other in others[:2]), (
        "kept and replayed steps are the same to the last bit"
    )
    torch.testing.assert_close(others[2], first, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_the_tutorial_ends_with_a_model_that_knows_what_is_bought_next(tmp_path, monkeypatch):
    """Six of 100 products follow mostly: a model that has learned nothing names one of them in three tries."""
    monkeypatch.setenv("FARZI_CACHE", str(tmp_path / "cache"))
    with in_haste():
        names, out, _ = run("docs/tutorial.md", tmp_path)
    kept = dict(re.findall(r"^(random_teacher|farzi) (\d\.\d+)$", out, re.MULTILINE))
    assert float(kept["farzi"]) > 0.8
    best = scores(names["student"].parameters, names["last"]).topk(6).indices
    bought = {names["summary"].vocabulary.ids[number] for number in best}
    assert len(bought & {f"sku-{number}" for number in range(69, 75)}) > 3


def test_the_makefile_calls_commands_that_are_understood(monkeypatch):
    monkeypatch.chdir(ROOT)
    commands = re.findall(r"^\t\$\(BIN\)/(farzi .*)$", Path("Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    (_, distill), (_, evaluate) = (parse_words(command_parser(), shlex.split(one)[1:]) for one in commands)
    assert (distill.distill.size.sequences, distill.distill.size.length) == (50, 10), "as the README says of the demo"
    assert evaluate.evaluate.summary == distill.distill.run
