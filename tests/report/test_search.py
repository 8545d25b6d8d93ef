"""A search is told trial by trial, and by what it gained in the end."""

import io
import math

from rich.console import Console

from farzi.distill import OuterLoop, Progress, TeacherProgress, Trial, Tuned
from farzi.evaluation import NextItem
from farzi.report import search_table, watch_search


def trial(number: int, lr: float, rank: int, score: float | None, state: str = "complete") -> Trial:
    parameters = {"loop.lr": lr, "size.rank": rank}
    return Trial(number=number, parameters=parameters, state=state, score=score, judgements=(), seconds=60.0)


TRIALS = (
    trial(1, 0.01, 32, 0.1600),
    trial(2, 0.5, 16, None, "failed"),
    trial(3, 0.034567, 64, 0.1712),
    trial(4, 0.001, 64, 0.1400, "pruned"),
)


def shown(*trials: Trial) -> list[list[str]]:
    out = io.StringIO()
    Console(file=out, width=80).print(search_table(Tuned(trials), NextItem(None)))
    return [line.replace("│", " ").replace("┃", " ").split() for line in out.getvalue().splitlines()]


def test_a_table_compares_the_best_trial_with_what_was_given():
    lines = shown(*TRIALS)
    assert ["loop.lr", "0.01", "0.0346"] in lines
    assert ["size.rank", "32", "64"] in lines
    assert ["valid", "nDCG@100", "0.1600", "0.1712"] in lines
    assert ["as", "given", "trial", "3,", "the", "best"] in lines
    assert ["2", "complete,", "1", "failed,", "1", "pruned"] in lines


def test_a_table_says_that_nothing_was_gained():
    assert ["as", "given", "as", "given", "is", "best"] in shown(TRIALS[0], TRIALS[3])


def test_a_search_shows_trials_steps_and_scores():
    told, kept = [], []
    loop = OuterLoop(steps=100)
    watch = watch_search(lambda *news: told.append(news), NextItem(None), loop, 10, 20.0, kept.append)
    outer = "loss 5.500, gradient 0.032"
    watch.begin()
    assert told.pop()[0] == "teachers"
    teacher = TeacherProgress(number=1, count=4, step=9, steps=50, score=0.1234)
    watch.teacher(teacher)
    assert told.pop()[0] == "teachers"
    now = {"loss": 5.5, "gradient_norm": 0.0321, "score": 0.15, "best_score": 0.16, "best_step": 3}
    now |= {"lr": 0.01, "skipped": 0, "peak_mb": 99.5}
    watch.progress(Progress(step=50, seconds=6, **now))
    assert told.pop() == ("search", 0.05, f"trial 1 of 10, step 50 of 100, {outer}, valid nDCG@100 0.1600")
    watch.finished(Tuned(TRIALS))
    watch.progress(Progress(step=50, seconds=60, **now))
    stage, share, detail = told.pop()
    assert math.isclose(share, 0.45)
    assert detail == f"trial 5 of 10, step 50 of 100, {outer}, valid nDCG@100 0.1600, best trial 0.1712"
    watch.progress(Progress(step=50, seconds=660, **now))
    assert told.pop()[1] == 0.75, "four minutes and eleven of twenty: the time is what ends it"
    assert stage == "search"
    watch.teacher(teacher)
    assert told == [], "teachers are trained once"
    assert kept == [Tuned(TRIALS)]
