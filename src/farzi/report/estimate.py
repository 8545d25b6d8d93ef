"""What a distillation will take, as tables."""

from rich import box
from rich.table import Table

from farzi.distill import Estimate, ReplayEstimate, Span
from farzi.metagrad import Unstep
from farzi.report.table import short


def replay_table(estimate: Estimate) -> Table:
    """Lay out what each replay takes.

    Args:
        estimate: of a distillation.

    Returns:
        a line for each, the chosen one in bold.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for column in ("replay", "memory, MB", "an outer step, s", "all, minutes"):
        table.add_column(column, justify="left" if column == "replay" else "right", no_wrap=True)
    for number, one in enumerate(estimate.replays):
        note = " (as given)" if not number else " (inexact)" if isinstance(one.replay, Unstep) else ""
        style = "bold" if one is estimate.chosen else ""
        table.add_row(_name(one) + note, f"{one.memory_mb:,.0f}", short(one.step_s), _minutes(one.total), style=style)
    return table


def stage_table(estimate: Estimate) -> Table:
    """Lay out the time of each stage of a distillation, with the replay that was chosen.

    Args:
        estimate: of the distillation.

    Returns:
        a line for each.
    """
    step = (estimate.chosen or estimate.replays[0]).step_s
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    table.add_column("stage")
    table.add_column("minutes", justify="right", no_wrap=True)
    table.add_row(f"teachers to be trained: {estimate.new_teachers}", _minutes(estimate.teaching))
    table.add_row("the start", short(estimate.starting / 60))
    table.add_row(f"outer steps: {estimate.steps:,} at most", short(estimate.steps * step / 60))
    table.add_row(f"judgements: {estimate.judgements}", _minutes(estimate.judging))
    return table


def advice(estimate: Estimate) -> str:
    """Say which replay to take.

    Args:
        estimate: of a distillation.

    Returns:
        a line or two, with the option to type where it is another than was given.
    """
    given, chosen, available = estimate.replays[0], estimate.chosen, f"{estimate.available_mb:,.0f} MB"
    if chosen is None:
        least = min(estimate.replays, key=lambda one: one.memory_mb)
        return (
            f"Nothing fits into {available} with a quarter to spare: {_name(least)} needs least, "
            f"{least.memory_mb:,.0f} MB. A smaller summary or model, or fewer workers, need less."
        )
    room = f"the fastest that fits into {available} with a quarter to spare"
    if chosen is given:
        return f"{_name(chosen)} is {room}, and is what farzi distill takes as given."
    return f"{_name(chosen)} is {room}; give farzi distill --objective.replay farzi.metagrad.{_name(chosen)}"


def _name(one: ReplayEstimate) -> str:
    return type(one.replay).__name__


def _minutes(span: Span) -> str:
    least, most = (short(seconds / 60) for seconds in span)
    return least if least == most else f"{least} to {most}"
