"""``farzi report``: a page that needs nothing else, whatever there is of a run."""

import itertools
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from page_reader import PageReader
from small_run import QUICK, QUICK_STUDY
from test_text_commands import MODEL as TEXT_MODEL
from test_text_commands import write_text

import farzi
from farzi.cli import main
from farzi.events import Vocabulary
from farzi.summary import load

pytest.importorskip("jinja2", reason="the extra report is not installed")
pytest.importorskip("matplotlib", reason="the extra report is not installed")

SECTIONS = [
    "What was distilled",
    "What it is worth, and when it has paid for itself",
    "How it was learned",
    "What its sequences look like",
    "How to make it again",
]


@pytest.fixture(scope="session")
def compared(finished, tmp_path_factory) -> Path:
    """A run with a study of it, in a folder whose name is no HTML; not to be changed."""
    folder = tmp_path_factory.mktemp("compared") / "films <b>& more"
    shutil.copytree(finished, folder)
    assert main(["evaluate", str(folder), *QUICK_STUDY]) == 0
    return folder


@pytest.fixture
def copied(compared, tmp_path) -> Path:
    return shutil.copytree(compared, tmp_path / "run")


def page_of(*runs: Path) -> PageReader:
    output = runs[0].parent / "page.html"
    assert main(["report", *map(str, runs), "-o", str(output)]) == 0
    page = PageReader(output.read_text(encoding="utf-8"))
    check(page)
    return page


def check(page: PageReader) -> None:
    """What holds for every page."""
    assert page.wrong == []
    assert page.all("script") == []
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    for svg in page.all("svg"):
        assert svg["viewbox"].startswith("0 0 ")
        assert svg["role"] == "img"
        assert all(svg[name] for name in ("width", "height", "aria-label"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids)), "an id that two pictures share would mix them up"
    links = {attributes["xlink:href"] for _, attributes in page.elements if "xlink:href" in attributes}
    assert links <= {f"#{one}" for one in ids}
    assert all(cell["scope"] in ("row", "col") for cell in page.all("th"))
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert page.all("html") == [{"lang": "en"}]


def test_a_run_is_told_in_every_section(compared, films):
    page = page_of(compared)
    assert page.headings == [(1, "films <b>& more"), *((2, section) for section in SECTIONS)]
    assert len(page.all("svg")) == 6
    farzi_row = json.loads((compared / "result.json").read_text())[-1]
    for told in (
        "3 synthetic sequences of 5 positions, distilled from the 140 training events of u.data.",
        f"alone keeps {100 * farzi_row['min_retention']:.1f} %",
        "sasrec, trained from scratch on",
        f"{100 * farzi_row['metrics']['AUC']['mean']:.2f} ± {100 * farzi_row['metrics']['AUC']['std']:.2f}",
        f"{(compared / 'summary.safetensors').stat().st_size:,} bytes",
        "in 2 steps",
        "best",
        "3 sequences were looked for in the real ones",
        "Sequence 2, ",
        "Film A (1999)",
        "of the training events",
        "farzi distill --config config.yaml -o runs/again",
        farzi_row["commit"],
        farzi_row["machine"],
    ):
        assert told in page.text, told
    assert (compared / "config.yaml").read_text() in "".join(page.texts)


def test_the_page_of_a_run_lies_in_its_folder_and_is_the_same_each_time(copied):
    pages = []
    for _ in range(2):
        assert main(["report", str(copied)]) == 0
        pages.append((copied / "report.html").read_bytes())
    assert pages[0] == pages[1]


def test_titles_are_text_and_nothing_else(copied):
    summary = load(copied / "summary.safetensors")
    evil = '<script>alert("1")</script> & \x00\x1b\x85 \u202e日本 🎬'
    titles = tuple(f"{evil} {id_}" for id_ in summary.vocabulary.ids)
    replace(summary, vocabulary=Vocabulary(summary.vocabulary.ids, titles)).save(copied / "summary.safetensors")
    page = page_of(copied)
    assert r'<script>alert("1")</script> & \x00\x1b\x85 ' + "\u202e日本 🎬 0" in page.text
    assert {"bdi"} <= {tag for tag, _ in page.elements}, "what turns the direction of writing ends with the title"
    assert "\x00" not in page.text


def test_several_runs_are_put_side_by_side(compared, finished, tmp_path):
    twin = shutil.copytree(finished, tmp_path / compared.name)
    page = page_of(twin, compared, finished)
    assert [text for level, text in page.headings if level == 2] == [str(twin), str(compared), "films"]
    assert [text for level, text in page.headings if level == 3].count("How it was learned") == 3
    assert {link["href"] for link in page.all("a")} == {"#run-1", "#run-2", "#run-3"}


