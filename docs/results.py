"""Tables and pictures of the documentation, made from the records under results/ and never typed."""

import json
from pathlib import Path
from typing import Any

import cases_results
import metagrad_results
import plan_results
import recbole_results
import studies_results

from farzi.evaluation import find_metric

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results"
LABELS = {
    "full": "all events",
    "random": "random real sequences",
    "random_teacher": "random sequences, teachers' targets",
    "farzi": "farzi",
}


def table(rows: list[dict]) -> str:
    """A Markdown table: one line for each method, metrics as mean ± standard deviation, shares in percent."""
    names = list(rows[0]["metrics"])
    head = [
        "trained on",
        *(f"{name}{find_metric(name).unit}" for name in names),
        "lowest retention",
        "sequences",
        "share of events",
        "kB",
        "seconds to train",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        values = [cases_results.spread(name, row["metrics"][name]) for name in names]
        size = f"{row['sequences']} x {row['length']}"
        share, kilobytes = f"{100 * row['share_of_events']:.1f} %", f"{row['bytes'] / 1000:.0f}"
        kept = f"{row['min_retention']:.3f}"
        seconds = f"{row['cost']['fit_s']:.0f}"
        lines.append("| " + " | ".join([LABELS[row["method"]], *values, kept, size, share, kilobytes, seconds]) + " |")
    return "\n".join(lines) + "\n"


def picture(rows: list[dict], path: Path) -> None:
    """Retention of every metric by method, as bars beside the line of the full data."""
    pyplot = _pyplot()
    shown = [row for row in rows if row["method"] != "full"]
    names = list(rows[0]["metrics"])
    figure, axes = pyplot.subplots(figsize=(8, 3.4), layout="constrained")
    width = 0.8 / len(shown)
    colours = {"random": "#c9c9c9", "random_teacher": "#8fb0d9", "farzi": "#d1495b"}
    for number, row in enumerate(shown):
        places = [index + (number - (len(shown) - 1) / 2) * width for index in range(len(names))]
        values = [100 * row["retention"][name] for name in names]
        errors = [
            100 * row["metrics"][n]["std"] / full["mean"] for n, full in ((n, rows[0]["metrics"][n]) for n in names)
        ]
        axes.bar(places, values, width, yerr=errors, label=LABELS[row["method"]], color=colours[row["method"]],
                 error_kw={"elinewidth": 1, "ecolor": "#444444"})  # fmt: skip
    axes.axhline(100, color="black", linewidth=1, linestyle="--")
    axes.text(len(names) - 0.45, 101.5, "trained on all events", ha="right", fontsize=9)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("% of full-data quality")
    axes.set_ylim(0, 125)
    axes.spines[["top", "right"]].set_visible(False)
    row = shown[-1]
    axes.set_title(
        f"{row['dataset']}: {row['student']} trained from scratch on {row['sequences']} sequences of {row['length']}",
        fontsize=11,
    )
    axes.legend(frameon=False, ncols=3, loc="upper center", fontsize=9)
    figure.savefig(path, metadata={"Date": None, "Source": f"results/demo.json of commit {row['commit']}"})
    pyplot.close(figure)


def grid(points: list[dict]) -> str:
    """A Markdown table of a grid: what differs from point to point, and the validation score."""
    settings = [{**point["model"], **point["training"]} for point in points]
    varied = [name for name in settings[0] if len({str(one[name]) for one in settings}) > 1]
    lines = [
        "| " + " | ".join([*varied, "valid nDCG@100", "steps", "seconds"]) + " |",
        "|" + "---|" * (len(varied) + 3),
    ]
    best = max(point["mean"] for point in points)
    for point, one in zip(points, settings, strict=True):
        scores = ", ".join(f"{100 * score:.2f}" for score in point["valid nDCG@100"])
        mean = f"{100 * point['mean']:.2f}"
        mean = f"**{mean}**" if point["mean"] == best else mean
        steps = ", ".join(str(number) for number in point["steps"])
        cells = [*(str(one[name]) for name in varied), f"{mean} ({scores})", steps, f"{point['seconds']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


WAYS = {
    "exact": "exact, float32",
    "folded": "folded",
    "window": "window of 20",
    "unstep": "`Unstep`",
    "unstep float32": "un-stepped in float32",
}
"""Columns of the study of adjoints, in order."""


def cases(record: dict) -> list[tuple[int, int]]:
    """The cases of the study: where each starts, and how many steps it takes; fresh starts first."""
    return sorted({(row["start"], row["steps"]) for row in record["rows"]})


def spread(values: list[float]) -> str:
    """The smallest and the largest of a few numbers."""
    low, high = _short(min(values)), _short(max(values))
    return low if low == high else f"{low} to {high}"


def _short(value: float) -> str:
    """A number to two digits."""
    if value and not 1e-3 <= abs(value) < 1e5:
        digits, power = f"{value:.1e}".split("e")
        return f"{digits}e{int(power)}"
    return f"{float(f'{value:.2g}'):g}"


def study(record: dict) -> str:
    """Two Markdown tables of the study of adjoints: gradients by the examples, and by the weights at the start."""
    texts = []
    for of, title in (("examples", "By the synthetic inputs and targets"), ("weights", "By the weights at the start")):
        ways = {way: label for way, label in WAYS.items() if of == "examples" or way != "window"}
        head = ["from step", "steps", "seeds", "norm", *ways.values()]
        lines = [f"*{title}: relative error, and cosine where it says so.*", ""]
        lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for case in cases(record):
            rows = [row for row in record["rows"] if (row["start"], row["steps"]) == case]
            exact = [row["norm"][of] for row in rows if row["way"] == "exact" and row["status"] == "ok"]
            cells = [*map(str, case), str(len({row["seed"] for row in rows})), spread(exact) if exact else "not finite"]
            cells += [_compared([row for row in rows if row["way"] == way], of) for way in ways]
            lines.append("| " + " | ".join(cells) + " |")
        texts.append("\n".join(lines) + "\n")
    return "\n".join(texts)


def _compared(rows: list[dict], of: str) -> str:
    """One way's errors over the seeds, and its failures."""
    errors = [row["relative_error"][of] for row in rows if of in row.get("relative_error", {})]
    cosines = [row["cosine"][of] for row in rows if of in row.get("cosine", {})]
    parts = [spread(errors)] if errors else []
    if errors and max(errors) > 0.01:
        low, high = (f"{round(value, 3) + 0.0:g}" for value in (min(cosines), max(cosines)))
        parts.append(f"cosine {low if low == high else f'{low} to {high}'}")
    if failed := sum(row["status"] != "ok" for row in rows):
        parts.append(f"{failed} of {len(rows)} not finite")
    return "; ".join(parts) or "not run"


def study_picture(record: dict, path: Path) -> None:
    """Norm of the meta-gradient and error of each way against the number of steps, a mark a seed."""
    pyplot = _pyplot()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.9), layout="constrained")
    top = 30.0
    styles = {
        "exact": ("#444444", "o"),
        "folded": ("#d1495b", "s"),
        "window": ("#edae49", "D"),
        "unstep": ("#30638e", "^"),
        "unstep float32": ("#8fb0d9", "v"),
    }
    for place, (way, (colour, mark)) in enumerate(styles.items()):
        for row in (row for row in record["rows"] if row["way"] == way):
            warm = row["start"] > 0
            look = {"color": colour, "marker": mark, "markersize": 5, "linestyle": "", "clip_on": False}
            look |= {"markerfacecolor": "none" if warm else colour, "alpha": 0.8}
            at = row["steps"] * 1.08 ** (place - 2)
            if way == "exact" and row["status"] == "ok":
                left.plot(row["steps"], row["norm"]["examples"], **look)
            error = row.get("relative_error", {}).get("examples")
            if row["status"] != "ok" or error is not None:
                right.plot(at, top if error is None else min(max(error, 1e-8), top), **look)
        right.plot([], [], color=colour, marker=mark, linestyle="", label=WAYS[way].replace("`", ""))
    left.set_ylabel("norm of the exact meta-gradient")
    right.set_ylabel("relative error of the meta-gradient")
    right.set_ylim(1e-8, top)
    right.axhline(1, color="black", linewidth=0.8, linestyle="--")
    right.text(1, 1.04, "at the edge: larger, or not finite", ha="right", fontsize=8, transform=right.transAxes)
    figure.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=len(styles))
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_yscale("log")
        lengths = sorted({row["steps"] for row in record["rows"]})
        axes.set_xticks(lengths, [str(steps) for steps in lengths])
        axes.minorticks_off()
        axes.set_xlabel("inner steps (hollow: from step 200 on)")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def growth_picture(record: dict, path: Path) -> None:
    """What time and memory of a meta-gradient grow with."""
    metagrad_results.growth(_pyplot(), record, path)


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "farzi", "font.size": 11})
    from matplotlib import pyplot

    return pyplot


