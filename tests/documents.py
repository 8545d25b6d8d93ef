"""The pages of the documentation as a reader goes through them: block after block, in one folder and one namespace.

Python runs as it stands there, and so do the lines of shells, all of which call farzi. What cannot run here has a
comment above it that the page does not show, ``<!-- skip: next "the reason" -->``.
"""

import io
import math
import random
import shlex
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stdout
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from unittest import SkipTest
from unittest.mock import patch

from sybil import Document, Example
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from farzi.cli import main
from farzi.distill import Tuned
from farzi.distill.work import Work
from farzi.evaluation import NextItem, NextToken, Study
from farzi.events import Source
from farzi.summary import initialise
from farzi.training import Teachers, Training

ROOT = Path(__file__).parents[1]
distill, tune = (import_module(f"farzi.distill.{name}") for name in ("distill", "tune"))  # functions hide the modules

PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]

QUICK = Training(steps=4, evaluate_every=2)


class Ran(NamedTuple):
    """What a page left: the names of its Python, what it printed, and why which blocks did not run."""

    names: dict[str, Any]
    out: str
    skipped: list[str]


def run_shell(example: Example) -> None:
    """Run lines of a shell by the command line's own function."""
    for line in example.parsed.replace("\\\n", "").splitlines():
        program, *words = shlex.split(line)
        assert program == "farzi", f"{example.path}:{example.line}: {line}: the tests run farzi only"
        assert main(words) == 0, f"{example.path}:{example.line}: {line}"


def parse(page: str) -> Document:
    """The blocks of a page that run, and the comments that say which cannot."""
    blocks = [CodeBlockParser("python", PythonEvaluator()), CodeBlockParser("bash", run_shell)]
    return Document.parse(str(ROOT / page), *blocks, SkipParser())


def run(page: str, folder: Path) -> Ran:
    """Run all blocks of a page in a folder."""
    document, skipped, out = parse(page), list[str](), io.StringIO()
    document.namespace["__name__"] = "page"
    with chdir(folder), redirect_stdout(out):
        for example in document.examples():
            try:
                example.evaluate()
            except SkipTest as reason:
                skipped.append(str(reason))
    return Ran(document.namespace, out.getvalue(), skipped)


@contextmanager
def in_small() -> Iterator[None]:
    """Let all that trains take a few steps, whatever it is asked for, and data sets known by name be of any size."""
    search = tune._Search.run

    def small_work(work: Work) -> Work:
        return replace(
            work,
            objective=replace(work.objective, window=2, steps=3),
            loop=replace(work.loop, steps=2, minutes=math.inf, evaluate_every=2),
            teachers=Teachers(count=1, training=QUICK),
            judges=1,
            student=QUICK,
        )

    def small_search(self: Any, tuned: Tuned, trials: int, minutes: float) -> Tuned:
        return search(self, tuned, min(trials, 2), minutes)

    with (
        _changed(small_work, lambda study: replace(study, seeds=1, reference=QUICK, student=QUICK)),
        patch.object(initialise, "factorise", partial(initialise.factorise, steps=10)),
        patch.object(tune._Search, "run", small_search),
        patch.multiple(NextItem, student=QUICK, judging=QUICK),
        patch.multiple(NextToken, student=QUICK, judging=QUICK),
        patch.object(Source, "check", lambda *_: None),
    ):
        yield


@contextmanager
def in_haste() -> Iterator[None]:
    """Let each distillation take some seconds, and a study train one short-lived student of each kind."""
    student = Training(steps=400, evaluate_every=100)

    def hasty_work(work: Work) -> Work:
        loop = replace(work.loop, steps=4, minutes=math.inf, evaluate_every=4)
        return replace(work, loop=loop, teachers=replace(work.teachers, count=1), judges=1, student=student)

    with _changed(hasty_work, lambda study: replace(study, seeds=1, student=student)):
        yield


@contextmanager
def _changed(change_work: Callable[[Work], Work], change_study: Callable[[Study], Study]) -> Iterator[None]:
    run = Study.run

    def make_work(*arguments: Any, **named: Any) -> Work:
        return change_work(Work(*arguments, **named))

    def run_study(study: Study, *arguments: Any, **named: Any) -> Any:
        return run(change_study(study), *arguments, **named)

    with (
        patch.object(distill, "Work", make_work),
        patch.object(tune, "Work", make_work),
        patch.object(Study, "run", run_study),
    ):
        yield


def write_material(folder: Path, cache: Path) -> None:
    """What pages take for granted: a table and a text of the reader's own, and MovieLens in the cache."""
    chance = random.Random(0)
    events = [(user, (chance.randrange(3) + time) % 12, time) for user in range(60) for time in range(47)]
    rows = "".join(f"c{user},s{item},{time}\n" for user, item, time in events)
    (folder / "purchases.csv").write_text("customer,sku,bought_at\n" + rows)
    words = ["the", "tea", "was", "hot", "and", "a", "cup", "of", "it", "cold"]
    (folder / "notes.txt").write_text("".join(f"{' '.join(chance.choices(words, k=9))} .\n" for _ in range(400)))
    (cache / "ml-100k").mkdir(parents=True)
    lines = "".join(f"{user}\t{item}\t5\t{time}\n" for user, item, time in events)
    (cache / "ml-100k" / "u.data").write_text(lines)
    (cache / "ml-100k" / "u.item").write_text("".join(f"{item}|Film {item}|x\n" for item in range(12)))
