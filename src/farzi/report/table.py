"""A study's rows as one table."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from rich import box
from rich.table import Table

from farzi.evaluation import Row, find_metric


class Line(NamedTuple):
    """One line of a study's table: what it is of, a cell for each row of the study, and how it is set."""

    name: str
    cells: tuple[str, ...]
    style: Literal["", "dim", "bold"] = ""


def study_lines(rows: Sequence[Row]) -> list[Line]:
    """Write out a study, a line for each quantity.

    Args:
        rows: of one study.

    Returns:
        metrics, shares in percent, with their standard deviation, what is retained of each, sizes and costs.
    """
    lines = list[Line]()
    for name in rows[0].metrics:
        metric, values = find_metric(name), [row.metrics[name] for row in rows]
        cells = (f"{metric.format(value['mean'])} ± {metric.format(value['std'])}" for value in values)
        lines.append(Line(f"{name}{metric.unit}", tuple(cells)))
        lines.append(Line("retained, %", tuple(_percent(row.retention[name]) for row in rows), "dim"))
    lines.append(Line("min retention, %", tuple(_percent(row.min_retention) for row in rows), "bold"))
    lines += [Line(name, tuple(map(cell, rows))) for name, cell in _SIZES_AND_COSTS.items()]
    return [line for line in lines if any(line.cells)]


def result_table(rows: Sequence[Row]) -> Table:
    """Lay a study out with a column for each method, narrow enough for 80 characters.

    Args:
        rows: of one study.

    Returns:
        its lines, see :func:`study_lines`.
    """
    first = rows[0]
    title = f"{first.dataset}: {first.student} trained from scratch on ..."
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    table.add_column("", overflow="fold")
    for row in rows:
        table.add_column(row.method, justify="right", overflow="fold")
    for name, cells, style in study_lines(rows):
        table.add_row(f"  {name}" if style == "dim" else name, *cells, style=style, end_section=style == "bold")
    return table


def short(value: float) -> str:
    """A number to three digits, or whole where it has more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _cost(name: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = row.cost.get(name)
        return "" if value is None else short(value)

    return cell


_SIZES_AND_COSTS: dict[str, Callable[[Row], str]] = {
    "sequences": lambda row: f"{row.sequences} x {row.length}",
    "targets": lambda row: row.targets,
    "of the events, %": lambda row: _percent(row.share_of_events),
    "bytes": lambda row: f"{row.bytes:,}",
    "one training, s": _cost("fit_s"),
    "teachers, s": _cost("teacher_s"),
    "distillation, s": _cost("distill_s"),
    "assistants, s": _cost("assistants_s"),
    "peak memory, MB": _cost("peak_mb"),
    "break-even after": _cost("break_even"),
}
