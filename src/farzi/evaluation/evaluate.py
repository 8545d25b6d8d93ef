"""Compare a summary in one call, and put down in its card what came out."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from farzi.devices import find_device
from farzi.errors import InputError
from farzi.evaluation.find import task_of
from farzi.evaluation.students import USUAL_METHODS, Method
from farzi.evaluation.study import Costs, Row, Study
from farzi.events import EventData, TextData
from farzi.models import SequenceModel, build_model
from farzi.summary import Retention, Summary
from farzi.training import TrajectoryStore, Workers


def evaluate(
    summary: Summary,
    data: EventData | TextData,
    *,
    model: SequenceModel | None = None,
    study: Study = Study(),
    methods: Sequence[Method] = USUAL_METHODS,
    costs: Costs = Costs(),
    store: TrajectoryStore | None = None,
    workers: int = 1,
    device: str = "cpu",
    watch: Callable[[int, int, str], None] = lambda _done, _total, _what: None,
) -> list[Row]:
    """Compare models trained on a summary with models trained on everything, and on as many real sequences.

    Args:
        summary: what is judged.
        data: real sequences or text, that which it was distilled from; what is for testing is looked at here only.
        model: trained in every row; None takes the one that the summary was distilled with.
        study: how many models, and how they are trained.
        methods: the rows wanted; ``full`` is always made.
        costs: of the summary, where known.
        store: where trained models are kept; the user's cache folder by default.
        workers: processes that train, side by side; see :class:`farzi.training.Workers`.
        device: where models are trained and measured, as torch names it, such as ``cuda``.
        watch: told, before each training, how many are done, how many there are, and which one is next.

    Returns:
        a row for each method.

    Raises:
        InputError: the data cannot be split, the summary is of another vocabulary or longer than the model reads, or
            farzi does not bring the model that it was distilled with, or torch cannot compute on the device.
    """
    task = task_of(data, find_device(device))
    with Workers(workers) as pool:
        return study.run(
            summary,
            task,
            build_model(summary.card.model) if model is None else model,
            store or TrajectoryStore(),
            methods=methods,
            costs=costs,
            size_in_bytes=len(summary.to_bytes()),
            workers=pool,
            watch=watch,
        )


def with_retention(summary: Summary, rows: Sequence[Row]) -> Summary:
    """Put what a summary keeps into its card, for those that it is handed on to.

    Args:
        summary: what was judged.
        rows: what :func:`evaluate` gave, with its own among them.

    Returns:
        the summary with another card.

    Raises:
        InputError: no row is of the summary.
    """
    own = next((row for row in rows if row.method == "farzi"), None)
    if own is None:
        raise InputError("the study has no row of the summary, so nothing is known of what it keeps; add method farzi")
    seeds = len(own.training["chosen_steps"])
    retention = Retention(student=own.student, seeds=seeds, kept=own.retention)
    return replace(summary, card=replace(summary.card, retention=retention))
