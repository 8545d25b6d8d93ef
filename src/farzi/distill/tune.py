"""A search for a summary's hyper-parameters, where the defaults do not do."""

import logging
import math
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from farzi.devices import find_device
from farzi.distill.checkpoint import Checkpoints, locked
from farzi.distill.loop import DivergedError, OuterLoop, Progress
from farzi.distill.meta_matching import MetaMatching
from farzi.distill.objective import Objective
from farzi.distill.search import SEARCHABLE, UnfitError, ranges, values, vary
from farzi.distill.settings import claim
from farzi.distill.size import Size
from farzi.distill.suggest import Suggestions
from farzi.distill.trials import Trial, Tuned, read_trials, write_trials
from farzi.distill.watch import SearchWatch
from farzi.distill.work import Work
from farzi.errors import InputError
from farzi.evaluation import task_of
from farzi.events import EventData, TextData
from farzi.models import SequenceModel
from farzi.summary import Summary
from farzi.training import Teachers, TrajectoryStore, Workers

logger = logging.getLogger(__name__)


def tune(
    data: EventData | TextData,
    folder: str | Path,
    *,
    search: Collection[str] = SEARCHABLE,
    trials: int = 20,
    minutes: float = math.inf,
    model: SequenceModel | None = None,
    size: Size = Size(),
    objective: Objective = MetaMatching(),
    loop: OuterLoop = OuterLoop(),
    teachers: Teachers | None = None,
    judges: int = 2,
    seed: int = 0,
    resume: bool = False,
    store: TrajectoryStore | None = None,
    workers: int = 1,
    device: str = "cpu",
    watch: SearchWatch = SearchWatch(),
) -> Tuned:
    """Search for options with which a summary does better on validation data; needs optuna (the extra ``tune``).

    Each trial is a distillation. The first has the options as they are given, so that the best is never worse; the
    others draw values around these by a tree-structured Parzen estimator (Bergstra et al., 2011), and end early where
    most of the trials before were better at the same judgement. Test events are never looked at.

    In the folder are ``summary.safetensors``, that of the best trial, and ``trials.json``, a record of all.

    Args:
        data: as for :func:`distill`.
        folder: of the search.
        search: names of the options that are searched; all that can be by default.
        trials: how many, those of before among them where a search is resumed.
        minutes: after so many, counted over all resumptions, no further trial begins; infinite by default.
        model: the teachers; the students are the same with as short a memory as the summary's sequences. None takes
            SASRec, and for text a Transformer.
        size: of the summary.
        objective: what the outer loop follows.
        loop: how it does so in each trial; the time that the teachers took counts in each.
        teachers: models trained on the full data, once for all trials; None takes four, as for :func:`distill`.
        judges: students trained for each judgement on validation data.
        seed: of everything that is drawn; teachers have seeds from 0 on.
        resume: go on after the folder's trials.
        store: where trained teachers are kept; the user's cache folder by default.
        workers: processes that train teachers and judges, side by side; see :class:`farzi.training.Workers`.
        device: where everything is computed, as torch names it, such as ``cuda``.
        watch: told how far it is.

    Returns:
        the trials.

    Raises:
        InputError: optuna is missing, an option cannot be searched, the first trial cannot be made (see
            :func:`distill`), the folder is in use, holds a search or something else, or cannot be written, or torch
            cannot compute on the device.
    """
    if trials < 1 or not minutes > 0:
        raise InputError(f"--trials is {trials} and --minutes {minutes:g}; both must be positive")
    folder, task = Path(folder), task_of(data, find_device(device))
    with Workers(workers) as pool:
        work = Work(
            task,
            model or task.default_model,
            size,
            objective.suited(size.sequences, size.length),
            loop,
            teachers or Teachers(training=task.full_data),
            judges,
            seed,
            store or TrajectoryStore(),
            pool,
            watch,
            task.judging,
        )
        work.check()
        searched = ranges(work, search)
        suggestions = Suggestions(searched, seed)
        fixed = {
            "loop.steps": loop.steps,
            "loop.minutes": f"{loop.minutes:g}",
            "search": {name: list(one) for name, one in searched.items()},
        }
        with locked(folder):
            claim(folder, work.settings() | fixed, resume)
            watch.begin()
            tried = read_trials(folder / "trials.json")
            for one in tried:
                suggestions.add(one)
            if not tried:
                suggestions.begin_with(values(work, searched))
            work = work.in_time(folder / "budget.json")
            return _Search(work, suggestions, folder, watch).run(Tuned(tried), trials, minutes)


class _PrunedError(Exception):
    """Ends a trial that most others were better than."""


@dataclass(frozen=True)
class _Search:
    """One search at work."""

    work: Work
    suggestions: Suggestions
    folder: Path
    watch: SearchWatch

    def run(self, tuned: Tuned, trials: int, minutes: float) -> Tuned:
        """Go on until there are enough trials, or they have taken long enough."""
        if tuned.trials:
            self.watch.finished(tuned)
        while len(tuned.trials) < trials and tuned.seconds < 60 * minutes:
            trial, summary = self._try(len(tuned.trials) + 1)
            tuned = Tuned((*tuned.trials, trial))
            if summary is not None and tuned.best is trial:
                summary.save(self.folder / "summary.safetensors")
            write_trials(self.folder / "trials.json", tuned.trials)
            self.watch.finished(tuned)
        return tuned

    def _try(self, number: int) -> tuple[Trial, Summary | None]:
        """A trial, and its summary if it is complete."""
        asked, judgements = self.suggestions.ask(number), list[tuple[int, float]]()

        def progress(now: Progress) -> None:
            self.watch.progress(now)
            if now.step % self.work.loop.evaluate_every == 0 and now.step < self.work.loop.steps:
                judgements.append((now.step, _finite(now.best_score)))
                asked.report(now.best_score, now.step)
                if asked.should_prune():
                    raise _PrunedError

        began = time.monotonic()
        summary, state, score, reason = None, "complete", None, ""
        try:
            work = vary(self.work, asked.params)
            work = replace(work, watch=replace(self.watch, progress=progress))
            summary, record = work.summarise(Checkpoints())
            score = _finite(record["progress"]["best_score"])
        except _PrunedError:
            state, score = "pruned", judgements[-1][1]
        except (DivergedError, UnfitError) as error:
            if number == 1:
                raise
            logger.warning("trial %d failed: %s", number, error)
            state, reason = "failed", str(error)
        trial = Trial(
            number=number,
            parameters=asked.params,
            state=state,
            score=score,
            judgements=tuple(judgements),
            seconds=time.monotonic() - began,
            reason=reason,
        )
        self.suggestions.tell(asked, trial)
        return trial, summary


def _finite(score: float) -> float:
    if not math.isfinite(score):
        raise DivergedError("students have no score on validation data that is finite; lower the inner learning rate")
    return score
