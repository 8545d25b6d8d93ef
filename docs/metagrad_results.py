"""Tables and a picture of the record that benchmarks/metagrad.py writes."""

from pathlib import Path

BASE = {"vocab": 1349, "sequences": 50, "dim": 32}
HEAD = {
    "whole": "whole, after other work",
    "compiled": "the same compiled",
    "bare matrix products": "the bare matrix products, after other work",
    "matrix products": "matrix products in it; this and what follows by the profiler",
}
SIZES = {"vocab": "events V", "sequences": "synthetic sequences", "dim": "width d"}


def _plain(row: dict) -> bool:
    """Whether a row belongs into the table of contenders."""
    return row["dtype"] == "float32" and row["shape"] == BASE and not row["zero_moments"] and row["steps"] >= 10


def _name(row: dict) -> str:
    return f"{row['contender']}, `{row['replay']}`" if row["replay"] else row["contender"]


def contenders(record: dict) -> str:
    """A Markdown table for each batch size: milliseconds a step and peak memory, by contender and number of steps."""
    rows = [row for row in record["rows"] if _plain(row)]
    texts = []
    for batch in sorted({row["batch"] for row in rows}):
        own = [row for row in rows if row["batch"] == batch]
        steps = sorted({row["steps"] for row in own})
        lines = [f"*{batch} sequences of {record['length']} a batch: milliseconds a step, and peak memory in MiB.*", ""]
        lines += ["| way | " + " | ".join(f"T = {number}" for number in steps) + " |", "|" + "---|" * (len(steps) + 1)]
        for name in dict.fromkeys(_name(row) for row in own):
            found = {row["steps"]: row for row in own if _name(row) == name}
            lines.append("| " + " | ".join([name, *(_cell(found.get(number)) for number in steps)]) + " |")
        texts.append("\n".join(lines) + "\n")
    return "\n".join(texts)


def _cell(row: dict | None) -> str:
    if row is None:
        return "not run"
    return f"{row['ms_per_step']:.0f}; {row['peak_mib']:.0f}" if row["status"] == "ok" else row["status"]


def headline(record: dict) -> str:
    """A Markdown table of how many times as fast farzi is, with compiled steps and without."""
    lines = ["| against | compiled | not compiled |", "|---|---|---|"]
    for key, name in (
        ("autograd", "autograd, one graph"),
        ("autograd_step_by_step", "autograd, step by step"),
        ("higher", "`higher` 0.2.1"),
        ("torchopt", "`torchopt` 0.7.3"),
    ):
        found = (record.get(f"speedup_vs_{key}"), record.get(f"speedup_vs_{key}_eager"))
        lines.append(f"| {name} | " + " | ".join("not run" if x is None else f"{x:.2f}" for x in found) + " |")
    return "\n".join(lines) + "\n"


