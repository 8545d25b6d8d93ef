"""Every command on text: the same words as for events, with a file of one's own or a name."""

import json
import re
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from small_run import QUICK, QUICK_STUDY, write_text

from farzi.cli import main
from farzi.distill.budget import read_budget
from farzi.evaluation import NextItem, NextToken
from farzi.summary import load

SHARED = Path(__file__).parents[3] / "shared" / "data"
MODEL = ["--model", "transformer", "--model.dim", "4", "--model.max_length", "5"]
QUICK = [*MODEL, *QUICK[6:]]
KINDS = {"word": [], "char": ["--tokenizer", "char"], "bpe": ["--tokenizer", "bpe", "--vocab", "280"]}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """On a path with spaces, with Windows' line ends, and without one at the end."""
    return write_text(tmp_path_factory.mktemp("my texts") / "a text.txt")


OFTEN = "bpe"  # the kind that has something of its own everywhere; the others are looked at with the slow tests


@pytest.fixture(
    scope="module", params=[kind if kind == OFTEN else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def run(request, text, tmp_path_factory):
    if request.param == "bpe" and find_spec("tokenizers") is None:
        pytest.skip("the extra bpe is not installed")
    folder = tmp_path_factory.mktemp("runs") / request.param
    words = ["distill", "--text", str(text), *KINDS[request.param], "-o", str(folder), *QUICK]
    assert main(words) == 0
    return request.param, folder


def test_a_text_is_distilled_compared_trained_on_and_inspected(run, text, tmp_path, capsys):
    kind, folder = run
    file = folder / "summary.safetensors"
    summary = load(file)
    assert summary.tokenizer.kind == kind
    assert (summary.card.data, summary.card.model["name"]) == ("a text.txt", "transformer")

    assert main(["evaluate", str(folder), *QUICK_STUDY]) == 0
    out = capsys.readouterr().out
    assert re.search(r"perplexity +\d", out)
    assert re.search(r"accuracy, % +\d", out)
    rows = json.loads((folder / "result.json").read_text())
    assert [row["method"] for row in rows] == ["full", "random", "random_teacher", "farzi"]
    full, farzi = rows[0], rows[-1]
    assert list(full["metrics"]) == ["perplexity", "accuracy"]
    means = [row["metrics"]["perplexity"]["mean"] for row in (full, farzi)]
    assert farzi["retention"]["perplexity"] == pytest.approx(means[0] / means[1])
    assert full["sequences"] > 100
    assert farzi["share_of_events"] == pytest.approx(15 / summary.card.num_events)

    # The file alone knows how its text was cut.
    words = ["evaluate", str(file), "--text", str(text), "--methods", "farzi", *QUICK_STUDY]
    assert main([*words, "-o", str(tmp_path / "r.json")]) == 0
    assert json.loads((tmp_path / "r.json").read_text())[1]["metrics"] == farzi["metrics"]

    assert main(["train", str(file), "-o", str(tmp_path / "m"), "--text", str(text)]) == 0
    assert re.search(r"perplexity \d+\.\d\d on validation data", capsys.readouterr().out)

    assert main(["inspect", str(file), "--top", "3"]) == 0
    out = capsys.readouterr().out
    assert f"tokenizer {kind}" in out
    assert len(re.findall(r"\d+\.\d % \S+", out[out.index("advice") :])) == 3 * 2 * 5

    assert main(["export", str(file), "-o", str(tmp_path / "drawn.txt")]) == 0
    assert (tmp_path / "drawn.txt").stat().st_size > 20


def test_a_text_is_distilled_in_little_time(text, tmp_path, capsys):
    """With options of no kind, but for a vocabulary that is this small."""
    words = ["distill", "--text", str(text), "-o", str(tmp_path / "run"), "--minutes", "0.03"]
    assert main(words) == 0
    card = load(tmp_path / "run" / "summary.safetensors").card
    assert card.model["name"] == "transformer"
    assert card.origin["teachers"]["training"]["steps"] < 40_000
    assert card.advice.steps > 1
    student = read_budget(tmp_path / "run" / "budget.json").student
    assert student.decay == NextToken.judging.decay > 0
    judged = round(card.advice.steps * NextToken.judging.steps / NextToken.student.steps)
    assert card.advice.steps > judged
    assert card.advice.decay == student.decay_within(judged)
    assert card.advice.weight_decay == student.weight_decay == NextToken.student.weight_decay > 0
    assert card.advice.crop == student.crop == NextToken.student.crop > 0
    assert "class_path: farzi.models.Transformer\n" in (tmp_path / "run" / "config.yaml").read_text()
    assert main([*words, "--resume"]) == 0


def printed_model(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as end:
        main([*words, "--print_config"])
    assert end.value.code == 0
    return capsys.readouterr().out.partition("\nmodel:\n")[2].partition("\nsize:")[0]


@pytest.mark.parametrize("command", ["distill", "tune"])
def test_the_data_says_which_model_is_the_default(capsys, tmp_path, command):
    for words, kind, dim in (
        (["--text", "a.txt"], "Transformer", 64),
        (["ptb"], "Transformer", 64),
        (["ml-100k"], "SASRec", 32),
        ([], "SASRec", 32),
        (["a.csv", "--model.dim", "16"], "SASRec", 16),
        (["--text=a.txt", "--model.dim=16", "--model.blocks", "3"], "Transformer", 16),
        (["--text", "a.txt", "--model", "sasrec"], "SASRec", 32),
    ):
        told = printed_model(capsys, command, *words)
        assert f"class_path: farzi.models.{kind}\n" in told
        assert f"    dim: {dim}\n" in told
    (tmp_path / "recipe.yaml").write_text("text: a.txt\nsize:\n  rank: 7\n")
    assert "Transformer" in printed_model(capsys, command, "--config", str(tmp_path / "recipe.yaml"))
    (tmp_path / "recipe.yaml").write_text("text: a.txt\nmodel:\n  class_path: farzi.models.GRU\n")
    assert "GRU\n" in printed_model(capsys, command, "--config", str(tmp_path / "recipe.yaml"))


@pytest.mark.parametrize("command", ["distill", "tune"])
def test_the_data_says_how_teachers_are_trained(capsys, tmp_path, command):
    (tmp_path / "recipe.yaml").write_text("text: a.txt\nteachers:\n  training:\n    steps: 7\n")
    recipe = ["--config", str(tmp_path / "recipe.yaml")]
    for words, usual, changed in (
        (["--text", "a.txt"], NextToken, {}),
        (["ml-100k", "--teachers.count", "1"], NextItem, {}),
        (["ptb", "--teachers.training.dropout=0.3"], NextToken, {"dropout": 0.3}),
        (recipe, NextToken, {"steps": 7}),
        ([*recipe, "--teachers.training.steps", "9", "--model", "gru"], NextToken, {"steps": 9}),
    ):
        with pytest.raises(SystemExit):
            main([command, *words, "--print_config"])
        told = yaml.safe_load(capsys.readouterr().out)["teachers"]
        assert told["training"] == asdict(usual.full_data) | changed


@pytest.mark.slow
def test_progress_speaks_of_perplexity(text, tmp_path, capsys):
    assert main(["distill", "--text", str(text), "-o", str(tmp_path / "run"), *QUICK]) == 0
    err = capsys.readouterr().err
    assert re.search(r"valid perplexity \d+\.\d\d \(best \d+\.\d\d\)", err)


def test_the_recipe_of_a_text_gives_the_same_summary(run, tmp_path):
    _, folder = run
    assert main(["distill", "--config", str(folder / "config.yaml"), "-o", str(tmp_path)]) == 0
    assert (tmp_path / "summary.safetensors").read_bytes() == (folder / "summary.safetensors").read_bytes()


def test_a_named_text_is_read_from_a_path(capsys):
    if not (SHARED / "ptb").is_dir():
        pytest.skip("the Penn Treebank is not beside the repository")
    assert main(["data", "describe", "ptb", "--path", str(SHARED / "ptb")]) == 0
    counts = dict(re.findall(r"(num_\w+|vocab_size)\W+(\d+)", capsys.readouterr().out.replace(",", "")))
    assert counts == {"vocab_size": "10000", "num_train": "929589", "num_valid": "73760", "num_test": "82430"}
    assert main(["data", "list"]) == 0
    assert "tinyshakespeare" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (bytes(range(256)) * 40, "text must be UTF-8"),
        (b"spam " * 9999, "repeats one word"),
        (b"too short\n", "too short"),
    ],
)
def test_a_file_that_is_no_text_is_named(refused, tmp_path, content, told):
    path = tmp_path / "a file.txt"
    path.write_bytes(content)
    line = refused("distill", "--text", path, "-o", tmp_path / "run", *QUICK)
    assert told in line
    assert str(path) in line
    assert not (tmp_path / "run").exists()


def test_lines_that_are_read_as_sequences_are_said_to_be(text, tmp_path, capsys):
    """A text that is named without --text: it may be one, or somebody's sequences."""
    words = ["distill", str(text), "-o", str(tmp_path / "run"), *QUICK, "--sequences", "99999"]
    assert main(words) == 2
    assert "is read as sequences of events, one a line; --text reads it as a text" in capsys.readouterr().err
    assert main([*words, "--format", "sequences"]) == 2
    assert "--text" not in capsys.readouterr().err


def test_options_that_do_not_fit_are_named(refused, text, films, tmp_path):
    run = ["-o", tmp_path / "run", *QUICK]
    assert "name the data" in refused("distill", *run)
    assert "name the data" in refused("distill", films, "--text", text, *run)
    assert "--format is given" in refused("distill", "--text", text, "--format", "csv", *run)
    assert "--tokenizer is given" in refused("distill", films, "--tokenizer", "char", *run)
    assert "--vocab is given" in refused("distill", films, "--vocab", "9", *run)
    assert "tokenizer must be one of word, char, bpe" in refused("distill", "--text", text, "--tokenizer", "w", *run)
    assert "nowhere.txt is missing" in refused("distill", "--text", tmp_path / "nowhere.txt", *run)
    assert not (tmp_path / "run").exists()


def test_another_vocabulary_is_refused(refused, run, text, films):
    _, folder = run
    line = refused("evaluate", folder, "--text", text, "--tokenizer", "word", "--vocab", "5", *QUICK_STUDY)
    assert "the summary was made from a text.txt" in line
