"""The search on data small enough for seconds: what it tries, keeps, gives up, resumes and refuses."""

import json
import sys
from dataclasses import asdict, replace

import pytest
from test_distill import SMALL, cyclic_data

from farzi.distill import (
    SEARCHABLE,
    DivergedError,
    MetaMatching,
    OuterLoop,
    Progress,
    SearchWatch,
    Size,
    distill,
    locked,
    tune,
)
from farzi.distill.search import ranges
from farzi.distill.work import Work
from farzi.errors import InputError
from farzi.evaluation import NextItem
from farzi.summary import load
from farzi.training import Training, TrajectoryStore

SLOW_START = {**SMALL, "objective": replace(SMALL["objective"], lr=1e-4), "loop": OuterLoop(steps=2, evaluate_every=1)}
"""Students learn next to nothing with the inner learning rate that is given."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return TrajectoryStore(folder=tmp_path_factory.mktemp("teachers"), num_snapshots=2)


@pytest.fixture(autouse=True)
def short_judgements(monkeypatch):
    for name in ("student", "judging"):
        monkeypatch.setattr(NextItem, name, Training(steps=40, evaluate_every=20))


@pytest.fixture(scope="module")
def any_summary(store):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("student", "judging"):
            patch.setattr(NextItem, name, Training(steps=2))
        return distill(cyclic_data(), **{**SMALL, "loop": OuterLoop(steps=0)}, store=store)


@pytest.fixture
def play(monkeypatch, any_summary):
    """Put a formula in the place of distillation; the parameters that it was asked for."""
    asked: list[dict[str, float]] = []

    def use(score):
        def summarise(work, _checkpoints):
            asked.append({"loop.lr": work.loop.lr, "size.rank": work.size.rank})
            for step in range(1, work.loop.steps + 1):
                reached = score(len(asked), step, work)
                news = {"loss": 1.0, "score": reached, "best_score": reached, "best_step": step, "lr": 0.1}
                progress = Progress(step=step, seconds=step, gradient_norm=0.5, peak_mb=99.5, skipped=0, **news)
                work.watch.progress(progress)
            card = replace(any_summary.card, origin=work.settings())
            return replace(any_summary, card=card), {"progress": asdict(progress)}

        monkeypatch.setattr(Work, "summarise", summarise)
        return asked

    return use


def rank_and_lr(_trial, step, work):
    """Best at the upper end of the one and the lower end of the other."""
    return step + work.size.rank - 100 * work.loop.lr


TWO = ("loop.lr", "size.rank")


def test_the_best_trial_beats_the_options_as_given_and_can_be_made_again(store, tmp_path):
    searched = {"search": ["objective.lr", "objective.batch_size"], "trials": 4, "seed": 1}
    tuned = tune(cyclic_data(), tmp_path / "search", **SLOW_START, **searched, store=store)
    given = distill(cyclic_data(), **SLOW_START, seed=1, store=store, run=tmp_path / "given")
    record = json.loads((tmp_path / "given" / "run.json").read_text())
    assert given.card.origin["objective"]["lr"] == 1e-4
    assert tuned.first.parameters == {"objective.lr": 1e-4, "objective.batch_size": 2}
    assert tuned.first.score == record["progress"]["best_score"]
    assert tuned.best.score == max(one.score for one in tuned.trials) > tuned.first.score
    assert len({tuple(one.parameters.values()) for one in tuned.trials}) == 4

    fields = {name.split(".")[1]: value for name, value in tuned.best.parameters.items()}
    best = {**SLOW_START, "objective": replace(SLOW_START["objective"], **fields)}
    distill(cyclic_data(), **best, seed=1, store=store, run=tmp_path / "again")
    again, kept = (tmp_path / name / "summary.safetensors" for name in ("again", "search"))
    assert again.read_bytes() == kept.read_bytes()


def test_every_trial_is_recorded(play, tmp_path):
    play(rank_and_lr)
    tuned = tune(cyclic_data(), tmp_path, **SMALL, search=TWO, trials=3)
    records = json.loads((tmp_path / "trials.json").read_text())
    assert [one["number"] for one in records] == [1, 2, 3]
    for one, trial in zip(records, tuned.trials, strict=True):
        assert one["parameters"] == trial.parameters
        assert set(one["parameters"]) == set(TWO)
        assert (one["state"], one["score"]) == ("complete", trial.score)
        assert one["seconds"] > 0
    assert load(tmp_path / "summary.safetensors").card.origin["size"]["rank"] == tuned.best.parameters["size.rank"]


def test_the_search_finds_where_the_best_is(play, tmp_path):
    """Draws that took no notice of the scores would end as far from the best as they begin."""
    play(rank_and_lr)
    trials = tune(cyclic_data(), tmp_path, **SMALL, search=TWO, trials=40).trials
    first, last = ([one.parameters["size.rank"] for one in part] for part in (trials[1:11], trials[-10:]))
    assert sum(last) > sum(first) + 10


def test_the_same_seed_tries_the_same_and_another_seed_something_else(play, tmp_path):
    asked = play(rank_and_lr)
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        tune(cyclic_data(), tmp_path / name, **SMALL, search=TWO, trials=3, seed=seed)
    one, same, other = asked[:3], asked[3:6], asked[6:]
    assert one == same
    assert one[0] == other[0]
    assert one[1:] != other[1:]


def test_a_search_that_is_resumed_repeats_nothing_and_goes_on_as_if_it_had_not_stopped(play, tmp_path):
    asked = play(rank_and_lr)
    whole = tune(cyclic_data(), tmp_path / "whole", **SMALL, search=TWO, trials=16)
    asked.clear()

    def interrupt(_):
        if len(asked) == 13:
            raise KeyboardInterrupt

    parts = {**SMALL, "search": TWO, "trials": 16}
    with pytest.raises(KeyboardInterrupt):
        tune(cyclic_data(), tmp_path / "parts", **parts, watch=SearchWatch(progress=interrupt))
    assert len(json.loads((tmp_path / "parts" / "trials.json").read_text())) == 12
    assert (tmp_path / "parts" / "summary.safetensors").is_file()

    asked.clear()
    told: list[int] = []
    watch = SearchWatch(finished=lambda now: told.append(len(now.trials)))
    tuned = tune(cyclic_data(), tmp_path / "parts", **parts, resume=True, watch=watch)
    assert told == [12, 13, 14, 15, 16]
    assert len(asked) == 4
    assert [one.parameters for one in tuned.trials] == [one.parameters for one in whole.trials]
    whole_summary, summary = (tmp_path / name / "summary.safetensors" for name in ("whole", "parts"))
    assert summary.read_bytes() == whole_summary.read_bytes()


def test_a_search_of_other_settings_is_not_gone_on_with(play, tmp_path):
    play(rank_and_lr)
    tune(cyclic_data(), tmp_path, **SMALL, search=TWO, trials=1)
    before = (tmp_path / "trials.json").read_bytes()
    with pytest.raises(InputError, match="--resume"):
        tune(cyclic_data(), tmp_path, **SMALL, search=TWO, trials=2)
    for changes in ({"search": ["loop.lr"]}, {"loop": OuterLoop(steps=9, evaluate_every=2)}, {"seed": 1}):
        with pytest.raises(InputError, match="with another"):
            tune(cyclic_data(), tmp_path, **{**SMALL, "search": TWO, **changes}, trials=2, resume=True)
    with locked(tmp_path), pytest.raises(InputError, match="in use"):
        tune(cyclic_data(), tmp_path, **SMALL, search=TWO, trials=2, resume=True)
    assert (tmp_path / "trials.json").read_bytes() == before
    (tmp_path / "trials.json").write_bytes(before[:-9])
    with pytest.raises(InputError, match=r"trials\.json is damaged"):
        tune(cyclic_data(), tmp_path, **SMALL, search=TWO, trials=2, resume=True)


def test_a_trial_that_most_are_better_than_is_given_up_and_leaves_nothing(play, tmp_path):
    steps: list[tuple[int, int]] = []

    def worse_and_worse(trial, step, _work):
        steps.append((trial, step))
        return step - trial

    play(worse_and_worse)
    tuned = tune(cyclic_data(), tmp_path, **SMALL, search=TWO, trials=7)
    assert [one.state for one in tuned.trials] == ["complete"] * 5 + ["pruned"] * 2
    assert [max(step for trial, step in steps if trial == number) for number in (1, 6, 7)] == [4, 2, 2]
    assert tuned.trials[-1].score == 2 - 7
    assert tuned.best is tuned.first
    assert {path.name for path in tmp_path.iterdir()} == {
        ".lock",
        "settings.json",
        "summary.safetensors",
        "trials.json",
    }
    assert load(tmp_path / "summary.safetensors").card.origin["size"]["rank"] == SMALL["size"].rank

    again = tune(cyclic_data(), tmp_path, **SMALL, search=TWO, trials=8, resume=True)
    assert again.trials[:7] == tuned.trials
    assert again.trials[7].state == "pruned", "the judgements of before count after a resumption"


def fail_in(number, kind):
    def score(trial, step, work):
        if trial == number:
            raise kind("nothing is finite")
        return rank_and_lr(trial, step, work)

    return score


def test_a_trial_that_diverges_is_recorded_and_the_search_goes_on(play, tmp_path):
    play(fail_in(2, DivergedError))
    tuned = tune(cyclic_data(), tmp_path, **SMALL, search=TWO, trials=3)
    assert [(one.state, one.score, one.reason) for one in tuned.trials] == [
        ("complete", tuned.first.score, ""),
        ("failed", None, "nothing is finite"),
        ("complete", tuned.trials[2].score, ""),
    ]
    assert tune(cyclic_data(), tmp_path, **SMALL, search=TWO, trials=3, resume=True) == tuned


@pytest.mark.parametrize(("number", "kind"), [(1, DivergedError), (1, InputError), (2, InputError)])
def test_where_the_first_trial_fails_or_something_else_is_wrong_the_search_ends(play, tmp_path, number, kind):
    play(fail_in(number, kind))
    with pytest.raises(kind, match="nothing is finite"):
        tune(cyclic_data(), tmp_path, **SMALL, search=TWO, trials=3)
    assert (tmp_path / "trials.json").exists() == (tmp_path / "summary.safetensors").exists() == (number == 2)


def test_values_that_do_not_go_together_fail_before_anything_is_learned(play, tmp_path):
    asked = play(rank_and_lr)
    objective = replace(SMALL["objective"], batch_size=2, sampled_events=2)
    tuned = tune(
        cyclic_data(), tmp_path, **{**SMALL, "objective": objective}, search=["objective.batch_size"], trials=12
    )
    unfit = [one for one in tuned.trials if one.parameters["objective.batch_size"] > 2]
    assert unfit
    assert all(one.state == "failed" and "sampled_events is 2" in one.reason for one in unfit)
    assert len(asked) == 12 - len(unfit)


def test_a_trial_without_a_score_fails(play, tmp_path):
    play(lambda trial, step, _work: step if trial == 1 else float("-inf"))
    tuned = tune(cyclic_data(), tmp_path, **SMALL, search=TWO, trials=2)
    assert [one.score for one in tuned.trials] == [4, None]
    assert "lower the inner learning rate" in tuned.trials[1].reason


def test_after_the_time_no_further_trial_begins(play, tmp_path):
    asked = play(rank_and_lr)
    for resume in (False, True):
        tuned = tune(cyclic_data(), tmp_path, **SMALL, search=TWO, trials=3, minutes=1e-9, resume=resume)
        assert len(tuned.trials) == len(asked) == 1


@pytest.mark.parametrize("search", [["loop.momentum"], ["loop.lr", "loop.steps"], []])
def test_what_cannot_be_searched_is_answered_by_what_can(tmp_path, search):
    with pytest.raises(InputError, match=f"what can be searched is {', '.join(SEARCHABLE)}"):
        tune(cyclic_data(), tmp_path / "search", **SMALL, search=search)
    assert not (tmp_path / "search").exists()


def test_of_an_objective_of_another_kind_nothing_is_known(tmp_path):
    class Own:
        lr, batch_size = 0.1, 1

        def suited(self, *_):
            return self

        def check(self, *_): ...

    with pytest.raises(InputError, match=r"'objective\.lr'; what can be searched is loop\.lr, size\.rank"):
        tune(cyclic_data(), tmp_path / "search", **{**SMALL, "objective": Own()})


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"minutes": 0}, {"workers": 0}, {"size": Size(length=9)}])
def test_values_out_of_range_are_refused_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(InputError, match=next(iter(wrong)).replace("size", "length")):
        tune(cyclic_data(), tmp_path / "search", **{**SMALL, **wrong})
    assert not (tmp_path / "search").exists()


def test_without_optuna_a_search_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'farzi\[tune\]'"):
        tune(cyclic_data(), tmp_path / "search", **SMALL)
    assert not (tmp_path / "search").exists()


@pytest.mark.parametrize(("steps", "window"), [(500, 20), (20, 20), (3, 2), (1, 1), (10_000, 1)])
@pytest.mark.parametrize(("batch_size", "sequences"), [(25, 50), (25, 4), (1, 1)])
def test_ranges_hold_what_is_given_and_values_that_go_together(steps, window, batch_size, sequences):
    objective = MetaMatching(steps=steps, window=window, batch_size=batch_size)
    wanted = {"objective": objective, "loop": OuterLoop(lr=1), "size": Size(sequences=sequences)}
    found = ranges(Work(**{name: wanted.get(name) for name in Work.__dataclass_fields__}), SEARCHABLE)
    given = {"objective.steps": steps, "objective.window": window, "objective.batch_size": batch_size, "size.rank": 32}
    for name, value in given.items():
        low, high, log = found[name]
        assert 1 <= low <= value <= high, name
        assert log
        assert isinstance(low, int)
        assert isinstance(high, int)
    assert found["objective.window"].high <= found["objective.steps"].low
    assert found["objective.batch_size"].high <= max(sequences, batch_size)
    assert found["objective.teacher_share"] == (0, 1, False)
    assert found["loop.lr"] == (0.1, 10, True)
    assert isinstance(found["loop.lr"].high, float)
