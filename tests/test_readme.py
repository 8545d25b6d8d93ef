"""The README does what it says: its Python runs, in a small form, and its commands can be understood."""

import random
import re
import shlex
from pathlib import Path

import pytest

import farzi
from farzi.cli import command_parser
from farzi.options import parse

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

SMALLER = {
    '"ml-100k"': '"events.csv"',
    "farzi.SASRec(dim=32)": "farzi.SASRec(dim=4, max_length=5)",
    "loop=farzi.OuterLoop(minutes=10)": "**small",
    "farzi.evaluate(summary, data)": "farzi.evaluate(summary, data, study=study)",
}
"""What is put in the place of what, so that the ten lines take seconds."""


def write_events(path: Path) -> None:
    chance = random.Random(0)
    rows = [f"u{user},i{(chance.randrange(3) + time) % 9},{time}\n" for user in range(20) for time in range(9)]
    path.write_text("user,item,time\n" + "".join(rows))


def test_the_ten_lines_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FARZI_CACHE", str(tmp_path / "cache"))
    write_events(tmp_path / "events.csv")
    (block,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    for there, here in SMALLER.items():
        assert block.count(there) == 1, f"the README no longer says {there}"
        block = block.replace(there, here)
    quick = farzi.Training(steps=4, evaluate_every=2)
    small = {
        "size": farzi.Size(sequences=3, length=5, rank=4),
        "objective": farzi.MetaMatching(window=2, steps=3),
        "loop": farzi.OuterLoop(steps=2, evaluate_every=2),
        "teachers": farzi.Teachers(count=1, training=quick),
        "judges": 1,
    }
    names = {"small": small, "study": farzi.Study(seeds=1, reference=quick, student=quick)}
    exec(block, names)
    first, *rows = capsys.readouterr().out.splitlines()
    assert first == "SASRec(dim=4, blocks=1, heads=1, max_length=5) torch.Size([9, 4])"
    assert [row.split()[0] for row in rows] == ["full", "random", "random_teacher", "farzi"]
    assert names["student"].steps == names["summary"].card.advice.steps


def commands() -> list[str]:
    """Every command on a line of its own, and those that the Makefile calls."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return re.findall(r"^    (farzi .*)$", README, re.MULTILINE) + re.findall(
        r"^\t\$\(BIN\)/(farzi .*)$", makefile, re.MULTILINE
    )


def test_there_are_commands_to_test():
    assert {command.split()[1] for command in commands()} == {
        "data",
        "distill",
        "evaluate",
        "export",
        "inspect",
        "plan",
        "report",
        "tune",
    }


@pytest.mark.parametrize("command", commands())
def test_a_command_can_be_understood(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    _, options = parse(command_parser(), shlex.split(command)[1:])
    if options.command == "distill":
        assert options.distill.size.sequences == 50
        assert options.distill.size.length == 10
