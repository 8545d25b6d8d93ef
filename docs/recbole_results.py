"""Table of results/recbole.json: the full-data reference beside RecBole's models."""


def table(record: dict) -> str:
    """A Markdown table: farzi's models and RecBole's on the test events, in percent, and what lies between them."""
    names = list(record["rows"][0]["metrics"])
    lines = ["| " + " | ".join(["model", "by", "seeds", *names, "seconds"]) + " |", "|" + "---|" * (len(names) + 4)]
    for model in dict.fromkeys(row["model"] for row in record["rows"]):
        rows = [row for row in record["rows"] if row["model"] == model]
        for row in rows:
            cells = [model, row["by"], str(len(row["seeds"])), *(_spread(row["metrics"][name]) for name in names)]
            lines.append("| " + " | ".join([*cells, f"{row['seconds']:.0f}"]) + " |")
        for row in (row for row in rows if "over recbole" in row):
            values = (row["over recbole"][name] for name in names)
            cells = [f"{100 * value['mean']:+.2f} (error {100 * value['error']:.2f})" for value in values]
            lines.append("| " + " | ".join(["", "farzi over recbole, by user", "", *cells, ""]) + " |")
    return "\n".join(lines) + "\n"


def _spread(value: dict) -> str:
    """Mean and standard deviation in percent; the mean alone of a single seed."""
    mean = f"{100 * value['mean']:.2f}"
    return mean if len(value["seeds"]) == 1 else f"{mean} ± {100 * value['std']:.2f}"
