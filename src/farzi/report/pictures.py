"""Pictures of a run, as SVG that stands in a page (extra ``report``)."""

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.sax.saxutils import quoteattr

import numpy as np

from farzi.evaluation import Row, find_metric
from farzi.report.portrait import Portrait, by_rank
from farzi.report.run import Run
from farzi.report.table import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

METHODS: Mapping[str, tuple[str, str]] = {
    "full": ("all events", "#0a0b0c"),
    "random": ("random real sequences", "#8b9199"),
    "random_teacher": ("the same, teachers' targets", "#4f86c0"),
    "farzi": ("the summary", "#d1495b"),
    "assisted": ("the summary, continued", "#8c4a9e"),
}
"""What each method of a study trains on, in words, and its colour; :func:`look` knows others."""

_INK = METHODS["full"][1]  # stands for the colour of the page's text, whatever that is
_INPUTS, _TARGETS = METHODS["random_teacher"][1], METHODS["farzi"][1]
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "font.sans-serif": ["DejaVu Sans"],
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def look(method: str) -> tuple[str, str]:
    """Tell what a method trains on, in words, and its colour.

    Args:
        method: any name.
    """
    return METHODS.get(method, (method, "#a8842c"))


class Picture(NamedTuple):
    """A picture as SVG, and what it says in words."""

    svg: str
    caption: str

    def inline(self, key: str) -> str:
        """The SVG as a part of a page, where others have the same ids.

        Args:
            key: that no other picture of the page has.
        """
        text = re.sub(r"""(\bid="|url\(#|xlink:href="#)""", rf"\g<1>{key}-", self.svg)
        return text.replace("<svg ", f'<svg role="img" aria-label={quoteattr(self.caption)} ', 1)


def retained(rows: Sequence[Row]) -> Picture | None:
    """What each method keeps of every metric, as bars beside the line of the full data; None without a method."""
    shown, names = [row for row in rows if row.method != "full"], list(rows[0].metrics)
    if not shown:
        return None
    width, error_style = 0.8 / len(shown), {"elinewidth": 1, "ecolor": _INK}

    def draw(axes: "Axes") -> None:
        top = 100.0
        for number, row in enumerate(shown):
            kept = 100 * np.array([row.retention[name] for name in names])
            errors = kept * [_relative(row.metrics[name]) for name in names]
            top = max(top, float((kept + errors).max()))
            places = np.arange(len(names)) + (number - (len(shown) - 1) / 2) * width
            label, colour = look(row.method)
            axes.bar(places, kept, width, yerr=errors, label=label, color=colour, error_kw=error_style)
        axes.axhline(100, color=_INK, linewidth=1, linestyle="--")
        axes.set_xticks(range(len(names)), names)
        axes.set_ylabel("% of the quality of all events")
        axes.set_ylim(0, 1.05 * top)
        axes.figure.legend(loc="outside upper left", ncols=2)

    lowest = "; ".join(f"{look(row.method)[0]} {100 * row.min_retention:.1f} %" for row in shown)
    told = "Quality kept on test data, that of all events being 100 % (dashed)"
    return _picture("retained", draw, f"{told}. Lowest of its metrics: {lowest}.")


def break_even(row: Row) -> Picture | None:
    """Time spent against the number of trainings, on all data and on the summary; None where it is not known."""
    full, fit, teachers, loop = (row.cost.get(name) for name in ("fit_full_s", "fit_s", "teacher_s", "distill_s"))
    if full is None or fit is None or teachers is None or loop is None:
        return None
    making, meeting = teachers + loop, row.cost.get("break_even")
    most = 10 if meeting is None else max(1, math.ceil(2 * meeting))
    unit, seconds = _unit(max(most * full, making + most * fit))

    def draw(axes: "Axes") -> None:
        trainings = np.array([0, most])
        for method, times in (("full", trainings * full), ("farzi", making + trainings * fit)):
            label, colour = METHODS[method]
            axes.plot(trainings, times / seconds, color=colour, label=f"on {label}")
        if meeting is not None:
            axes.plot(meeting, meeting * full / seconds, "o", color=_INK)
        axes.set_xlabel("trainings")
        axes.set_ylabel(unit)
        axes.set_xlim(0, most)
        axes.set_ylim(0)
        axes.legend(loc="upper left")

    fits = f"a training takes {short(fit)} s on the summary, {short(full)} s on all events"
    end = "it never pays in time" if meeting is None else f"it has paid for itself after {short(meeting)} trainings"
    return _picture("break-even", draw, f"The making took {short(making)} s; {fits}: {end}.")


def losses(run: Run) -> Picture:
    """The outer loss, step by step."""
    steps = [now.step for now in run.steps]

    def draw(axes: "Axes") -> None:
        axes.plot(steps, [now.loss for now in run.steps], color=_INK)
        axes.set_xlabel("outer steps")
        axes.set_ylabel("outer loss")

    first, last = run.steps[0], run.steps[-1]
    skipped = f", {last.skipped} of them skipped" if last.skipped else ""
    told = f"from {first.loss:.3f} to {last.loss:.3f} in {last.step} steps{skipped}"
    return _picture("loss", draw, f"Outer loss (running mean of the loss on real data after inner training): {told}.")


