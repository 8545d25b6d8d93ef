"""Every command does its job on a small data set, and its output is what the next one takes."""

import json
import math
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import yaml
from small_run import ITEMS, MODEL, QUICK, QUICK_STUDY, run_as_process

from farzi.cli import main
from farzi.commands import COMMANDS, data, distill, evaluate
from farzi.evaluation import NextItem
from farzi.metagrad import execution
from farzi.models import MODELS
from farzi.summary import load
from farzi.training import advised, fit, load_weights, with_assistants


def test_help_has_a_line_for_each_command(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, command in COMMANDS.items():
        assert f"{name} {command.help}" in shown


@pytest.mark.parametrize("command", [[name] for name in COMMANDS] + [["data", "fetch"], ["data", "describe"]])
def test_every_option_of_every_command_is_explained(capsys, command):
    with pytest.raises(SystemExit) as end:
        main([*command, "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    if command == ["distill"]:
        assert "--loop.minutes" in out
        assert "--minutes for --loop.minutes" in " ".join(out.split())


@pytest.mark.parametrize("words", [["--size", "7x3"], ["--size=7x3"]])
def test_a_size_may_be_given_in_one_word(capsys, words):
    with pytest.raises(SystemExit):
        main(["distill", "ml-100k", *words, "--size.rank", "5", "--print_config"])
    size = yaml.safe_load(capsys.readouterr().out)["size"]
    assert (size["sequences"], size["length"], size["rank"]) == (7, 3, 5)


def test_version_by_the_module(tmp_path):
    done = run_as_process(["--version"], cwd=tmp_path)
    assert re.fullmatch(r"farzi \d+\.\d+\S*\n", done.stdout)
    assert done.returncode == 0


def test_a_run_leaves_summary_recipe_and_records(finished):
    names = {path.name for path in finished.iterdir()}
    assert {"summary.safetensors", "config.yaml", "metrics.jsonl", "run.json", "checkpoint.pt"} <= names
    assert not [name for name in names if name.startswith(".summary") or name.startswith(".config")]
    steps = [json.loads(line)["step"] for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2]
    card = load(finished / "summary.safetensors").card
    assert card.model == {"name": "sasrec", "dim": 4, "blocks": 1, "heads": 1, "max_length": 5}


def test_the_recipe_of_a_run_gives_the_same_summary(finished, tmp_path):
    assert main(["distill", "--config", str(finished / "config.yaml"), "-o", str(tmp_path)]) == 0
    assert (tmp_path / "summary.safetensors").read_bytes() == (finished / "summary.safetensors").read_bytes()
    assert (tmp_path / "config.yaml").read_text() == (finished / "config.yaml").read_text()


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "c++", "clang++"))), reason="a C++ compiler is needed")
def test_a_run_with_compiled_steps_finds_nearly_the_same(films, finished, tmp_path, monkeypatch):
    made = []

    def counted(*arguments):
        made.append(arguments)
        return make(*arguments)

    make = execution._program
    monkeypatch.setattr(execution, "_program", counted)
    compiled = ["--objective.execution", "farzi.metagrad.Compiled"]
    assert main(["distill", str(films), *QUICK, *compiled, "-o", str(tmp_path)]) == 0
    assert len(made) == 2, "a gradient and a Hessian-vector product, for all windows"
    one, other = (load(folder / "summary.safetensors").factors for folder in (finished, tmp_path))
    torch.testing.assert_close(other.latents, one.latents, rtol=1e-2, atol=1e-3)


def test_a_finished_run_can_be_resumed_and_stays_the_same(films, finished, capsys):
    before = {path.name: path.read_bytes() for path in finished.iterdir() if path.name not in ("run.json", ".lock")}
    assert main(["distill", str(films), "-o", str(finished), *QUICK, "--resume"]) == 0
    assert "summary.safetensors is written" in capsys.readouterr().out.replace("\n", " ")
    for name, content in before.items():
        assert (finished / name).read_bytes() == content, name


