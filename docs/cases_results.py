"""Tables and a picture of a record of cases: quality by data set, size, kind of targets and student."""

from itertools import product
from pathlib import Path

from farzi.evaluation import find_metric

NAMES = {
    "ml-100k": "MovieLens-100k",
    "ml-1m": "MovieLens-1M",
    "amazon-magazine": "Amazon Magazine",
    "ptb": "Penn Treebank",
    "tinyshakespeare": "Tiny Shakespeare",
}
COLOURS = dict(zip(NAMES, ("#d1495b", "#30638e", "#edae49", "#00798c", "#7a6c9d"), strict=True))
METHODS = {"random": "random", "random_teacher": "random, teachers' targets", "farzi": "farzi"}
OTHERS = {"farzi": "", "assisted": "two"}


def _own(record: list[dict]) -> list[dict]:
    """Rows of students of the kind that the summary was made with."""
    return [row for row in record if row["student"] == row["configuration"]["summary"]["model"]["name"]]


def _seed(row: dict) -> int:
    return row["configuration"]["summary"]["origin"]["seed"]


def _start(row: dict) -> str:
    """What a summary started from; older records tell of no other than real sequences."""
    return row["configuration"]["summary"]["origin"]["size"].get("start", "real")


def _order(row: dict) -> tuple:
    model = row["configuration"]["summary"]["model"]["name"]
    size = row["sequences"] * row["length"]
    return list(NAMES).index(row["dataset"]), row["targets"], size, model, _start(row), _seed(row)


