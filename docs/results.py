"""Tables and pictures of the documentation, made from the records under results/ and never typed."""

import json
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results"
PERCENT = ("HR@10", "HR@100", "nDCG@10", "nDCG@100", "AUC")
LABELS = {
    "full": "all events",
    "random": "random real sequences",
    "random_teacher": "random sequences, teachers' targets",
    "farzi": "farzi",
}


def table(rows: list[dict]) -> str:
    """A Markdown table: one line for each method, metrics in percent as mean ± standard deviation."""
    names = list(rows[0]["metrics"])
    head = ["trained on", *names, "lowest retention", "sequences", "share of events", "kB", "seconds to train"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        values = [f"{100 * row['metrics'][n]['mean']:.2f} ± {100 * row['metrics'][n]['std']:.2f}" for n in names]
        size = f"{row['sequences']} x {row['length']}"
        share, kilobytes = f"{100 * row['share_of_events']:.1f} %", f"{row['bytes'] / 1000:.0f}"
        kept = f"{row['min_retention']:.3f}"
        seconds = f"{row['cost']['fit_s']:.0f}"
        lines.append("| " + " | ".join([LABELS[row["method"]], *values, kept, size, share, kilobytes, seconds]) + " |")
    return "\n".join(lines) + "\n"


def picture(rows: list[dict], path: Path) -> None:
    """Retention of every metric by method, as bars beside the line of the full data."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "farzi", "font.size": 11})
    from matplotlib import pyplot

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
    figure.savefig(path, metadata={"Date": None})
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


def write_tables() -> None:
    """Write ``_generated/NAME.md`` for every record."""
    folder = HERE / "_generated"
    folder.mkdir(exist_ok=True)
    for path in sorted(RESULTS.glob("*.json")):
        rows = json.loads(path.read_text())
        (folder / f"{path.stem}.md").write_text(table(rows) if "method" in rows[0] else grid(rows))


if __name__ == "__main__":
    picture(json.loads((RESULTS / "demo.json").read_text()), HERE / "_static" / "demo.svg")