def scores(run: Run) -> Picture:
    """The validation score at each judgement, with the start and the best step marked."""
    metric, last = find_metric(run.task.headline), run.steps[-1]
    scale = 100 if metric.is_share else 1
    points = [(step, run.task.value(score)) for step, score in run.judgements()]
    best = (last.best_step, run.task.value(last.best_score))
    marked = [("best", best, _TARGETS)] if points[0][0] else [("start", points[0], _INPUTS), ("best", best, _TARGETS)]

    def draw(axes: "Axes") -> None:
        axes.plot([step for step, _ in points], [scale * value for _, value in points], ".-", color=_INK)
        for name, (step, value), colour in marked:
            label = f"{name}: {metric.format(value)}"
            axes.plot(step, scale * value, "o", markersize=8, color=colour, label=label)
        axes.margins(y=0.3)
        axes.set_xlabel("outer steps")
        axes.set_ylabel(f"{run.task.headline}{metric.unit}")
        axes.legend(loc="best")

    told = ", ".join(f"{name} {metric.format(value)} (step {step})" for name, (step, value), _ in marked)
    return _picture("score", draw, f"{run.task.headline}{metric.unit}, on validation data by students: {told}.")


def spread(portrait: Portrait) -> Picture:
    """How many equally likely events a distribution is worth at each position, inputs and targets."""
    sides = {"inputs": (portrait.inputs, _INPUTS), "targets": (portrait.targets, _TARGETS)}

    def draw(axes: "Axes") -> None:
        for label, (side, colour) in sides.items():
            positions = np.arange(side.entropies.shape[1])
            low, high = np.exp(np.quantile(side.entropies, (0.1, 0.9), axis=0))
            axes.plot(positions, np.exp(side.entropies.mean(0)), ".-", color=colour, label=label)
            axes.fill_between(positions, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.set_yscale("log")
        _label_powers(axes.yaxis)
        axes.set_ylim(1)
        axes.set_xlabel("position")
        axes.set_ylabel("equally likely events")
        axes.locator_params(axis="x", integer=True)
        axes.legend(loc="best", ncols=2)

    worth = [f"{short(math.exp(side.entropies.mean()))} for {name}" for name, (side, _) in sides.items()]
    told = "How many equally likely events a distribution is worth (the exponential of its entropy) by position"
    return _picture("spread", draw, f"{told}: mean, and where eight of ten sequences are. Overall {', '.join(worth)}.")


def popularity(portrait: Portrait) -> Picture | None:
    """How popular events are in the training data and in the summary, by real rank; None without the data."""
    real, inputs, targets = portrait.real, portrait.inputs.shares, portrait.targets.shares
    if real is None:
        return None
    ranks, curves = by_rank(real, [inputs, targets])

    def draw(axes: "Axes") -> None:
        looks = {"training events": _INK, "inputs": _INPUTS, "targets": _TARGETS}
        for (label, colour), curve in zip(looks.items(), curves, strict=True):
            axes.plot(ranks, 100 * curve, color=colour, label=label)
        axes.set_xscale("log")
        axes.set_yscale("log", nonpositive="mask")
        for axis in (axes.xaxis, axes.yaxis):
            _label_powers(axis)
        axes.set_xlabel("rank of the event in the training data")
        axes.set_ylabel("share of an event, %")
        axes.legend(loc="best")

    common = [
        f"{100 * np.minimum(real, shares).sum():.0f} % of the {name}"
        for name, shares in (("inputs", inputs), ("targets", targets))
    ]
    told = (
        "Share of all training events, and of all probability in the summary, by the event's rank among the real ones"
    )
    return _picture("popularity", draw, f"{told}. The real shares cover {' and '.join(common)}.")


def _relative(value: Mapping[str, float]) -> float:
    """A standard deviation by its mean."""
    return value["std"] / value["mean"] if value["mean"] and math.isfinite(value["std"]) else 0.0


def _label_powers(axis: "Axis") -> None:
    """Label an axis of powers by plain numbers, also where it spans less than one power."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def _unit(seconds: float) -> tuple[str, float]:
    """A unit of time in which so many seconds are a handy number."""
    return ("seconds", 1) if seconds < 300 else ("minutes", 60) if seconds < 300 * 60 else ("hours", 3600)


def _picture(name: str, draw: Callable[["Axes"], None], caption: str) -> Picture:
    """Draw, and make the SVG a part of a page: ids of its own, no metadata, text in the page's colour."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    content = io.StringIO()
    with rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure = Figure(figsize=(4.5, 2.8), layout="constrained")
        draw(figure.subplots())
        figure.savefig(content, format="svg", metadata=_NO_METADATA, transparent=True)
    text = content.getvalue()
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text[text.index("<svg") :], flags=re.DOTALL)
    return Picture(text.replace(_INK, "currentColor"), caption)
