"""What the user can mend is told in one line, ends with exit code 2, and leaves nothing half-written."""

import errno
import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_run import MODEL, QUICK, run_as_process, write_films

from farzi.cli import main
from farzi.distill import locked
from farzi.events import Vocabulary
from farzi.models import SASRec
from farzi.summary import load
from farzi.training import save_weights


def distil(data: str | Path, run: Path, *more: str | Path) -> list[str | Path]:
    return ["distill", data, "-o", run, *QUICK, *more]


def test_a_missing_file_is_named(refused, tmp_path):
    assert "nowhere.csv" in refused(*distil(tmp_path / "nowhere.csv", tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_name_that_is_nearly_right_is_corrected(refused, tmp_path):
    assert "did you mean ml-100k?" in refused(*distil("ml-100", tmp_path / "run"))
    assert "did you mean ml-100k?" in refused("data", "fetch", "ml100k")


EVENTS = "user,item,time\n" + "".join(f"u{user},i{item},{item}\n" for user in range(6) for item in range(6))


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        ("", [], "data.csv"),
        ("user,item,time\n", [], "no events"),
        (EVENTS.replace("time", "when"), [], "when"),
        (EVENTS, ["--user", "customer"], "customer"),
        (EVENTS.replace("u3,i4,4", "u3,i4,soon"), [], "soon"),
        (EVENTS, ["--min_count", "7"], "min_count"),
        (EVENTS, ["--min_count", "0"], "min_count"),
        (EVENTS, ["--format", "excel"], "excel"),
        (EVENTS + "u9,i0,0\nu9,i1,1\n", ["--min_count", "1"], "1 of the 7 users"),
    ],
    ids=["empty", "header", "columns", "column", "time", "core", "count", "format", "short"],
)
def test_data_that_cannot_be_used_is_explained(refused, tmp_path, content, options, told):
    (tmp_path / "data.csv").write_text(content)
    assert told in refused(*distil(tmp_path / "data.csv", tmp_path / "run", *options))
    assert not (tmp_path / "run").exists()


def test_data_whose_items_are_all_cold_is_refused(refused, tmp_path):
    (tmp_path / "data.csv").write_text(
        "user,item,time\n" + "".join(f"u{u},i{i},{i}\n" for u in range(5) for i in range(4))
    )
    told = refused(*distil(tmp_path / "data.csv", tmp_path / "run", "--min_count", "3"))
    assert "none of the 5 events of data.csv that are held out for validation occurs in training" in told
    assert not (tmp_path / "run").exists()


ROTATED = "user,item,time\n" + "".join(f"u{u},i{(i + u) % 6},{i}\n" for u in range(6) for i in range(6))


def test_a_summary_that_is_larger_than_its_data_is_refused(refused, tmp_path):
    (tmp_path / "data.csv").write_text(ROTATED)
    told = refused(*distil(tmp_path / "data.csv", tmp_path / "run", "--size.sequences", "5", "--size.length", "5"))
    assert "5 sequences of 5 are 25 positions, but the training data has 24 events; ask for fewer" in told
    assert not (tmp_path / "run").exists()