def printed_recipe(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(["distill", *words, "--print_config"])
    assert end.value.code == 0
    return capsys.readouterr().out


def test_a_printed_recipe_can_be_edited_and_passed_back(capsys, tmp_path):
    text = printed_recipe(capsys, "--minutes", "7", "--targets=next")
    assert "  minutes: 7.0\n" in text
    assert "  targets: next\n" in text
    edited = tmp_path / "recipe.yaml"
    edited.write_text(text.replace("  window: ", "  window: 1  # was ").replace("  rank: 32", "  rank: 16"))
    again = printed_recipe(capsys, "--config", str(edited))
    assert "  rank: 16\n" in again
    assert "    window: 1\n" in again
    assert "  minutes: 7.0\n" in again


@pytest.mark.parametrize("first", [True, False])
def test_the_command_line_beats_the_recipe_wherever_it_stands(capsys, tmp_path, first):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: recipe.csv\nsize:\n  length: 7\n  rank: 7\n")
    given = ["mine.csv", "--length", "3"]
    config = ["--config", str(recipe)]
    text = printed_recipe(capsys, *(config + given if first else given + config))
    assert "data: mine.csv\n" in text
    assert "  length: 3\n" in text
    assert "  rank: 7\n" in text


def test_a_study_of_a_run_is_printed_and_recorded(finished, tmp_path, capsys):
    run = shutil.copytree(finished, tmp_path / "run")
    assert main(["evaluate", str(run), *QUICK_STUDY]) == 0
    out, err = capsys.readouterr()
    assert "study 0%: training 1 of 14: full, model 1 of 2" in err
    rows = json.loads((run / "result.json").read_text())
    assert [row["method"] for row in rows] == ["full", "random", "random_teacher", "farzi"]
    for row in rows:
        assert row["method"] in out
        assert row["command"].startswith("farzi evaluate ")
        assert {"commit", "machine", "versions", "configuration", "share_of_events", "bytes"} <= row.keys()
        assert all(len(value["seeds"]) == 2 for value in row["metrics"].values())
    farzi = rows[-1]
    assert (farzi["sequences"], farzi["length"], farzi["targets"]) == (3, 5, "free")
    assert farzi["bytes"] == (finished / "summary.safetensors").stat().st_size
    students = [farzi["training"][name] for name in ("steps", "evaluate_every", "patience")]
    assert students == [4, 2, NextItem.student.patience], "what is not said of students is as the task has it"
    costs = json.loads((finished / "run.json").read_text())
    assert farzi["cost"]["distill_s"] == costs["distill_s"]
    assert farzi["configuration"]["summary"]["origin"]["teachers"]["count"] == 1
    assert math.isclose(farzi["min_retention"], min(farzi["retention"].values()))


def test_a_summary_by_itself_is_compared_on_the_data_that_is_given(films, finished, tmp_path, capsys):
    words = ["evaluate", str(finished / "summary.safetensors"), "--data", str(films), *QUICK_STUDY]
    assert main([*words, "-o", str(tmp_path / "r.json")]) == 0
    rows = json.loads((tmp_path / "r.json").read_text())
    assert [row["method"] for row in rows] == ["full", "farzi"]
    assert rows[1]["cost"]["distill_s"] is None
    table = capsys.readouterr().out
    assert "random" not in table


@pytest.mark.parametrize(
    ("device", "cores", "given", "workers"),
    [
        ("cpu", 1, [], 1),
        ("cpu", 2, [], 2),
        ("cpu", 8, [], 3),
        ("cpu", 8, ["--seeds", "5"], 5),
        ("cpu", 8, ["--workers", "1"], 1),
        ("cpu", 2, ["--workers", "4"], 4),
        ("cuda", 8, [], 1),
    ],
)
def test_models_are_compared_side_by_side_unless_a_gpu_trains_them(
    films, finished, monkeypatch, device, cores, given, workers
):
    asked = {}
    monkeypatch.setattr(evaluate, "evaluate", lambda *_, **options: asked.update(options) or [])
    monkeypatch.setattr(evaluate, "result_table", len)
    monkeypatch.setattr(evaluate, "find_device", torch.device)
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    words = ["evaluate", str(finished / "summary.safetensors"), "--data", str(films), "--device", device, *given]
    assert main(words) == 0
    assert asked["workers"] == workers


def test_models_of_another_kind_are_compared_with_assistants(films, finished, tmp_path, capsys):
    words = ["evaluate", str(finished / "summary.safetensors"), "--data", str(films), *QUICK_STUDY, "--seeds", "1"]
    given = ["--model", "gru4rec", "--model.dim", "4", "--methods", "farzi", "assisted", "random_teacher"]
    assert main([*words, *given, "-o", str(tmp_path / "r.json")]) == 0
    assert "assistants, s" in capsys.readouterr().out
    full, farzi, assisted, random = json.loads((tmp_path / "r.json").read_text())
    assert [row["method"] for row in (full, farzi, assisted, random)] == ["full", "farzi", "assisted", "random_teacher"]
    assert [row["teacher"] for row in (full, farzi, assisted, random)] == ["", "sasrec", "sasrec", "sasrec"]
    assert {row["student"] for row in (full, farzi, assisted, random)} == {"gru4rec"}
    assert [row["cost"].get("assistants_s", 0) > 0 for row in (full, farzi, assisted, random)] == [
        False,
        False,
        True,
        False,
    ]
    assert assisted["metrics"] != farzi["metrics"]
    assert (assisted["bytes"], assisted["share_of_events"]) == (farzi["bytes"], farzi["share_of_events"])


@pytest.mark.parametrize(
    ("given", "trained"),
    [
        ([], [0.7, 0.05, 2]),
        (["--student.weight_decay", "0.2"], [0.2, 0.05, 2]),
        (["--student.lr", "0.1", "--student.batch_size", "3"], [0.7, 0.1, 3]),
    ],
)
def test_students_are_trained_as_the_card_advises(films, finished, tmp_path, given, trained):
    summary, changed, results = load(finished / "summary.safetensors"), tmp_path / "s.safetensors", tmp_path / "r.json"
    advice = replace(summary.card.advice, weight_decay=0.7, lr=0.05, batch_size=2)
    replace(summary, card=replace(summary.card, advice=advice)).save(changed)
    words = ["evaluate", str(changed), "--data", str(films), *QUICK_STUDY, "--methods", "farzi", *given]
    assert main([*words, "-o", str(results)]) == 0
    training = json.loads(results.read_text())[-1]["training"]
    assert [training[name] for name in ("weight_decay", "lr", "batch_size")] == trained


def test_a_summary_is_handed_on_with_what_it_retained(films, finished, tmp_path, capsys):
    words = ["evaluate", str(finished / "summary.safetensors"), "--data", str(films), *QUICK_STUDY]
    measured, results = tmp_path / "measured.safetensors", tmp_path / "r.json"
    assert main([*words, "--methods", "farzi", "--measured", str(measured), "-o", str(results)]) == 0
    plain, found = load(finished / "summary.safetensors"), load(measured)
    row = json.loads(results.read_text())[1]
    assert plain.card.retention is None
    assert asdict(found.card.retention) == {"student": "sasrec", "seeds": 2, "kept": row["retention"]}
    assert replace(found.card, retention=None) == plain.card
    assert torch.equal(found.factors.latents, plain.factors.latents)
    assert main(["inspect", str(measured)]) == 0
    assert f"HR@10 {row['retention']['HR@10']:.1%}" in " ".join(capsys.readouterr().out.split())


def test_the_licence_of_the_data_is_in_the_card(films, finished, tmp_path):
    assert load(finished / "summary.safetensors").card.licence is None
    assert main(["distill", str(films), "-o", str(tmp_path), *QUICK, "--steps", "0", "--licence", "CC BY 4.0"]) == 0
    assert load(tmp_path / "summary.safetensors").card.licence == "CC BY 4.0"


def test_the_data_of_a_summary_is_found_by_its_card(films, finished, monkeypatch, capsys):
    monkeypatch.chdir(films.parent)
    assert main(["evaluate", str(finished / "summary.safetensors"), "--methods", "farzi", *QUICK_STUDY]) == 0
    assert "u.data: sasrec trained from scratch on" in capsys.readouterr().out


def test_a_model_is_trained_as_the_card_advises(finished, tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    assert main(["train", str(finished / "summary.safetensors"), *MODEL, "-o", str(path)]) == 0
    summary, weights = load(finished / "summary.safetensors"), load_weights(path)
    assert f"{summary.card.advice.steps} steps" in capsys.readouterr().out
    assert (weights.model.name, weights.model.max_length) == ("sasrec", 5)
    assert weights.vocabulary_fingerprint == summary.vocabulary.fingerprint


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_chosen_by_its_name(finished, tmp_path, capsys, name):
    if name in ("gpt2", "llama"):
        pytest.importorskip("transformers", reason="the extra hf is not installed")
    sizes, path = ["--model.dim", "4", "--model.max_length", "5"], tmp_path / "model.safetensors"
    assert main(["train", str(finished / "summary.safetensors"), "--model", name, *sizes, "-o", str(path)]) == 0
    model = load_weights(path).model
    assert model == MODELS[name](dim=4, max_length=5)
    assert f"class_path: farzi.models.{type(model).__name__}\n" in printed_recipe(capsys, "--model", name)


def test_a_model_of_another_kind_is_trained_with_assistants(finished, tmp_path, capsys):
    summary, path = finished / "summary.safetensors", tmp_path / "model.safetensors"
    sizes = ["--model", "gru4rec", "--model.dim", "4", "--model.max_length", "5"]
    hint = "the summary was made with sasrec; models of another kind may learn more with --assistants 2"
    assert main(["train", str(summary), *sizes, "-o", str(path)]) == 0
    assert hint in " ".join(capsys.readouterr().err.split())
    assert main(["train", str(summary), *sizes, "--assistants", "2", "-o", str(path)]) == 0
    assert hint not in " ".join(capsys.readouterr().err.split())
    found, taught = load_weights(path), load(summary)
    wanted = fit(found.model, with_assistants(taught, 2), advised(taught)).parameters
    assert all(torch.equal(part, wanted[name]) for name, part in found.parameters.items())


@pytest.mark.parametrize("name", MODELS)
def test_a_model_chosen_by_its_name_has_its_own_sizes(capsys, tmp_path, name):
    """Not those of the model that is there by default, nor of a recipe's."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: x\nmodel:\n  class_path: farzi.models.SASRec\n  init_args:\n    dim: 7\n    blocks: 9\n")
    for words in ([], ["--config", str(recipe)], ["--model.max_length", "60"]):
        text = printed_recipe(capsys, *words, "--model", name)
        told = {key: int(value) for key, value in re.findall(r"^    (\w+): (\d+)$", text.split("\nsize:")[0], re.M)}
        assert told == asdict(MODELS[name]()) | ({"max_length": 60} if "60" in words else {})


def test_a_model_that_was_trained_before_goes_on(finished, tmp_path):
    summary, first, second = str(finished / "summary.safetensors"), tmp_path / "first", tmp_path / "second"
    assert main(["train", summary, *MODEL, "-o", str(first)]) == 0
    assert main(["train", summary, "--start", str(first), "-o", str(second)]) == 0
    before, after = load_weights(first), load_weights(second)
    assert after.model == before.model
    wanted = fit(before.model, load(summary), start=before.parameters).parameters
    assert all(torch.equal(part, wanted[name]) for name, part in after.parameters.items())


def test_a_model_is_chosen_on_validation_data(films, finished, tmp_path, capsys):
    words = ["train", str(finished / "summary.safetensors"), "-o", str(tmp_path / "m"), "--data", str(films)]
    assert main(words) == 0
    assert "on validation data" in capsys.readouterr().out


def test_inspection_shows_titles_with_probabilities(finished, capsys):
    assert main(["inspect", str(finished / "summary.safetensors"), "--sequence", "1", "--top", "2"]) == 0
    out = capsys.readouterr().out
    shown = re.findall(r"(\d+\.\d) % (Film . \(1999\))", out)
    assert len(shown) == 2 * 2 * 5, "two films for input and target at five positions"
    assert {title for _, title in shown} <= set(ITEMS)
    for text in ("sequence 1 of u.data", "3 x 5", "sasrec", "learning rate"):
        assert text in out


def test_data_sets_are_listed_and_counted(films, capsys):
    assert main(["data", "list"]) == 0
    assert "ml-100k" in capsys.readouterr().out
    assert main(["data", "describe", str(films), "--min_count", "2"]) == 0
    counts = dict(re.findall(r"(num_\w+)\W+(\d+)", capsys.readouterr().out))
    assert counts == {"num_users": "20", "num_items": "9", "num_events": "180"}


def test_fetching_prints_where_the_events_are(monkeypatch, capsys):
    monkeypatch.setattr(data, "fetch", lambda name: Path("/cache") / name / "u.data")
    assert main(["data", "fetch", "ml-100k"]) == 0
    assert capsys.readouterr().out == "/cache/ml-100k/u.data\n"


def test_an_interruption_says_how_to_go_on(films, monkeypatch, tmp_path, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(distill, "watch_distillation", interrupted)
    assert main(["distill", str(films), "-o", str(tmp_path / "a run")]) == 130
    err = capsys.readouterr().err
    assert err == f"farzi: stopped; go on with: farzi distill {films} -o '{tmp_path}/a run' --resume\n"


def blocks_of_the_guide() -> list[str]:
    guide = (Path(__file__).parents[2] / "docs" / "own-model.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", guide, re.M | re.S)


def test_a_module_of_torch_is_a_model_too(films, tmp_path, monkeypatch):
    (tmp_path / "module_of_the_guide.py").write_text(blocks_of_the_guide()[1])
    monkeypatch.syspath_prepend(tmp_path)
    sizes = ["--model.dim", "4", "--model.max_length", "5", "--model.name", "mine"]
    own = ["--model", "farzi.ModuleModel", *sizes, "--model.module", "module_of_the_guide.Convolution"]
    own += ["--model.module.dim", "4", "--model.module.reach", "2"]
    assert main(["distill", str(films), "-o", str(tmp_path / "run"), *QUICK[len(MODEL) :], *own]) == 0
    summary = tmp_path / "run" / "summary.safetensors"
    described = load(summary).card.model
    assert described.items() >= {"name": "mine", "module": "module_of_the_guide.Convolution", "dim": 4}.items()
    assert main(["train", str(summary), *own, "-o", str(tmp_path / "model")]) == 0


def test_a_model_of_the_users_own_is_named_by_its_class(films, cache, tmp_path, monkeypatch, refused):
    (tmp_path / "mine_of_the_guide.py").write_text(blocks_of_the_guide()[0])
    monkeypatch.syspath_prepend(tmp_path)
    own = ["--model", "mine_of_the_guide.Averages", "--model.dim", "4", "--model.max_length", "5"]
    assert main(["distill", str(films), "-o", str(tmp_path / "run"), *QUICK[len(MODEL) :], *own]) == 0
    summary = tmp_path / "run" / "summary.safetensors"
    assert load(summary).card.model == {"name": "averages", "dim": 4, "max_length": 5}
    unknown = "'averages' is not one that farzi brings"
    assert unknown in refused("evaluate", tmp_path / "run")
    trained = set(cache.rglob("*"))
    assert unknown in refused("evaluate", tmp_path / "run", *own, "--methods", "assisted", *QUICK_STUDY, "--seeds", "7")
    assert set(cache.rglob("*")) == trained
    assert main(["evaluate", str(tmp_path / "run"), *own, "--methods", "farzi", *QUICK_STUDY]) == 0
    assert main(["train", str(summary), *own, "-o", str(tmp_path / "model")]) == 0


def test_hard_sequences_are_exported_with_a_word_on_what_is_lost(finished, tmp_path, capsys):
    output = tmp_path / "drawn.csv"
    assert main(["export", str(finished / "summary.safetensors"), "-o", str(output), "--draws", "2"]) == 0
    shown = capsys.readouterr().out
    assert f"{output} is written: 6 sequences of 6 events" in shown
    assert re.search(r"What is lost: a target was a distribution worth \d equally likely events", shown)
    header, *rows = output.read_text().splitlines()
    assert header == "user,item,time"
    assert len(rows) == 36