def test_what_a_run_lacks_is_told_with_the_command_that_makes_it(copied):
    steps = {
        "result.json": f"farzi evaluate {copied}",
        "summary.safetensors": f"farzi distill --config {copied}/config.yaml -o {copied} --resume",
        "metrics.jsonl": "Its outer loop has not begun",
    }
    missing = {
        "result.json": SECTIONS[1],
        "summary.safetensors": SECTIONS[3],
        "metrics.jsonl": SECTIONS[2],
    }
    for name, told in steps.items():
        (copied / name).unlink()
        page = page_of(copied)
        assert told in page.text
        assert missing[name] not in [text for _, text in page.headings]
    assert [text for _, text in page.headings] == ["run", SECTIONS[0], SECTIONS[4]]


def test_a_step_that_is_being_written_is_left_out(copied):
    metrics = copied / "metrics.jsonl"
    metrics.write_text(metrics.read_text() + '{"step": 3, "sec')
    assert "in 2 steps" in page_of(copied).text


def test_a_page_does_without_the_data(copied, films):
    config = copied / "config.yaml"
    config.write_text(config.read_text().replace(str(films), "elsewhere.data"))
    page = page_of(copied)
    assert len(page.all("svg")) == 5
    assert "With the data of the run at hand" in page.text


def test_other_data_under_the_same_name_is_not_compared_with(copied, films, tmp_path):
    other = tmp_path / "u.data"
    other.write_text("".join(films.read_text().splitlines(keepends=True)[9:]))
    config = copied / "config.yaml"
    config.write_text(config.read_text().replace(str(films), str(other)))
    assert len(page_of(copied).all("svg")) == 5


def test_a_run_made_in_python_has_a_page(films, tmp_path):
    quick = farzi.Training(steps=4, evaluate_every=2)
    farzi.distill(
        farzi.load_events(films),
        model=farzi.SASRec(dim=4, max_length=5),
        size=farzi.Size(sequences=3, length=5, rank=4, targets="next"),
        objective=farzi.MetaMatching(window=2, steps=3),
        loop=farzi.OuterLoop(steps=1, evaluate_every=1),
        teachers=farzi.Teachers(count=1, training=quick),
        run=tmp_path / "run",
    )
    page = page_of(tmp_path / "run")
    assert f"farzi evaluate {tmp_path}/run/summary.safetensors -o {tmp_path}/run/result.json" in page.text
    assert "settings.json, what decided the summary:" in page.text


@pytest.mark.slow
def test_text_is_told_by_perplexity(tmp_path):
    text = write_text(tmp_path / "a text.txt")
    run = tmp_path / "run"
    model = [*TEXT_MODEL, *QUICK[6:]]
    assert main(["distill", "--text", str(text), "--tokenizer", "char", "-o", str(run), *model]) == 0
    assert main(["evaluate", str(run), *QUICK_STUDY]) == 0
    page = page_of(run)
    score = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])["score"]
    assert f"perplexity, on validation data by students: start {2.718281828459045**-score:.2f}" in page.text
    assert "tokenizer char" in page.text
    assert "␣" in page.text
    assert len(page.all("svg")) == 6


DAMAGE = [
    ("result.json", "[]"),
    ("result.json", "{"),
    ("result.json", '[{"method": "full"}]'),
    ("metrics.jsonl", '{"step": 1}\n'),
    ("metrics.jsonl", "[1]\n"),
    ("settings.json", "{}"),
    ("run.json", "{}"),
    ("summary.safetensors", "no"),
    ("config.yaml", b"\xff"),
]


@pytest.mark.parametrize(("name", "content"), DAMAGE)
def test_a_damaged_file_is_named_and_nothing_is_written(refused, copied, name, content):
    (copied / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    told = refused("report", copied)
    assert str(copied) in told
    assert not (copied / "report.html").exists()


@pytest.mark.parametrize(
    "damage",
    [("metrics", None), ("metrics", {"AUC": {"mean": "x"}}), ("bytes", "many"), ("cost", []), ("min_retention", 1e999)],
)
def test_a_value_of_another_kind_is_damage(refused, copied, damage):
    path = copied / "result.json"
    rows = json.loads(path.read_text())
    rows[-1][damage[0]] = damage[1]
    path.write_text(json.dumps(rows))
    assert f"{path} is damaged" in refused("report", copied)


def test_what_is_no_run_is_refused(refused, tmp_path, films, monkeypatch, compared):
    (tmp_path / "search").mkdir()
    for name in ("settings.json", "trials.json"):
        (tmp_path / "search" / name).write_text("{}")
    for place in (tmp_path / "nowhere", tmp_path, films, tmp_path / "search"):
        assert f"{place} is not the folder of a run" in refused("report", place)
    (tmp_path / "file").write_text("mine")
    assert f"{tmp_path}/file/page.html cannot be written" in refused(
        "report", compared, "-o", tmp_path / "file/page.html"
    )
    for package in ("jinja2", "matplotlib"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            assert "pip install 'farzi[report]'" in refused("report", compared, "-o", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
