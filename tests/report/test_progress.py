"""Progress reads well in a log, and is a bar on a terminal."""

import io
import math
import re
from itertools import pairwise

import pytest
from rich.console import Console

from farzi.distill import OuterLoop, Progress, TeacherProgress
from farzi.evaluation import NextItem
from farzi.report import (
    MOST_SECONDS_BETWEEN_LINES,
    SECONDS_BETWEEN_LINES,
    show_progress,
    watch_distillation,
    watch_study,
    watch_training,
)
from farzi.report import progress as progress_module
from farzi.report.progress import _Lines


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    monkeypatch.setattr(progress_module, "peak_mb", lambda: 1234.4)


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
        lines.show("work", step / 100, f"step {step} of 100 [of :smile: them]")
        clock.now += 3
    told = out.getvalue().splitlines()
    assert told[0] == "work 0%: step 0 of 100 [of :smile: them], 1,234 MB"
    assert told[1] == "work 4%: step 4 of 100 [of :smile: them], 1,234 MB, about 5 min left"
    assert told[-2] == "work 97%: step 97 of 100 [of :smile: them], 1,234 MB, about 9 s left"
    assert told[-1] == "work 100%: step 100 of 100 [of :smile: them], 1,234 MB"
    assert len(told) == 23


def test_a_log_of_many_hours_is_short_and_never_silent_for_long():
    (console, out), clock = plain(), Clock()
    lines, times, seen = _Lines(console, clock), [], 0
    for step in range(20 * 3600):
        lines.show("work", step / (20 * 3600), "a second")
        if len(out.getvalue()) > seen:
            times.append(clock.now)
            seen = len(out.getvalue())
        clock.now += 1
    pauses = [later - sooner for sooner, later in pairwise(times)]
    assert len(times) < 200
    assert (min(pauses), max(pauses)) == (SECONDS_BETWEEN_LINES, MOST_SECONDS_BETWEEN_LINES)
    assert sum(time < 600 for time in times) < 40


def test_what_comes_together_after_long_silence_is_told():
    (console, out), clock = plain(), Clock()
    lines = _Lines(console, clock)
    lines.show("study", 0.0, "first")
    for clock.now, share, detail in ((1500.0, 0.25, "second"), (1500.1, 0.5, "third"), (1500.2, 0.75, "fourth")):
        lines.show("study", share, detail)
    clock.now = 3000.0
    lines.show("study", 0.9, "fifth")
    assert re.findall("first|second|third|fourth|fifth", out.getvalue()) == ["first", "second", "third", "fifth"]


def test_a_new_stage_tells_at_once_and_counts_from_where_it_was_resumed():
    (console, out), clock = plain(), Clock()
    lines = _Lines(console, clock)
    lines.show("first", 0.0, "a")
    lines.show("second", 0.5, "b")
    clock.now = 7200.0
    lines.show("second", 0.75, "c")
    assert [line.replace(", 1,234 MB", "") for line in out.getvalue().splitlines()] == [
        "first 0%: a",
        "second 50%: b",
        "second 75%: c, about 2 h 0 min left",
    ]


def test_what_is_unknown_is_not_made_up():
    (console, out), clock = plain(), Clock()
    lines = _Lines(console, clock)
    lines.show("work", None, "a")
    clock.now = 50.0
    lines.show("work", None, "b")
    clock.now = 60.0
    lines.show("work", 0.25, "c")
    assert [line.replace(", 1,234 MB", "") for line in out.getvalue().splitlines()] == [
        "work: a",
        "work: b",
        "work 25%: c, about 3 min left",
    ]


def test_a_pipe_gets_lines_without_colour():
    console, out = plain()
    with show_progress(console) as show:
        show("work", 0.25, "a detail that is longer than the forty characters of the console")
    assert out.getvalue() == "work 25%: a detail that is longer than the forty characters of the console, 1,234 MB\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_who_wants_quiet_is_shown_nothing(terminal):
    out = io.StringIO()
    with show_progress(Console(file=out, force_terminal=terminal), quiet=True) as show:
        show("work", 0.25, "a detail")
    assert out.getvalue() == ""


