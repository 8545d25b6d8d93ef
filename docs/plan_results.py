"""Table of results/plan.json: what was told of distillations beforehand, and what they took."""


def table(record: dict) -> str:
    """A Markdown table: memory and the time of an outer step, told and measured, and what lies between them."""
    head = ["", "beside", "memory told, MB", "was", "off", "outer step told, s", "was", "off", "plan, s"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in record["rows"]:
        cells = [
            row["case"],
            row["beside"],
            f"{row['memory_mb_told']:,.0f}",
            f"{row['memory_mb']:,.0f}",
            f"{row['memory_mb_off']:+.0%}",
        ]
        cells += [f"{row['step_s_told']:.3g}", f"{row['step_s']:.3g}", f"{row['step_s_off']:+.0%}"]
        lines.append("| " + " | ".join([*cells, f"{row['plan_s']:.0f}"]) + " |")
    machine = record["machine"]
    return "\n".join(lines) + f"\n\n{machine['cores']} cores, {machine['processor']}.\n"
