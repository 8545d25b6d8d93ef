"""What is told to whoever watches a distillation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from farzi.distill.loop import Progress
from farzi.distill.trials import Tuned


@dataclass(frozen=True, kw_only=True)
class TeacherProgress:
    """A look at a teacher in training.

    Args:
        number: of the teacher, from 1 on.
        count: number of teachers.
        step: training steps that it has taken.
        steps: most that it may take; as many as it took once its training is over.
        score: its validation score now.
    """

    number: int
    count: int
    step: int
    steps: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Told how far a distillation is; every part may be left as it is.

    Args:
        begin: called once the data is found fit and the run folder is held.
        teacher: called at each look at a teacher in training; teachers out of the store are not trained.
        taught: called with the validation score of each teacher, where there are any, once all are there.
        start: called before the start is made and judged; a run that is resumed from a checkpoint has that behind it.
        judgement: called before students are trained on the summary of an outer step, with the step's number.
        progress: called after each outer step.
    """

    begin: Callable[[], None] = lambda: None
    teacher: Callable[[TeacherProgress], None] = lambda _: None
    taught: Callable[[Sequence[float]], None] = lambda _: None
    start: Callable[[], None] = lambda: None
    judgement: Callable[[int], None] = lambda _: None
    progress: Callable[[Progress], None] = lambda _: None


@dataclass(frozen=True, kw_only=True)
class SearchWatch(Watch):
    """Told how far a search is: of the trial at work as of a distillation, and of those that are finished.

    Args:
        begin: called once the data is found fit and the folder of the search is held.
        teacher: see :class:`Watch`.
        taught: see :class:`Watch`.
        start: see :class:`Watch`.
        judgement: see :class:`Watch`.
        progress: called after each outer step of each trial.
        finished: called after each trial, when its record and a summary that is the best are written; a search that is
            resumed begins with those of before.
    """

    finished: Callable[[Tuned], None] = lambda _: None