def references(record: list[dict]) -> str:
    """A Markdown table: what each model reaches on the full data."""
    full = {(row["dataset"], row["student"]): row for row in record if row["method"] == "full"}
    names = list(record[0]["metrics"])
    titles = [f"{name}{find_metric(name).unit}" for name in names]
    lines = ["| " + " | ".join(["data", "model", *titles, "steps", "s"]) + " |", "|" + "---|" * (len(names) + 4)]
    for row in sorted(full.values(), key=lambda row: (list(NAMES).index(row["dataset"]), row["student"])):
        values = [spread(name, row["metrics"][name]) for name in names]
        steps = ", ".join(map(str, row["training"]["chosen_steps"]))
        cells = [NAMES[row["dataset"]], row["student"], *values, steps, f"{row['cost']['fit_s']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def retention(record: list[dict]) -> str:
    """A Markdown table: for each summary, what students of its own kind keep, and what it took."""
    names = list(record[0]["metrics"])
    sizes = ["data", "model", "size", "targets", "start", "seed", "share of events", "kB"]
    lowest = ["**lowest**", "lowest, random", "lowest, random with teachers"]
    costs = ["teachers, s", "distillation, s", "training, s", "of full, s", "break-even"]
    head = [*sizes, *names, *lowest, *costs]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    rows = _own(record)
    for row in sorted((row for row in rows if row["method"] == "farzi"), key=_order):
        others = {other["method"]: other["min_retention"] for other in rows if other["case"] == row["case"]}
        cost = row["cost"]
        cells = [
            *(
                NAMES[row["dataset"]],
                row["student"],
                f"{row['sequences']} x {row['length']}",
                row["targets"],
                _start(row),
                str(_seed(row)),
            ),
            *(f"{100 * row['share_of_events']:.2f} %", f"{row['bytes'] / 1000:.0f}"),
            *(f"{row['retention'][name]:.3f}" for name in names),
            f"**{row['min_retention']:.3f}**",
            *(f"{others[method]:.3f}" if method in others else "" for method in ("random", "random_teacher")),
            *(_number(cost.get(name)) for name in ("teacher_s", "distill_s", "fit_s", "fit_full_s", "break_even")),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def other_students(record: list[dict]) -> str:
    """A Markdown table: models of other kinds trained on the same summaries, by their own full-data quality."""
    names = list(record[0]["metrics"])
    head = ["summary", "made with", "student", "assistants", *names, "lowest"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    rows = [row for row in record if row["method"] in OTHERS and row["teacher"] != row["student"]]
    for row in sorted(rows, key=lambda row: (*_order(row), row["student"], OTHERS[row["method"]])):
        kept = [f"{row['retention'][name]:.3f}" for name in names]
        cells = [
            row["case"],
            row["teacher"],
            row["student"],
            OTHERS[row["method"]],
            *kept,
            f"**{row['min_retention']:.3f}**",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def tables(record: list[dict]) -> str:
    """All tables of the record."""
    parts = ["What models reach on all events, on test data:", "", references(record)]
    parts += ["What students trained from scratch on summaries keep of it:", "", retention(record)]
    if any(row["method"] == "farzi" and row["teacher"] != row["student"] for row in record):
        parts += ["Models of another kind on the same summaries:", "", other_students(record)]
    return "\n".join(parts)


def picture(pyplot, record: list[dict], path: Path) -> None:
    """Lowest retention of the usual model by share of the events: all of it, and near full quality; real starts."""
    figure, (whole, near) = pyplot.subplots(2, figsize=(8, 6.5), layout="constrained", sharex=True)
    usual = [row for row in _own(record) if "-by-" not in row["case"] and _start(row) == "real"]
    rows = sorted((row for row in usual if row["method"] != "full"), key=_order)
    for dataset, colour in COLOURS.items():
        for targets, mark in (("free", "o"), ("next", "s")):
            cases = {row["case"] for row in rows if (row["dataset"], row["targets"]) == (dataset, targets)}
            for method in ("farzi", "random_teacher"):
                points = [row for row in rows if row["case"] in cases and row["method"] == method]
                if points:
                    kept = [row["min_retention"] for row in points]
                    for axes in (whole, near):
                        _draw(axes, points, kept, colour, mark, f"{NAMES[dataset]}, {targets}, {METHODS[method]}")
                    for row in points if method == "farzi" else ():
                        at = 100 * row["share_of_events"], row["min_retention"]
                        size = f" {row['sequences']} x {row['length']}"
                        near.annotate(size, at, xytext=(4, -3), textcoords="offset points", fontsize=7)
    for axes in (whole, near):
        axes.axhline(0.98, color="black", linewidth=0.8, linestyle="--")
        axes.spines[["top", "right"]].set_visible(False)
    figure.supylabel("lowest retention of all metrics")
    near.set_ylim(0.94, 1.015)
    near.set_xscale("log")
    near.set_xticks((0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10), ("0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10"))
    near.minorticks_off()
    near.set_xlabel("synthetic positions, % of the training events")
    whole.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def picture_of_text(pyplot, record: list[dict], path: Path) -> None:
    """What the usual model keeps of each metric by share of the text: summaries, and what random windows keep."""
    names = list(record[0]["metrics"])
    figure, panels = pyplot.subplots(1, len(names), figsize=(9, 3.6), layout="constrained")
    rows = sorted((row for row in _own(record) if row["method"] != "full" and row["targets"] != "next"), key=_order)
    marks = {"random": "x", "random_teacher": "o", "farzi": "o"}
    for name, axes in zip(names, panels, strict=True):
        for (dataset, colour), method in product(COLOURS.items(), marks):
            points = [row for row in rows if (row["dataset"], row["method"]) == (dataset, method)]
            if points:
                kept = [row["retention"][name] for row in points]
                _draw(axes, points, kept, colour, marks[method], f"{NAMES[dataset]}, {METHODS[method]}")
        sizes = {f"{row['sequences']} x {row['length']}": 100 * row["share_of_events"] for row in rows}
        for size, share in sizes.items():
            axes.annotate(size, (share, 0), xytext=(0, 4), textcoords="offset points", fontsize=7, ha="center")
        axes.axhline(1, color="black", linewidth=0.8, linestyle="--")
        axes.set_xscale("log")
        axes.set_xticks((0.5, 1, 2, 5), ("0.5", "1", "2", "5"))
        axes.set_xlim(0.4, 8)
        axes.set_ylim(0, 1.08)
        axes.minorticks_off()
        axes.set_title(f"kept of {name}", fontsize=11)
        axes.set_xlabel("synthetic positions, % of the text")
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8
    )
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _draw(axes, rows: list[dict], kept: list[float], colour: str, mark: str, label: str) -> None:
    """Rows of one method by their share of the data; those of summaries are filled."""
    filled = colour if rows[0]["method"] == "farzi" else "none"
    shares = [100 * row["share_of_events"] for row in rows]
    axes.plot(shares, kept, linestyle="", color=colour, marker=mark, markerfacecolor=filled, label=label)


def spread(name: str, value: dict) -> str:
    """A metric's mean and standard deviation as tables have it."""
    metric = find_metric(name)
    return f"{metric.format(value['mean'])} ± {metric.format(value['std'])}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