def test_a_model_that_looks_ahead_is_refused(refused, tmp_path, monkeypatch):
    (tmp_path / "ahead.py").write_text(
        "from dataclasses import dataclass\nimport farzi\nfrom torch import Tensor\n\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Ahead(farzi.SASRec):\n"
        "    def hidden(self, parameters: dict[str, Tensor], embeddings: Tensor, padding: Tensor | None = None,\n"
        "               rate: float = 0.0) -> Tensor:\n"
        "        return super().hidden(parameters, embeddings, padding, rate) + embeddings.roll(-1, 1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "data.csv").write_text(ROTATED)
    told = refused(*distil(tmp_path / "data.csv", tmp_path / "run", "--model", "ahead.Ahead"))
    assert "the model 'sasrec' is not causal" in told
    assert not (tmp_path / "run").exists()


def test_a_class_that_is_no_model_is_told_what_it_lacks(refused, films, tmp_path, monkeypatch):
    (tmp_path / "untyped.py").write_text(
        "import farzi\n\nclass Untyped(farzi.SASRec):\n    def init(self, vocab_size, seed):\n        return {}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    told = refused(*distil(films, tmp_path / "run", "--model", "untyped.Untyped"))
    assert (
        "--model is untyped.Untyped, which is no SequenceModel: its methods need the names, the parameters and" in told
    )


def test_sequences_of_three_events_leave_nothing_to_learn_from(refused, tmp_path):
    (tmp_path / "data.csv").write_text(
        "user,item,time\n" + "".join(f"u{u},i{(i + u) % 3},{i}\n" for u in range(5) for i in range(3))
    )
    assert "nothing to learn from" in refused(*distil(tmp_path / "data.csv", tmp_path / "run", "--min_count", "3"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--loop.minuts", "3"], "--loop.minuts"),
        (["--minute", "3"], "--minute"),
        (["--minutes", "soon"], "loop.minutes"),
        (["--minutes", "0"], "minutes is 0"),
        (["--size.targets", "hard"], "targets is 'hard'"),
        (["--objective.window", "-1"], "window is -1"),
        (["--objective.windw", "1"], "windw"),
        (["--model", "sasrek"], "did you mean sasrec?"),
        (["--model", "oracle"], "farzi brings sasrec"),
        (["--model=no.such.Model"], "no.such.Model"),
        (["--model.heads", "3"], "heads is 3"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--length", "9"], "max_length is 5"),
        (["more"], "more"),
        (["--device", "nonsense"], "device is 'nonsense', where torch cannot compute here; give cpu"),
        (["--device", "cuda:99"], "device is 'cuda:99', where torch cannot compute here; give cpu"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_options_that_cannot_be_used_are_named(refused, films, tmp_path, options, told):
    assert told in refused(*distil(films, tmp_path / "run", *options))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("recipe", ["loop:\n  minuts: 3\n", "loop: [3\n", "loop: fast\n", "\0"])
def test_a_recipe_that_cannot_be_used_is_refused(refused, films, tmp_path, recipe):
    (tmp_path / "recipe.yaml").write_text(recipe)
    refused(*distil(films, tmp_path / "run", "--config", tmp_path / "recipe.yaml"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "words", [[], ["distil"], ["distill"], ["evaluate"], ["data"], ["data", "remove"], ["--verbose"]]
)
def test_commands_that_are_unknown_or_incomplete(refused, words):
    refused(*words)


def test_a_run_folder_that_is_in_use_or_of_another_run_is_left_alone(refused, films, finished, tmp_path):
    before = {path: path.read_bytes() for path in finished.iterdir()}
    assert "--resume" in refused(*distil(films, finished))
    assert "another seed" in refused(*distil(films, finished, "--resume", "--seed", "1"))
    other = write_films(tmp_path, num_users=21)
    assert "another data" in refused(*distil(other, finished, "--resume"))
    with locked(finished):
        assert "in use" in refused(*distil(films, finished, "--resume"))
    changed = [path.name for path, content in before.items() if path.read_bytes() != content and path.name != ".lock"]
    assert changed == []


def test_a_file_in_the_place_of_a_run_folder(refused, films, tmp_path):
    (tmp_path / "run").write_text("mine")
    assert f"{tmp_path}/run" in refused(*distil(films, tmp_path / "run"))
    assert (tmp_path / "run").read_text() == "mine"


@contextmanager
def full_disk(monkeypatch, name: str):
    """No file of this name can be written."""
    replace = os.replace

    def refuse(source, target):
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        yield


@pytest.mark.parametrize(
    "name", ["settings.json", "config.yaml", "metrics.jsonl", "checkpoint.pt", "summary.safetensors"]
)
def test_a_full_disk_leaves_nothing_half_written(refused, films, tmp_path, monkeypatch, name):
    with full_disk(monkeypatch, name):
        assert "No space left on device" in refused(
            *distil(films, tmp_path, "--steps", "1", "--loop.checkpoint_every", "1")
        )
    left = {path.name for path in tmp_path.iterdir()}
    assert name not in left
    assert not [other for other in left if other.startswith(".") and other != ".lock"]
    assert (
        main(
            [str(word) for word in distil(films, tmp_path, "--steps", "1", "--loop.checkpoint_every", "1", "--resume")]
        )
        == 0
    )
    assert (tmp_path / "summary.safetensors").is_file()


@pytest.mark.parametrize("command", [["evaluate"], ["inspect"], ["train", "-o", "model.safetensors"]])
def test_files_that_are_no_summary_are_refused(refused, finished, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    whole = (finished / "summary.safetensors").read_bytes()
    (tmp_path / "short").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text").write_text("not a summary")
    save_file({"latents": torch.zeros(1, 2, 3)}, tmp_path / "foreign")
    for name in ("short", "text", "foreign", "nowhere"):
        assert name in refused(*command, tmp_path / name)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_summary_of_another_vocabulary_is_refused(refused, finished, tmp_path):
    rows = [f"u{user},item{item},{item}\n" for user in range(9) for item in range(9)]
    (tmp_path / "other.csv").write_text("user,item,time\n" + "".join(rows))
    summary = finished / "summary.safetensors"
    for words in (
        ["evaluate", finished, "--format", "csv"],
        ["evaluate", summary],
        ["train", summary, "-o", tmp_path / "m"],
    ):
        assert "the summary was made from u.data" in refused(*words, "--data", tmp_path / "other.csv")
    assert not (tmp_path / "m").exists()


def test_a_model_that_reads_less_than_the_summary_holds_is_refused(refused, finished, tmp_path):
    words = ["train", finished / "summary.safetensors", *MODEL, "--model.max_length", "4", "-o", tmp_path / "m"]
    assert "max_length of at least 5" in refused(*words)
    assert not (tmp_path / "m").exists()


def test_a_start_that_does_not_fit_the_summary_is_refused(refused, finished, tmp_path):
    words = ["train", finished / "summary.safetensors", "-o", tmp_path / "m", "--start"]
    assert "give a model that `farzi train` wrote" in refused(*words, tmp_path / "nowhere")
    model = SASRec(dim=4, max_length=5)
    for events, name in ((("a", "b"), "other"), (load(finished / "summary.safetensors").vocabulary.ids, "same")):
        save_weights(tmp_path / name, model, model.init(len(events), 0), Vocabulary(tuple(events)))
    assert "was trained on other events than the" in refused(*words, tmp_path / "other")
    assert "leave out --model" in refused(*words, tmp_path / "same", *MODEL)
    assert not (tmp_path / "m").exists()


def test_every_command_that_trains_refuses_a_device_that_is_not_there(refused, films, finished, tmp_path):
    for words in (["tune", films], ["evaluate", finished], ["train", finished / "summary.safetensors"]):
        assert "device is 'gpu'" in refused(*words, "-o", tmp_path / "new", "--device", "gpu")
    assert not (tmp_path / "new").exists()


def test_a_run_that_is_not_finished_is_not_compared(refused, finished, tmp_path):
    assert "config.yaml" in refused("evaluate", tmp_path)
    (tmp_path / "config.yaml").write_bytes((finished / "config.yaml").read_bytes())
    assert "finish the run" in refused("evaluate", tmp_path)


def test_data_that_only_the_card_names_is_asked_for(refused, finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "--data" in refused("evaluate", finished / "summary.safetensors")


@pytest.mark.parametrize("name", ["../films/u.data", "/etc/passwd", "..", ""])
def test_a_card_cannot_name_a_path(refused, finished, tmp_path, monkeypatch, name):
    (tmp_path / "here").mkdir()
    write_films(tmp_path / "films")
    monkeypatch.chdir(tmp_path / "here")
    summary = load(finished / "summary.safetensors")
    replace(summary, card=replace(summary.card, data=name)).save("summary")
    assert "name the data" in refused("evaluate", "summary")


def test_a_card_with_other_teachers_than_there_can_be_is_refused(refused, films, finished, tmp_path):
    summary = load(finished / "summary.safetensors")
    for teachers in ({"count": 1}, [1], {"count": 1, "training": {"speed": 3}}):
        changed = replace(summary, card=replace(summary.card, origin={"teachers": teachers}))
        changed.save(tmp_path / "summary")
        assert "does not say which teachers" in refused("evaluate", tmp_path / "summary", "--data", films)


def test_studies_and_sequences_that_there_cannot_be(refused, finished):
    summary = finished / "summary.safetensors"
    assert "seeds is 0" in refused("evaluate", finished, "--seeds", "0")
    assert "magic" in refused("evaluate", finished, "--methods", "magic")
    assert "add farzi" in refused("evaluate", finished, "--methods", "random", "--measured", "m")
    assert "sequences 0 to 2" in refused("inspect", summary, "--sequence", "3")
    assert "--top is 0" in refused("inspect", summary, "--top", "0")


def test_a_process_prints_one_line_and_no_traceback(tmp_path):
    done = run_as_process(["distill", "nowhere.csv", "-o", "run"], cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("farzi: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