def rendered(record: list | dict) -> str | None:
    """The tables of a record by its form; None for forms that have none."""
    if isinstance(record, dict):
        rows = record.get("rows") or [{}]
        if "ms_per_step" in record:
            return metagrad_results.profile(record)
        if "many_runs" in record:
            return metagrad_results.variants(record)
        if "recbole" in record:
            return recbole_results.table(record)
        if "plan_s" in rows[0]:
            return plan_results.table(record)
        if "speedup_vs_higher" in record:
            parts = [metagrad_results.measured_on(record), metagrad_results.headline(record)]
            parts.append(metagrad_results.floors(record))
            quick = "--quick" in record["command"].split()
            return "\n".join(parts if quick else [*parts, metagrad_results.contenders(record)])
        return study(record) if {"way", "start"} <= rows[0].keys() else None
    if not record:
        return None
    if "study" in record[0]:
        return studies_results.tables(record)
    if "loss" in record[0]:
        return studies_results.losses(record)
    if "quarter" in record[0]:
        return studies_results.quarters(record)
    if "start" in record[0]:
        return studies_results.fine_tuning(record)
    if "case" in record[0]:
        return cases_results.tables(record)
    if "method" in record[0]:
        return table(record)
    return grid(record) if {"model", "training"} <= record[0].keys() else None


def write_tables() -> None:
    """Write ``_generated/NAME.md`` for every record that has a table."""
    folder = HERE / "_generated"
    folder.mkdir(exist_ok=True)
    for path in sorted(RESULTS.glob("*.json")):
        text = rendered(json.loads(path.read_text()))
        if text is not None:
            (folder / f"{path.stem}.md").write_text(text)


def write_pictures() -> None:
    """Write ``_generated/NAME.svg`` for the records that are drawn, but for the demo's, which the README shows."""

    def record(name: str) -> Any:
        return json.loads((RESULTS / f"{name}.json").read_text())

    folder = HERE / "_generated"
    study_picture(record("adjoint-study"), folder / "adjoint-study.svg")
    metagrad_results.growth(_pyplot(), record("metagrad"), folder / "metagrad.svg")
    cases_results.picture(_pyplot(), record("recommendation"), folder / "recommendation.svg")
    cases_results.picture_of_text(_pyplot(), record("language"), folder / "language.svg")
    studies_results.picture(_pyplot(), record("studies"), folder / "studies.svg")


if __name__ == "__main__":
    picture(json.loads((RESULTS / "demo.json").read_text()), HERE / "_static" / "demo.svg")
