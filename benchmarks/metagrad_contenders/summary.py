"""What is said about the measurements: headline, table, and the machine they come from."""

import os
import statistics
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from metagrad_contenders.grid import BY_STEP, COMPILED, Case, frugal
from metagrad_contenders.problem import Shape
from metagrad_contenders.processes import ROOT

NOTES = (
    "higher 0.2.1 adds Adam's epsilon to the root of the second moment before its bias is corrected, so its epsilon is "
    "larger by 1 / sqrt(1 - beta2^t), 32 times at the first step: with zero moments (zero_moments) the derivative of "
    "the first steps at small gradients is that of another function, and norm and direction of its meta-gradient are "
    "off; with epsilon times that root at each step (`higher, epsilon scaled`) it agrees to rounding.",
    "torchopt 0.7.3 corrects the bias with powers in float32 even where all tensors are float64.",
    "Gradients by targets are compared without their mean over events, which farzi's head and log_softmax are free to "
    "choose differently, as targets sum to one.",
    "Without a suffix the speed-ups are those of farzi with compiled steps (`farzi compiled`), with `_eager` those of "
    "farzi without; `compile_seconds` is what the first use took where nothing had been compiled before, and is in no "
    "other number.",
)

OPPONENTS = {
    "higher": "higher",
    "torchopt": "torchopt",
    "autograd": "autograd",
    "autograd_step_by_step": BY_STEP,
}
"""Whom the headline compares with, by the names that it gives them."""


def row_of(case: Case, results: list[dict[str, Any]], errors: dict[str, float]) -> dict[str, Any]:
    """All that was found about a case."""
    row = {**asdict(case), **results[-1], "error": errors}
    if row["status"] == "ok":
        row["seconds_each"] = [seconds for result in results for seconds in result["seconds"]]
        for name in ("first_use_seconds", "peak_mib", "baseline_mib"):
            row[f"{name}_each"] = [result[name] for result in results]
        for name in ("seconds", "first_use_seconds", "peak_mib", "baseline_mib"):
            row[name] = statistics.median(row[f"{name}_each"])
        row["ms_per_step"] = 1000 * row["seconds"] / case.steps
    return row


def headline(rows: list[dict[str, Any]], floors: dict[str, Any]) -> dict[str, Any]:
    """The numbers to quote; None for what was not measured."""

    def find(**wanted: Any) -> dict[str, Any]:
        wanted = {"contender": "farzi", "batch": 10, "dtype": "float32", "zero_moments": False, **wanted}
        fits = (row for row in rows if row["shape"] == asdict(Shape()) and row["status"] == "ok")
        return next((row for row in fits if all(row[name] == value for name, value in wanted.items())), {})

    eager, compiled = (find(contender=name, replay="StoreAll", steps=100) for name in ("farzi", COMPILED))
    small, large = (find(replay=frugal(), steps=steps) for steps in (10, 1000))
    result = {
        "error_vs_autograd": eager.get("error", {}).get("examples"),
        "error_vs_autograd_compiled": compiled.get("error", {}).get("examples"),
        "error_vs_autograd_float64": find(replay="StoreAll", steps=100, dtype="float64")
        .get("error", {})
        .get("examples"),
        **{
            f"speedup_vs_{label}{key}": _ratio(find(contender=name, replay="", steps=100), ours, "seconds")
            for key, ours in (("", compiled), ("_eager", eager))
            for label, name in OPPONENTS.items()
        },
        "compile_seconds": max(compiled.get("first_use_seconds_each", [None])),
        "memory_growth_T1000_over_T10": _ratio(large, small, "peak_mib"),
        "memory_growth": {
            "replay": frugal(),
            "peak_mib_T10": small.get("peak_mib"),
            "peak_mib_T1000": large.get("peak_mib"),
        },
    }
    for what, task in (("grad", "gradient"), ("hvp", "hvp")):
        head, model = (floors.get(f"{name} {task}", {}) for name in ("head", "model"))
        result[f"{what}_over_matmul_floor"] = head.get("compiled_ratio")
        result[f"{what}_over_matmul_floor_eager"] = head.get("ratio")
        result[f"{what}_over_matmul_floor_model_eager"] = model.get("ratio")
    return result


def _ratio(over: dict[str, Any], under: dict[str, Any], name: str) -> float | None:
    return over[name] / under[name] if over and under else None


def table(rows: list[dict[str, Any]]) -> None:
    """Print all rows."""
    print(f"\n{'':38}{'T':>5} {'batch':>5} {'ms/step':>8} {'peak MiB':>9} {'error: examples':>16} {'weights':>9}")
    for row in rows:
        shape, name = row["shape"], f"{row['contender']} {row['replay']}".strip()
        marks = [row["dtype"]] * (row["dtype"] != "float32") + ["zero moments"] * row["zero_moments"]
        marks += [f"{key} {value}" for key, value in shape.items() if value != asdict(Shape())[key]]
        label = ", ".join([name, *marks])
        start = f"{label:38}{row['steps']:5} {row['batch']:5}"
        if row["status"] == "ok":
            errors = "".join(
                f"{row['error'][key]:{width}.1e}" for key, width in (("examples", 17), ("weights", 10)) if row["error"]
            )
            print(f"{start} {row['ms_per_step']:8.1f} {row['peak_mib']:9.0f}{errors}")
        else:
            print(f"{start}   {row['status']} {row.get('reason', '')}")


def machine(threads: int) -> dict[str, Any]:
    """What the numbers were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "threads": threads or torch.get_num_threads(),
    }


def commit() -> str:
    """The commit that is checked out."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
