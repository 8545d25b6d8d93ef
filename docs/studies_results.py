"""Tables and a picture of results/studies.json, one option varied, all else equal; and of other studies."""

from pathlib import Path

from cases_results import spread

from farzi.evaluation import find_metric

TITLES = {
    "teachers": (
        "teachers",
        "How many teachers label the start, which without any is random sequences and the next events:",
    ),
    "rank": ("rank", "The rank of the factors:"),
    "steps": ("outer steps", "Outer steps; 0 is the start:"),
    "start": ("start", "Real sequences to start from, or such as the teachers write:"),
    "optimizer": ("inner optimiser", "The optimiser of inner runs:"),
    "targets": ("targets", "The kind of targets:"),
    "noise": (
        "noise, %",
        "Training events replaced by items drawn evenly; models on all events are trained on these too:",
    ),
    "models": ("made with", "Models, those of a summary's teachers and inner runs, and students:"),
    "text-steps": ("outer steps", "Text, 100 windows of Tiny Shakespeare; outer steps:"),
    "text-optimizer": ("inner optimiser", "The same, the optimiser of inner runs:"),
}

WITH = {
    "teachers": {"random_teacher"},
    "rank": {"random_teacher"},
    "targets": {"random_teacher"},
    "noise": {"full"},
    "models": {"full"},
    "text-steps": {"full", "random_teacher"},
}
"""What is shown beside the summary, where it is not the same at all points."""


def tables(record: list[dict]) -> str:
    """Markdown tables: what students reach at each point of each study, and their lowest retention."""
    parts: list[str] = []
    for study, (column, title) in TITLES.items():
        rows = [row for row in record if row["study"] == study]
        if not rows:
            continue
        names = list(rows[0]["metrics"])
        students = ["student"] if study == "models" else []
        titles = [f"{name}{find_metric(name).unit}" for name in names]
        lines = ["| " + " | ".join([column, *students, "trained on", *titles, "lowest", "kB"]) + " |"]
        lines.append("|" + "---|" * (len(names) + len(students) + 4))
        for row in rows:
            if row["method"] not in {"farzi", *WITH.get(study, ())}:
                continue
            values = [spread(name, row["metrics"][name]) for name in names]
            method = row["method"].replace("_", ", ")
            student = [row["student"]] if students else []
            kept = f"{row['min_retention']:.3f}"
            cells = [row["label"], *student, method, *values, kept, f"{row['bytes'] / 1000:.0f}"]
            lines.append("| " + " | ".join(cells) + " |")
        parts += [title, "", *lines, ""]
    return "\n".join(parts)


def picture(pyplot, record: list[dict], path: Path) -> None:
    """What is kept of each metric at the points of each study of items, by students of the usual kind."""
    there = {row["study"] for row in record if not row["study"].startswith("text-")}
    shown = [study for study in TITLES if study in there - {"models"}]
    figure, panels = pyplot.subplots(2, 4, figsize=(11, 5.2), layout="constrained")
    for axes in panels.flat[len(shown) :]:
        axes.set_axis_off()
    for study, axes in zip(shown, panels.flat, strict=False):
        rows = [row for row in record if row["study"] == study and row["method"] == "farzi"]
        for metric in rows[0]["metrics"]:
            axes.plot([row["label"] for row in rows], [row["retention"][metric] for row in rows], "o-", label=metric)
        axes.axhline(1, color="black", linewidth=0.8, linestyle="--")
        axes.set_ylim(0.38 if study == "teachers" else 0.86, 1.16)  # a student without teachers keeps far less
        axes.set_title(TITLES[study][0], fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supylabel("retention")
    figure.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def losses(record: list[dict]) -> str:
    """Markdown tables of results/losses.json: all data and a summary, trained on with other losses."""
    shown = ["HR@10", "nDCG@10", "HR@100", "nDCG@100", "AUC"]
    parts: list[str] = []
    for case in dict.fromkeys(row["case"] for row in record):
        lines = ["| loss | trained on | " + " | ".join(f"{name}, %" for name in shown) + " | lowest kept | s |"]
        lines.append("|" + "---|" * (len(shown) + 4))
        full: dict[str, dict] = {}
        for row in (row for row in record if row["case"] == case):
            if row["method"] == "full":
                full = row["metrics"]
            values = [
                f"{100 * row['metrics'][name]['mean']:.2f} ± {100 * row['metrics'][name]['std']:.2f}" for name in shown
            ]
            kept = min(row["metrics"][name]["mean"] / full[name]["mean"] for name in shown)
            on = "all events" if row["method"] == "full" else "the summary"
            lines.append(f"| {row['loss']} | {on} | " + " | ".join(values) + f" | {kept:.3f} | {row['seconds']:.0f} |")
        parts += [f"{case}:", "", *lines, ""]
    return "\n".join(parts)


def quarters(record: list[dict]) -> str:
    """Markdown tables of results/cold-start.json: what is kept by users and by items, from the seldom to the common."""
    shown = ["HR@10", "nDCG@10", "HR@100", "nDCG@100", "AUC"]
    parts: list[str] = []
    for case, by in dict.fromkeys((row["case"], row["by"]) for row in record):
        lines = [f"| events of the {by} | " + " | ".join(f"{name}, full | kept" for name in shown) + " |"]
        lines.append("|" + "---|" * (2 * len(shown) + 1))
        for row in record:
            if (row["case"], row["by"]) != (case, by):
                continue
            cells = [f"{row['least']:,} to {row['most']:,}"]
            for name in shown:
                full, kept = (row["metrics"][method][name]["mean"] for method in ("full", "farzi"))
                cells += [f"{100 * full:.1f}", f"{kept / full:.2f}" if full else ""]
            lines.append("| " + " | ".join(cells) + " |")
        parts += [f"{case}, test events by the training events of their {by}:", "", *lines, ""]
    return "\n".join(parts)


def fine_tuning(record: list[dict]) -> str:
    """Markdown tables of results/fine-tuning.json: what a text and its summary teach, from scratch and later on."""
    on = {"nothing": "nothing more", "full": "all of it", "random": "random windows of it", "farzi": "the summary"}
    parts: list[str] = []
    for case in dict.fromkeys(row["case"] for row in record):
        lines = ["| start | trained on | perplexity | accuracy, % | learning rate | steps | s |", "|" + "---|" * 7]
        for row in sorted((row for row in record if row["case"] == case), key=lambda row: row["start"], reverse=True):
            perplexity, accuracy = row["metrics"]["perplexity"], row["metrics"]["accuracy"]
            values = [
                f"{perplexity['mean']:.3f} ± {perplexity['std']:.3f}",
                f"{100 * accuracy['mean']:.2f} ± {100 * accuracy['std']:.2f}",
                f"{row['training']['lr']:.2g}",
                ", ".join(map(str, row["training"]["chosen_steps"])),
                f"{row['seconds']:.0f}",
            ]
            last = values if row["method"] != "nothing" else [*values[:2], "", "", ""]
            lines.append("| " + " | ".join([row["start"], on[row["method"]], *last]) + " |")
        parts += [f"{case}:", "", *lines, ""]
    return "\n".join(parts)