def floors(record: dict) -> str:
    """A Markdown table of what gradients and Hessian-vector products take beside their bare matrix products."""
    lines = ["| 50 sequences of 50 | gradient | Hessian-vector product |", "|---|---|---|"]
    for name, key, title in (
        ("head", "compiled_ratio", "output head, compiled"),
        ("head", "ratio", "output head"),
        ("model", "ratio", "whole model"),
    ):
        ratios = (record["matmul_floor"][f"{name} {what}"].get(key) for what in ("gradient", "hvp"))
        cells = ("not run" if ratio is None else f"{ratio:.2f}" for ratio in ratios)
        lines.append(f"| {title}, over its bare products | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def measured_on(record: dict) -> str:
    """A line of Markdown on machine and commit."""
    told = record["machine"]
    return f"*{told['cpu']}, {told['threads']} threads, torch {told['torch']}, commit {record['commit']}.*\n"


def growth(pyplot, record: dict, path: Path) -> None:
    """Peak memory and time against the number of steps, and time and memory of a step against each size."""
    figure, grid = pyplot.subplots(2, 4, figsize=(12, 5.2), layout="constrained", sharex="col")
    rows = [row for row in record["rows"] if row["status"] == "ok"]
    shown = [row for row in rows if _plain(row) and row["batch"] == 10]
    for name in dict.fromkeys(_name(row) for row in shown):
        own = sorted((row for row in shown if _name(row) == name), key=lambda row: row["steps"])
        style = {"linestyle": "-" if name.startswith("farzi") else "--", "marker": "o", "markersize": 3}
        for axes, values in zip(grid[:, 0], (_seconds(own), _memory(own)), strict=True):
            axes.plot([row["steps"] for row in own], values, label=name.replace("`", ""), **style)
    for column, (size, label) in enumerate(SIZES.items(), 1):
        own = _along(rows, size)
        for axes, values in zip(grid[:, column], ([row["ms_per_step"] for row in own], _memory(own)), strict=True):
            axes.plot([row["shape"][size] for row in own], values, color="#d1495b", marker="o", markersize=4)
        grid[1, column].set_xlabel(label)
        grid[0, column].set_ylabel("ms a step")
    grid[1, 0].set_xlabel("inner steps T")
    grid[0, 0].set_ylabel("seconds")
    for number, axes in enumerate(grid.flat):
        if number % 4 < 2:
            axes.set_xscale("log")
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[1]:
        axes.set_ylabel("peak MiB above the start")
    figure.legend(
        *grid[0, 0].get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower center", ncols=5
    )
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _along(rows: list[dict], size: str) -> list[dict]:
    """Rows of five steps that differ in one size alone; vocabularies have fewer sequences, to fit into memory."""
    base = BASE | ({"sequences": 10} if size == "vocab" else {})
    fits = [row for row in rows if row["steps"] == 5 and {**row["shape"], size: 0} == {**base, size: 0}]
    return sorted(fits, key=lambda row: row["shape"][size])


def _seconds(rows: list[dict]) -> list[float]:
    return [row["seconds"] for row in rows]


def _memory(rows: list[dict]) -> list[float]:
    return [max(row["peak_mib"] - row["baseline_mib"], 1) for row in rows]


def variants(record: dict) -> str:
    """Markdown tables of stacked runs and of bfloat16."""
    lines = ["*Seconds for independent runs of ten steps: one after the other, and stacked.*", ""]
    lines += ["| problem | runs | one by one | stacked | ratio |", "|---|---|---|---|---|"]
    for name, by_count in record["many_runs"].items():
        for count, found in by_count.items():
            single, stacked = found["one by one"], found["stacked"]
            lines.append(f"| {name} | {count} | {single:.3f} | {stacked:.3f} | {single / stacked:.2f} |")
    lines += ["", "*The meta-gradient under bfloat16 against that in float32.*", ""]
    lines += ["| steps | relative error | cosine |", "|---|---|---|"]
    for steps, found in record["bfloat16"]["against_float32"].items():
        lines.append(f"| {steps} | {found['error']:.2g} | {found['cosine']:.2f} |")
    return "\n".join(lines) + "\n"


def profile(record: dict) -> str:
    """A Markdown table of where a step's milliseconds go."""
    own, other = (record["ms_per_step"].get(name) for name in ("farzi compiled", "torchopt"))
    forward, backward = own["a gradient step"], own["a step back by reverse_over_forward"]
    rest = own["all"] - forward - backward
    lines = ["| of a step | ms |", "|---|---|"]
    lines += [f"| farzi compiled, whole | {own['all']:.1f} |", f"| its program on the way there | {forward:.1f} |"]
    lines += [f"| its program on the way back | {backward:.1f} |", f"| all the rest | {rest:.1f} |"]
    lines.append(f"| the bare matrix products with a side of the vocabulary | {own['matrix products']:.1f} |")
    if other:
        lines.append(f"| `torchopt`, whole | {other['all']:.1f} |")
        lines.append(f"| all matrix products in it | {other['matrix products']:.1f} |")
    heads = list(record["head_ms"].values())
    lines += ["", "| of the output head | gradient, ms | Hessian-vector product, ms |", "|---|---|---|"]
    for name in dict.fromkeys(part for head in reversed(heads) for part in head):
        cells = " | ".join(f"{head[name]:.1f}" for head in heads)
        lines.append(f"| {HEAD.get(name, name)} | {cells} |")
    return f"{measured_on(record)}\n" + "\n".join(lines) + "\n"