@pytest.mark.parametrize(("colour", "expected"), [(True, True), (False, False)])
def test_a_terminal_gets_bars_and_colour_unless_it_is_not_wanted(monkeypatch, colour, expected):
    monkeypatch.setenv("NO_COLOR", "" if colour else "1")
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="truecolor", width=100, _environ=None)
    with show_progress(console) as show:
        show("teachers", None, "the first")
        show("teachers", 0.5, "half-way")
        show("distillation", 0.25, "a quarter")
    text = out.getvalue()
    last = text.rsplit("teachers", 1)[1]
    assert "100%" in last
    assert "25%" in last
    assert "a quarter, 1,234 MB" in last
    assert "half-way" not in last
    assert ("\x1b[3" in last or "\x1b[38" in last) == expected


@pytest.mark.parametrize("width", [80, 40, 20])
def test_bars_and_news_fit_a_narrow_terminal(width):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system=None, width=width)
    detail = "step 72 of 160, loss 5.500, gradient 0.032, valid nDCG@100 0.1500 (best 0.1600)"
    with show_progress(console) as show:
        show("distillation", 0.25, detail)
    last = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", out.getvalue()).rsplit("distillation", 1)[1]
    bar, *news = f"distillation{last}".rstrip().splitlines()
    assert " ".join(line.strip() for line in news) == f"{detail}, 1,234 MB"
    assert max(map(len, (bar, *news))) <= width


def test_a_distillation_shows_teachers_steps_and_scores():
    told = []
    loop = OuterLoop(steps=100, minutes=2)
    begun = []
    watch = watch_distillation(lambda *news: told.append(news), NextItem(None), loop, lambda: begun.append(True))
    watch.begin()
    assert told.pop()[:2] == ("teachers", None)
    now = {"loss": 5.5, "gradient_norm": 0.0321, "score": 0.15, "best_score": 0.16, "best_step": 3}
    now |= {"lr": 0.01, "peak_mb": 99.5}
    watch.progress(Progress(step=10, seconds=6, skipped=0, **now))
    assert told.pop() == (
        "distillation",
        0.1,
        "step 10 of 100, loss 5.500, gradient 0.032, valid nDCG@100 0.1500 (best 0.1600)",
    )
    watch.judgement(11)
    assert told.pop() == ("distillation", 0.1, "step 11 of 100, students are trained to judge it")
    watch.taught([0.2, 0.3])
    watch.progress(Progress(step=10, seconds=60, skipped=2, **now))
    _, share, detail = told.pop()
    assert detail.endswith("valid nDCG@100 0.1500 (best 0.1600), 60.0 % of the teachers' (best 64.0 %)")
    assert share == 0.5, "the time is what ends it"
    assert "2 skipped" in detail
    assert begun == [True]


def test_how_far_a_teacher_is_is_known_once_another_has_ended():
    told = []
    watch = watch_distillation(lambda *news: told.append(news), NextItem(None), OuterLoop(), lambda: None)
    shares = []
    for number, step, steps, score in [
        *[(1, 25, 1000, 0.1), (1, 50, 1000, 0.3), (1, 75, 1000, 0.2), (1, 75, 75, 0.3)],
        *[(2, 25, 1000, 0.1234), (2, 100, 1000, 0.2), (2, 100, 100, 0.2)],
    ]:
        watch.teacher(TeacherProgress(number=number, count=4, step=step, steps=steps, score=score))
        shares.append(told[-1][1])
    assert shares == [None, None, None, 0.25, pytest.approx(0.25 + 0.25 / 3), 1.99 / 4, 0.5]
    assert told[2][2] == "teacher 1 of 4, step 75, valid nDCG@100 0.2000 (best 0.3000)"
    assert told[4][2] == "teacher 2 of 4, step 25, valid nDCG@100 0.1234 (best 0.1234)"


def test_a_training_shows_steps_and_scores():
    told = []
    look = watch_training(lambda *news: told.append(news), NextItem(None), 200)
    look(50, {}, 0.2)
    look(100, {}, 0.1)
    assert told[-1] == ("training", 0.5, "step 100 of 200, valid nDCG@100 0.1000 (best 0.2000)")
    watch_training(lambda *news: told.append(news), None, 200)(50, {}, math.nan)
    assert told[-1] == ("training", 0.25, "step 50 of 200")


def test_a_study_counts_its_trainings():
    told = []
    watch_study(lambda *news: told.append(news))(3, 12, "random, student 1 of 3")
    assert told == [("study", 0.25, "training 4 of 12: random, student 1 of 3")]
