"""Progress reads well in a log, and is a bar on a terminal."""

import io

import pytest
from rich.console import Console

from farzi.distill import OuterLoop, Progress, TeacherProgress
from farzi.evaluation import NextItem
from farzi.report import SECONDS_BETWEEN_LINES, show_progress, watch_distillation, watch_study
from farzi.report.progress import _Lines


def plain() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=40), out


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_are_few_and_tell_the_time_left():
    (console, out), clock = plain(), Clock()
    lines = _Lines(console, clock)
    for step in range(101):
        lines.show("work", step / 100, f"step {step} of 100 [of them]")
        clock.now += 3
    told = out.getvalue().splitlines()
    assert told[0] == "work 0%: step 0 of 100 [of them]"
    assert told[1] == "work 4%: step 4 of 100 [of them], about 5 min left"
    assert told[-2] == "work 96%: step 96 of 100 [of them], about 12 s left"
    assert told[-1] == "work 100%: step 100 of 100 [of them]"
    assert len(told) == 26
    assert SECONDS_BETWEEN_LINES == 10


def test_a_new_stage_tells_at_once_and_counts_from_where_it_was_resumed():
    (console, out), clock = plain(), Clock()
    lines = _Lines(console, clock)
    lines.show("first", 0.0, "a")
    lines.show("second", 0.5, "b")
    clock.now = 7200.0
    lines.show("second", 0.75, "c")
    assert out.getvalue().splitlines() == ["first 0%: a", "second 50%: b", "second 75%: c, about 2 h 0 min left"]


def test_a_pipe_gets_lines_without_colour():
    console, out = plain()
    with show_progress(console) as show:
        show("work", 0.25, "a detail that is longer than the forty characters of the console")
    assert out.getvalue() == "work 25%: a detail that is longer than the forty characters of the console\n"


@pytest.mark.parametrize(("colour", "expected"), [(True, True), (False, False)])
def test_a_terminal_gets_bars_and_colour_unless_it_is_not_wanted(monkeypatch, colour, expected):
    monkeypatch.setenv("NO_COLOR", "" if colour else "1")
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="truecolor", width=100, _environ=None)
    with show_progress(console) as show:
        show("teachers", 0.5, "half-way")
        show("distillation", 0.25, "a quarter")
    text = out.getvalue()
    last = text.rsplit("teachers", 1)[1]
    assert "100%" in last
    assert "half-way" in last
    assert "25%" in last
    assert "a quarter" in last
    assert ("\x1b[3" in last or "\x1b[38" in last) == expected


def test_a_distillation_shows_teachers_steps_and_scores():
    told = []
    loop = OuterLoop(steps=100, minutes=2)
    begun = []
    watch = watch_distillation(lambda *news: told.append(news), NextItem(None), loop, lambda: begun.append(True))
    watch.begin()
    watch.teacher(TeacherProgress(number=2, count=4, step=25, steps=50, score=0.1234))
    assert told.pop() == ("teachers", 0.375, "teacher 2 of 4, step 25, valid nDCG@100 0.1234")
    now = {"loss": 5.5, "score": 0.15, "best_score": 0.16, "best_step": 3, "lr": 0.01}
    watch.progress(Progress(step=10, seconds=6, skipped=0, **now))
    assert told.pop() == ("distillation", 0.1, "step 10 of 100, loss 5.500, valid nDCG@100 0.1500 (best 0.1600)")
    watch.progress(Progress(step=10, seconds=60, skipped=2, **now))
    _, share, detail = told.pop()
    assert share == 0.5, "the time is what ends it"
    assert "2 skipped" in detail
    assert begun == [True]


def test_a_study_counts_its_trainings():
    told = []
    watch_study(lambda *news: told.append(news))(3, 12, "random, student 1 of 3")
    assert told == [("study", 0.25, "training 4 of 12: random, student 1 of 3")]
