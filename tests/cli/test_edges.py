"""Where a command line ends up in daily use: pipes, narrow terminals, full disks, typing errors, foreign files."""

import errno
import io
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from small_run import QUICK, QUICK_STUDY

from farzi import commands, files
from farzi.cli import command_parser, main
from farzi.commands import COMMANDS
from farzi.errors import InputError
from farzi.manual import EXAMPLES
from farzi.options import parse
from farzi.printing import RESULTS, printing
from farzi.summary import load

SUBCOMMANDS = ["data list", "data fetch", "data describe"]


def shown(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ["", *COMMANDS, *SUBCOMMANDS])
def test_help_ends_with_examples_that_can_be_copied(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "40")
    out = shown(capsys, *command.split(), "--help")
    _, examples = out.split("\nexamples:\n")
    lines = examples.splitlines()
    assert len(lines) == 2 * len(EXAMPLES[command]) > 0
    for what, typed in zip(lines[::2], lines[1::2], strict=True):
        assert what.startswith("  # ")
        assert typed.startswith(f"  farzi {command}" if command not in ("", "tune", "data") else "  farzi ")


@pytest.mark.parametrize("typed", [typed for examples in EXAMPLES.values() for typed in examples])
def test_examples_are_understood(typed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "tuned").mkdir(parents=True)
    (tmp_path / "runs" / "tuned" / "recipe.yaml").write_text("data: ml-100k\n")
    name, *words = shlex.split(typed.partition(" > ")[0])
    assert name == "farzi"
    if "--print_config" in words:
        assert "\nloop:\n" in shown(capsys, *words)
    else:
        parse(command_parser(), words)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["distil", "x"], "distill"),
        (["evalute", "x"], "evaluate"),
        (["data", "descibe", "x"], "describe"),
        (["data", "describe", "x", "--tokeniser", "char"], "--tokenizer"),
        (["distill", "x", "-o", "y", "--loop.minuts", "3"], "--loop.minutes"),
        (["distill", "x", "-o", "y", "--minute", "3"], "--minutes"),
        (["distill", "x", "-o", "y", "--rank", "3"], "--size.rank"),
        (["distill", "x", "-o", "y", "--window", "3"], "--objective.window"),
        (["distill", "x", "-o", "y", "--objective.windw", "3"], "--objective.window"),
        (["distill", "x", "-o", "y", "--model.dimm=3"], "--model.dim"),
        (["distill", "x", "-o", "y", "--track", "tensorbord"], "tensorboard"),
        (["distill", "x", "-o", "y", "--objective", "farzi.distill.MetaMatchin"], "MetaMatching"),
        (["evaluate", "x", "--methods", "fari"], "farzi"),
        (["evaluate", "x", "--worker", "2"], "--workers"),
        (["--versoin"], "--version"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_mistyped_is_answered_with_what_was_meant(refused, words, meant):
    assert refused(*words).endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "command is missing; the command is called as: farzi COMMAND"),
        (["distill", "x"], "run is missing; the command is called as: farzi distill DATA -o RUN"),
        (["report"], "runs is missing; the command is called as: farzi report RUN ..."),
        (["data", "fetch"], "name is missing; the command is called as: farzi data fetch NAME"),
        (["distill", "x", "-o", "y", "--qqq"], "unrecognized arguments: --qqq"),
    ],
)
def test_what_is_missing_is_named_with_how_it_is_done(refused, words, told):
    assert refused(*words).startswith(f"farzi: {told}")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (r"evaluate RUN --workers C:\gmany", r"--workers: Expected int. Got value: C:\gmany"),
        ("evaluate RUN --student.crop 2", "crop is 2.0; it must be at least 0 and below 1"),
        ("evaluate RUN --student.lr fast", "--student.lr: Expected float. Got value: fast"),
        ("evaluate RUN --reference.patience 1.5", "--reference.patience: Expected int. Got value: 1.5"),
        ("distill x -o RUN --teachers.training.lr -1", "lr is -1.0; it must be positive"),
        ("distill x -o RUN --objective.replay slow", "--objective.replay: Expected a dot import path string: slow"),
    ],
)
def test_a_value_that_an_option_cannot_have_is_all_that_is_told(refused, finished, words, told):
    assert refused(*words.replace("RUN", str(finished)).split()) == f"farzi: {told}"


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is needed")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", [*COMMANDS]),
        ("ev", ["evaluate"]),
        ("evaluate --meth", ["--methods"]),
        ("evaluate --methods fa", ["farzi"]),
        ("data d", ["describe"]),
        ("distill --loop.min", ["--loop.minutes"]),
        ("inspect su", ["summary.safetensors"]),
        ("distill events", ["events.csv"]),
        ("train x -o mo", ["models"]),
    ],
)
def test_bash_completes_commands_options_choices_and_files(completion, tmp_path, typed, offered):
    for name in ("summary.safetensors", "events.csv", "other.txt"):
        (tmp_path / name).touch()
    (tmp_path / "models").mkdir()
    words = ["farzi", *typed.split(), *([""] if typed.endswith(" ") or not typed else [])]
    script = f"""
        {completion}
        COMP_WORDS=({" ".join(map(shlex.quote, words))})
        COMP_CWORD={len(words) - 1}
        _shtab_farzi farzi {shlex.quote(words[-1])} {shlex.quote(words[-2])}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == offered, done.stderr


@pytest.fixture(scope="module")
def completion() -> str:
    pytest.importorskip("shtab", reason="the extra completion is not installed")
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        with pytest.raises(SystemExit):
            main(["--print_completion", "shtab-bash"])
    return out.getvalue()


def broken_pipe() -> io.TextIOWrapper:
    """What a program writes to once ``head`` has read enough."""
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w")


@pytest.mark.parametrize("words", [["data", "list"], ["--help"], ["data", "fetch", "ml-100k"]])
def test_a_reader_that_stops_reading_is_no_error(monkeypatch, capsys, words):
    monkeypatch.setattr(commands.data, "fetch", lambda _: "a path")
    monkeypatch.setattr(RESULTS, "quiet", False)  # rich changes it
    with broken_pipe() as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(SystemExit) as end:
            main(words)
    assert end.value.code == 1
    assert capsys.readouterr().err == ""


def test_a_process_whose_reader_stops_reading_says_nothing(tmp_path):
    with broken_pipe() as pipe:
        command = [sys.executable, "-m", "farzi", "data", "list"]
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is needed")
@pytest.mark.parametrize("words", [["data", "list"], ["data", "fetch", "ml-100k"]])
def test_results_that_fill_a_disk_are_an_error(monkeypatch, capsys, words):
    monkeypatch.setattr(commands.data, "fetch", lambda _: "a path")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(words) == 2
    assert capsys.readouterr().err == "farzi: the output cannot be used: No space left on device\n"


def test_an_error_of_the_system_is_one_line():
    with pytest.raises(InputError, match=r"^/there cannot be used: No space left on device$"), printing():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/there")


def test_titles_are_printed_in_any_encoding_and_as_they_are(finished, tmp_path, monkeypatch):
    titles = ["映画 «Amélie»", "[red]Film[/]", ":smile: [/b]", *"DEFGHI"]
    summary = load(finished / "summary.safetensors")
    vocabulary = replace(summary.vocabulary, titles=tuple(titles))
    card = replace(summary.card, data="[/x] ü.csv")
    replace(summary, vocabulary=vocabulary, card=card).save(tmp_path / "summary")
    for encoding, wanted in (("utf-8", titles[0]), ("ascii", ascii(titles[0])[1:-1])):
        printed = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding=encoding))
        assert main(["inspect", str(tmp_path / "summary"), "--top", "9"]) == 0
        text = printed.getvalue().decode(encoding)
        for title in (wanted, *titles[1:]):
            assert f"% {title} " in text or f"% {title}\n" in text
        assert "[/x]" in text


def test_a_table_from_windows_is_read_as_any_other(tmp_path, monkeypatch, capsys):
    """With a byte order mark and its line ends."""
    monkeypatch.chdir(tmp_path)
    rows = [f"käufer{user},映画{(user + item) % 9},{item}" for user in range(9) for item in range(9)]
    found = []
    for start, end in (("", "\n"), ("\ufeff", "\r\n")):
        (tmp_path / "events.csv").write_bytes((start + end.join(["user,item,time", *rows, ""])).encode())
        folder = tmp_path / f"run{len(found)}"
        assert main(["distill", "events.csv", "-o", str(folder), *QUICK]) == 0
        found.append((folder / "summary.safetensors").read_bytes())
    assert found[0] == found[1]
    capsys.readouterr()
    assert main(["inspect", str(folder / "summary.safetensors")]) == 0
    assert "% 映画" in capsys.readouterr().out


def outputs(finished, films) -> list[list[str]]:
    summary = str(finished / "summary.safetensors")
    study = ["evaluate", summary, "--data", str(films), "--methods", "farzi", *QUICK_STUDY]
    return [["train", summary, "-o"], [*study, "-o"], [*study, "--measured"]]


def test_long_work_does_not_begin_where_its_output_cannot_be_written(refused, films, finished, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "read-only").mkdir()
    access = os.access
    monkeypatch.setattr(files.os, "access", lambda path, mode: path.name != "read-only" and access(path, mode))
    monkeypatch.setattr(commands.train, "fit", None)
    monkeypatch.setattr(commands.evaluate, "evaluate", None)
    for words in outputs(finished, films):
        assert "folder is a folder" in refused(*words, tmp_path / "folder")
        assert f"{tmp_path}/file is a file" in refused(*words, tmp_path / "file" / "new")
        assert f"{tmp_path}/read-only is read-only" in refused(*words, tmp_path / "read-only" / "new" / "deep")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "read-only"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("words", [["report", "RUN", "-o"], ["export", "RUN/summary.safetensors", "-o"]])
def test_short_work_says_where_its_output_cannot_be_written(refused, finished, tmp_path, words):
    if words[0] == "report":
        pytest.importorskip("jinja2", reason="the extra report is not installed")
    (tmp_path / "drawn.csv").mkdir()
    (tmp_path / "file").write_text("mine")
    words = [word.replace("RUN", str(finished)) for word in words]
    assert f"{tmp_path}/drawn.csv cannot be written" in refused(*words, tmp_path / "drawn.csv")
    assert f"{tmp_path}/file/drawn.csv cannot be written" in refused(*words, tmp_path / "file" / "drawn.csv")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["drawn.csv", "file"]


def test_a_run_folder_on_a_full_disk_is_refused(refused, films, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "mkdir", full)
    told = refused("distill", films, "-o", tmp_path / "run", *QUICK)
    assert told == f"farzi: {tmp_path}/run cannot be used as a run folder: No space left on device"
