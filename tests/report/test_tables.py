"""What people read of a study and of a summary."""

import dataclasses
import io
import json
import re
import shutil
import subprocess
import sys

import pytest
import torch
from rich.console import Console

from farzi.errors import InputError
from farzi.evaluation import Row
from farzi.events import Vocabulary
from farzi.report import card_table, read_record, record, result_table, sequence_table
from farzi.summary import Advice, Card, Factors, Summary


def shown(*tables, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(*tables)
    return out.getvalue()


def row(method: str, **changes) -> Row:
    metrics = {name: {"mean": 0.5934, "std": 0.0111, "seeds": [0.58, 0.60]} for name in ("HR@100", "AUC")}
    row = Row(
        dataset="ml-100k",
        method=method,
        teacher="sasrec",
        student="sasrec",
        sequences=50,
        length=50,
        targets="free",
        share_of_events=0.0257,
        bytes=480_123,
        metrics=metrics,
        retention={"HR@100": 1.0123, "AUC": 0.987},
        min_retention=0.987,
        cost={"fit_s": 4.321, "fit_full_s": 60.0, "teacher_s": 250.0, "distill_s": 540.0, "break_even": None},
    )
    return dataclasses.replace(row, **changes)


ROWS = [row("full"), row("random"), row("random_teacher"), row("farzi")]


def test_a_study_fits_into_eighty_characters_whole():
    text = shown(result_table(ROWS))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert text.count("59.34 ± 1.11") == 8


def test_a_study_loses_nothing_on_a_narrow_terminal():
    narrow, wide = (shown(result_table(ROWS), width=width) for width in (40, 80))
    assert max(map(len, narrow.splitlines())) <= 40
    assert sorted(re.sub(r"[\s─]", "", narrow)) == sorted(re.sub(r"[\s─]", "", wide))


def test_a_study_shows_quality_size_and_cost():
    lines = {line[:19].strip(): line[19:].split() for line in shown(result_table([row("farzi")])).splitlines()}
    assert lines["HR@100, %"] == ["59.34", "±", "1.11"]
    assert lines["min retention, %"] == ["98.7"]
    assert lines["sequences"] == ["50", "x", "50"]
    assert lines["of the events, %"] == ["2.6"]
    assert lines["bytes"] == ["480,123"]
    assert lines["one training, s"] == ["4.32"]
    assert lines["distillation, s"] == ["540"]
    assert "break-even after" not in lines, "nothing is said of what is not known"


def summary(kind: str = "free") -> Summary:
    logits = torch.full((2, 3, 4), -20.0)
    logits[1, :, :] = torch.tensor([[2.0, 0, 1, -1], [0, 2, 1, -1], [0, 0, 0, 9]])
    targets = logits.flip(-1)
    return Summary(
        factors=Factors(latents=logits, decoder=torch.eye(4), targets=targets if kind == "free" else None),
        vocabulary=Vocabulary(("a", "b", "c", "d"), ("Alien [1979]", "Brazil", "Casablanca", "Duel")),
        card=Card(
            data="films",
            data_fingerprint="",
            num_events=600,
            model={"name": "sasrec", "dim": 8},
            advice=Advice(lr=0.0123, batch_size=2, steps=150, decay=0.25, weight_decay=0.1, crop=0.8),
        ),
    )


def test_a_sequence_is_shown_by_its_likeliest_titles():
    text = shown(sequence_table(summary(), sequence=1, top=2))
    first = torch.tensor([2.0, 0, 1, -1]).softmax(0)
    assert re.search(rf"{100 * first[0]:.1f} % Alien \[1979\].*{100 * first[0]:.1f} % Duel", text)
    assert f"{100 * first[2]:.1f} % Casablanca" in text
    assert len(re.findall(r"\d % ", text)) == 3 * 2 * 2
    assert text.index("Alien") < text.index("Casablanca"), "the likeliest comes first"


def test_targets_of_the_papers_form_are_the_next_inputs():
    lines = [line for line in shown(sequence_table(summary("next"), sequence=1, top=1)).splitlines() if " % " in line]
    titles = [re.findall(r"% (\w+)", line) for line in lines]
    assert titles == [["Alien", "Brazil"], ["Brazil", "Duel"]]


@pytest.mark.parametrize(
    ("options", "told"),
    [({"sequence": 2}, "sequences 0 to 1"), ({"sequence": -1}, "sequences 0 to 1"), ({"top": 0}, "at least 1")],
)
def test_what_cannot_be_shown_is_refused(options, told):
    with pytest.raises(InputError, match=told):
        sequence_table(summary(), **options)


def test_more_events_than_there_are_show_all():
    assert len(re.findall(r"\d % ", shown(sequence_table(summary(), sequence=1, top=9)))) == 3 * 2 * 4


def test_a_card_says_what_the_summary_is_and_how_to_use_it():
    text = " ".join(shown(card_table(summary()), width=160).split())
    for piece in (
        "2 x 3",
        "1.0 % of 600",
        "films",
        "sasrec: dim 8",
        "learning rate 0.0123, 2 sequences a step, 150 steps, falling over the last 25% of them, weight decay 0.1",
        "end left out",
    ):
        assert piece in text


def test_a_small_share_of_the_events_is_not_rounded_to_nothing():
    few = summary()
    many = dataclasses.replace(few, card=dataclasses.replace(few.card, num_events=96_774))
    assert "0.0062 % of 96,774" in shown(card_table(many), width=160)


def test_a_record_holds_what_it_takes_to_get_it_again():
    rows = json.loads(json.dumps(record(ROWS, command="farzi evaluate runs/x", configuration={"study": {"seeds": 3}})))
    assert [one["method"] for one in rows] == ["full", "random", "random_teacher", "farzi"]
    for one, told in zip(rows, ROWS, strict=True):
        assert one.items() >= json.loads(json.dumps(dataclasses.asdict(told))).items()
        assert one["command"] == "farzi evaluate runs/x"
        assert one["configuration"] == {"study": {"seeds": 3}}
        assert one["versions"].keys() == {"farzi", "torch", "numpy", "python"}
        assert re.search(r"\d+ cores, \d+ GB$", one["machine"])


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A source tree with one commit, in the place of farzi's own."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    monkeypatch.setattr(sys.modules["farzi.report.record"], "_CHECKOUT", tmp_path)
    return tmp_path


def git(folder, *words: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", "-C", folder, *identity, *words], check=True, capture_output=True, text=True).stdout


def commit_of_record() -> str:
    return record([row("full")], command="", configuration={})[0]["commit"]


def test_the_commit_is_that_of_the_source_and_says_if_that_was_changed(checkout):
    assert re.fullmatch(r"\d+\.\d+\S*", commit_of_record()), "installed without a source tree: the version"
    git(checkout, "init", "-q")
    (checkout / "file").write_text("one")
    git(checkout, "add", "file")
    git(checkout, "commit", "-qm", "one")
    git(checkout, "tag", "v9")
    head = git(checkout, "rev-parse", "HEAD").strip()
    assert commit_of_record() == head
    (checkout / "file").write_text("two")
    assert commit_of_record() == f"{head}-dirty"


def test_a_record_is_read_again(tmp_path):
    path = tmp_path / "result.json"
    path.write_text(json.dumps(record(ROWS, command="farzi evaluate runs/x", configuration={})))
    read = read_record(path)
    assert read.command == "farzi evaluate runs/x"
    assert read.versions.keys() == {"farzi", "torch", "numpy", "python"}
    assert shown(result_table(read.rows)) == shown(result_table(ROWS))
