"""A study's rows as one table."""

from collections.abc import Callable, Sequence

from rich import box
from rich.table import Table

from farzi.evaluation import Row, find_metric


def result_table(rows: Sequence[Row]) -> Table:
    """Lay a study out with a column for each method, narrow enough for 80 characters.

    Args:
        rows: of one study.

    Returns:
        metrics, shares in percent, with their standard deviation, what is retained of each, sizes and costs.
    """
    first = rows[0]
    title = f"{first.dataset}: {first.student} trained from scratch on ..."
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    table.add_column("", no_wrap=True)
    for row in rows:
        table.add_column(row.method, justify="right", no_wrap=True)
    for name in first.metrics:
        metric, values = find_metric(name), [row.metrics[name] for row in rows]
        cells = [f"{metric.format(value['mean'])} ± {metric.format(value['std'])}" for value in values]
        table.add_row(f"{name}{metric.unit}", *cells)
        table.add_row("  retained, %", *(_percent(row.retention[name]) for row in rows), style="dim")
    table.add_row("min retention, %", *(_percent(row.min_retention) for row in rows), style="bold", end_section=True)
    for name, cell in _SIZES_AND_COSTS.items():
        table.add_row(name, *map(cell, rows))
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _cost(name: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = row.cost.get(name)
        return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

    return cell


_SIZES_AND_COSTS: dict[str, Callable[[Row], str]] = {
    "sequences": lambda row: f"{row.sequences} x {row.length}",
    "targets": lambda row: row.targets,
    "of the events, %": lambda row: _percent(row.share_of_events),
    "bytes": lambda row: f"{row.bytes:,}",
    "one training, s": _cost("fit_s"),
    "teachers, s": _cost("teacher_s"),
    "distillation, s": _cost("distill_s"),
    "peak memory, MB": _cost("peak_mb"),
    "break-even after": _cost("break_even"),
}
