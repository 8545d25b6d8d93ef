"""Tables of results/studies.json: one option varied, all else equal."""

TITLES = {
    "teachers": ("teachers", "How many teachers label the start:"),
    "rank": ("rank", "The rank of the factors:"),
    "noise": (
        "noise, %",
        "Training events replaced by items drawn evenly; models on all events are trained on these too:",
    ),
}


def tables(record: list[dict]) -> str:
    """Markdown tables: what students reach at each point of each study, in percent, and their lowest retention."""
    parts: list[str] = []
    for study, (column, title) in TITLES.items():
        rows = [row for row in record if row["study"] == study]
        if not rows:
            continue
        names = list(rows[0]["metrics"])
        lines = ["| " + " | ".join([column, "trained on", *names, "lowest", "kB"]) + " |"]
        lines.append("|" + "---|" * (len(names) + 4))
        for row in sorted(rows, key=lambda row: int(row["label"])):
            if row["method"] == "full" and study != "noise":
                continue
            values = [
                f"{100 * row['metrics'][name]['mean']:.2f} ± {100 * row['metrics'][name]['std']:.2f}" for name in names
            ]
            method = row["method"].replace("_", ", ")
            cells = [row["label"], method, *values, f"{row['min_retention']:.3f}", f"{row['bytes'] / 1000:.0f}"]
            lines.append("| " + " | ".join(cells) + " |")
        parts += [title, "", *lines, ""]
    return "\n".join(parts)


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
