"""One measurement in one process: the child that measures, and the parent that watches its memory and time."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from metagrad_contenders import floor
from metagrad_contenders.contenders import CONTENDERS, Gradients
from metagrad_contenders.problem import load

ROOT = Path(__file__).parents[2]
MEMORY_GIB = 8
POLL_SECONDS = 0.02
TIMED_SECONDS = 5
FLOOR = "matmul floor"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a child is to do. ``threads`` 0 leaves torch's own number; ``seconds`` is the most that it may take."""

    contender: str
    replay: str
    problem: str
    batch: int
    steps: int
    dtype: str
    zero_moments: bool
    threads: int
    seconds: float
    gradients: str = ""


def child(path: str) -> None:
    """Measure what the file says, and write the result into its place."""
    run = Run(**json.loads(Path(path).read_text()))
    if run.threads:
        torch.set_num_threads(run.threads)
    problem = load(run.problem, run.batch, run.steps, getattr(torch, run.dtype), run.zero_moments)
    result = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    if run.contender == FLOOR:
        result["floor"] = floor.measure(problem, run.steps)
    else:
        differentiate = CONTENDERS[run.contender]
        began = time.perf_counter()
        differentiate(replace(problem, schedule=problem.schedule[:1]), run.replay)  # torch loads on first use
        first = time.perf_counter() - began
        baseline = mib("VmRSS")
        spent: list[float] = []
        while not spent or sum(spent) + spent[-1] < TIMED_SECONDS:
            began = time.perf_counter()
            found = differentiate(problem, run.replay)
            spent.append(time.perf_counter() - began)
            if len(spent) == 1:
                # Not getrusage: its peak begins with that of the process which started this one.
                result |= {"value": found.value, "baseline_mib": baseline, "peak_mib": mib("VmHWM")}
                if run.gradients:
                    torch.save(_comparable(found), run.gradients)
            del found
        result |= {"seconds": spent, "first_use_seconds": first}
    Path(path).write_text(json.dumps(result))


def measure(run: Run, python: str, script: str, folder: str) -> dict[str, Any]:
    """Start a child, and return its result with a ``status``; no failure of it is one of the caller's."""
    path, errors = Path(folder) / "run.json", Path(folder) / "errors.txt"
    path.write_text(json.dumps(asdict(run)))
    library = os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH"))))
    # With a cache of its own, the first process that compiles says what that takes where nothing was compiled before.
    environment = {**os.environ, "PYTHONPATH": library, "TORCHINDUCTOR_CACHE_DIR": f"{folder}/compiled"}
    command = [python, "-W", "ignore", script, "--worker", str(path)]
    try:
        with errors.open("w") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)
    except OSError as error:
        return {"status": "missing", "reason": error.strerror}
    stopped = _watch(process, run.seconds)
    if stopped:
        return {"status": stopped}
    if process.returncode:
        last = (errors.read_text().strip().splitlines() or ["no message"])[-1]
        absent = last.startswith(("ModuleNotFoundError", "ImportError"))
        return {"status": "missing" if absent else "failed", "reason": last.replace(str(ROOT), ".")}
    return {"status": "ok", **json.loads(path.read_text())}


def compare(found: str, truth: str) -> dict[str, float]:
    """Relative error and cosine of one file of gradients against another."""
    result = {}
    for name, (a, b) in _pairs(torch.load(found), torch.load(truth)).items():
        result[name] = float((a - b).norm() / b.norm())
        result[f"{name}_cosine"] = float(torch.dot(a, b) / (a.norm() * b.norm()))
    return result


def _pairs(found: dict[str, torch.Tensor], truth: dict[str, torch.Tensor]):
    return {name: (found[name].double(), truth[name].double()) for name in truth}


def _comparable(found: Gradients) -> dict[str, torch.Tensor]:
    """Gradients by examples and weights; only differences along a target's distribution mean anything."""
    targets = found.targets - found.targets.mean(-1, keepdim=True)
    return {"examples": torch.cat([found.inputs.reshape(-1), targets.reshape(-1)]), "weights": found.weights}


def _watch(process: subprocess.Popen, seconds: float) -> str:
    """Wait for a child; kill it, and say why, once it takes too much."""
    ends, page, why = time.monotonic() + seconds, os.sysconf("SC_PAGE_SIZE"), ""
    try:
        while process.poll() is None and not why:
            time.sleep(POLL_SECONDS)
            if _resident_pages(process.pid) * page > MEMORY_GIB * 2**30:
                why = f"out of memory ({MEMORY_GIB} GiB)"
            elif time.monotonic() > ends:
                why = f"out of time ({seconds:.0f} s)"
    finally:
        process.kill()
        process.wait()
    return why


def _resident_pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0


def mib(name: str) -> float:
    """A size from this process's own status, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"{sys.platform} does not say {name}")
