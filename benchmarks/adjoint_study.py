"""How far off the paper's adjoint of Adam, un-stepping and a short window are from the exact meta-gradient.

    python benchmarks/adjoint_study.py ml-100k --json results/adjoint-study.json

SASRec of width 32 is trained by Adam on batches of 10 of the 50 soft sequences of the committed summary, from fresh
weights, and in one case from a later step on; the outer loss is that of 128 real windows. Wanted is its gradient by the
dense inputs and targets, and by the weights at the start. Derivatives by inputs and targets are compared without their
mean over events, which a distribution does not feel.

Each way is compared with an exact gradient along the very same trajectory, so that what is measured is the way back
alone: folded, windowed and un-stepped float32 states with the exact one in float32; Unstep, which holds its states in
float64, with the exact one that does so too. How far rounding alone moves an exact gradient is told by the same
training in float64.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import farzi
from farzi.files import write_json
from farzi.metagrad import (
    Adam,
    FoldedAdam,
    InnerRun,
    Layout,
    NonFiniteError,
    Optimizer,
    Replay,
    ReplayError,
    Segments,
    State,
    Step,
    Tensors,
    Trainer,
    Unstep,
    Window,
)
from farzi.models import Batch, sequence_loss
from farzi.training import draw_schedule

ROOT = Path(__file__).parents[1]
SUMMARY = ROOT / "results" / "summaries" / "ml-100k-50x50-free.safetensors"
LR, BATCH, REAL_WINDOWS, WINDOW = 1e-2, 10, 128, 20
CASES = ["200:50", "0:10", "0:50", "0:200", "0:1000"]
KEY = ("way", "start", "steps", "seed")


@dataclass(frozen=True)
class Way:
    """One way to a meta-gradient, and the one that it is compared with."""

    optimizer: Optimizer
    replay: Replay
    reference: str
    dtype: torch.dtype = torch.float32


def cast(state: State, dtype: torch.dtype) -> State:
    """A state in another precision."""
    return State(state.count, state.weights.to(dtype), {name: part.to(dtype) for name, part in state.moments.items()})


@dataclass(frozen=True)
class InFloat64:
    """A replay whose states are float64 while the model stays in float32, as Unstep has them."""

    within: Replay

    def forward(self, trainer: Trainer, start: State, num_steps: int) -> tuple[State, Iterator[Step]]:
        """Run all steps; see Replay."""
        final, steps = self.within.forward(trainer, cast(start, torch.float64), num_steps)
        back = (
            Step(s.number, cast(s.before, torch.float32), s.grad.float(), cast(s.after, torch.float32)) for s in steps
        )
        return cast(final, torch.float32), back


@dataclass(frozen=True)
class PlainUnstep:
    """Un-stepping without Unstep's care: states as precise as the model, no check; second moments below 0 become 0."""

    def forward(self, trainer: Trainer, start: State, num_steps: int) -> tuple[State, Iterator[Step]]:
        """Run all steps; see Replay."""
        state = start
        for number in range(num_steps):
            state = trainer.advance(number, state).after
        return state, self._backward(trainer, state, num_steps)

    def _backward(self, trainer: Trainer, state: State, num_steps: int) -> Iterator[Step]:
        for number in reversed(range(num_steps)):
            step = trainer.retreat(number, state)
            first, second = (step.before.moments[name] for name in ("first", "second"))
            state = step.before._replace(moments={"first": first, "second": second.clamp_min(0)})
            yield step._replace(before=state)


class Drift:
    """Watches how far the first state that a replay comes back to is from the one that it started from."""

    def __init__(self, within: Replay) -> None:
        self.within, self.found = within, 0.0

    def forward(self, trainer: Trainer, start: State, num_steps: int) -> tuple[State, Iterator[Step]]:
        """Run all steps; see Replay."""
        final, steps = self.within.forward(trainer, start, num_steps)
        return final, self._watch(steps, start, final)

    def _watch(self, steps: Iterator[Step], start: State, final: State) -> Iterator[Step]:
        for step in steps:
            yield step
            parts = [[s.weights, *s.moments.values()] for s in (step.before, start, final)]
            drifts = [(a - b).norm() / torch.maximum(b.norm(), c.norm()) for a, b, c in zip(*parts, strict=True)]
            self.found = float(max(drifts))


WAYS = {
    "float64": Way(Adam(), Segments(), "float64", torch.float64),
    "exact": Way(Adam(), Segments(), "float64"),
    "folded": Way(FoldedAdam(), Segments(), "exact"),
    "window": Way(Adam(), Window(steps=WINDOW), "exact"),
    "unstep float32": Way(Adam(), PlainUnstep(), "exact"),
    "float64 states": Way(Adam(), InFloat64(Segments()), "float64"),
    "unstep": Way(Adam(), Unstep(tolerance=float("inf")), "float64 states"),
}


class Study:
    """The problem, and its meta-gradients."""

    def __init__(self, task: farzi.NextItem) -> None:
        self.model = farzi.SASRec(dim=32)
        self.decoded = Batch(*(part.detach() for part in farzi.load(SUMMARY).factors.decode()))
        rows = task.draw(REAL_WINDOWS, self.model.max_length, seed=0)
        self.real = Batch(rows[:, :-1], rows[:, 1:].masked_fill(rows[:, :-1] < 0, -1))
        self.vocab = task.data.vocab_size
        self.layout = Layout.of(self.model.init(self.vocab, 0))

    def start(self, warm: int, seed: int) -> State:
        """The state after some steps in float32."""
        weights = self.layout.flatten(self.model.init(self.vocab, seed))
        run = InnerRun(loss=self.loss, layout=self.layout)
        schedule = draw_schedule(len(self.decoded.inputs), BATCH, warm, torch.Generator().manual_seed(1000 + seed))
        return run.run(Adam().init(weights), self.decoded._asdict(), schedule, LR)

    def loss(self, weights: Tensors, batch: Tensors) -> Tensor:
        """Of a batch of synthetic sequences."""
        return sequence_loss(self.model, weights, Batch(**batch))

    def gradient(self, way: Way, start: State, steps: int, seed: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What is recorded of one way, and its gradients; no gradients where there are none to be had."""
        drift = Drift(way.replay)
        run = InnerRun(loss=self.loss, layout=self.layout, optimizer=way.optimizer, replay=drift)
        schedule = draw_schedule(len(self.decoded.inputs), BATCH, steps, torch.Generator().manual_seed(seed))
        examples = {name: part.to(way.dtype) for name, part in self.decoded._asdict().items()}
        began = time.monotonic()
        try:
            meta = run.differentiate(
                lambda weights: sequence_loss(self.model, weights, self.real),
                cast(start, way.dtype),
                examples,
                schedule,
                LR,
            )
        except (NonFiniteError, ReplayError) as error:
            return {"status": type(error).__name__, "reason": str(error)}, {}
        found = {"examples": torch.cat([(p - p.mean(-1, keepdim=True)).flatten() for p in meta.examples.values()])}
        if not isinstance(way.replay, Window):
            found["weights"] = meta.weights
        row = {"status": "ok", "outer_loss": meta.value, "norm": {k: float(g.norm()) for k, g in found.items()}}
        row["drift"] = drift.found if "unstep" in str(way.replay).lower() else None
        return {**row, "seconds": round(time.monotonic() - began, 1)}, {k: g.double() for k, g in found.items()}

    def rows(self, warm: int, steps: int, seed: int, skipped: set[str]) -> Iterator[dict[str, Any]]:
        """Every way for one start, length and seed."""
        start = self.start(warm, seed)
        known: dict[str, dict[str, Tensor]] = {}
        for name, way in WAYS.items():
            if name in skipped or (name == "window" and steps <= WINDOW):
                continue
            row, known[name] = self.gradient(way, start, steps, seed)
            row = {"way": name, "reference": way.reference, "start": warm, "steps": steps, "seed": seed, **row}
            truth = known.get(way.reference, {})
            if known[name] and truth and name != way.reference:
                pairs = {key: (part, truth[key]) for key, part in known[name].items() if key in truth}
                row["cosine"] = {k: float(torch.cosine_similarity(a, b, dim=0)) for k, (a, b) in pairs.items()}
                row["relative_error"] = {k: float((a - b).norm() / b.norm()) for k, (a, b) in pairs.items()}
            print({key: value for key, value in row.items() if key != "reason"}, flush=True)
            yield row


def commit() -> str:
    """The commit that is checked out, ``-dirty`` if it was changed."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def machine(threads: int) -> dict[str, Any]:
    """What the numbers were made on; Linux only."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return {"cpu": cpu, "torch": torch.__version__, "threads": threads}


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--path")
    parser.add_argument("--cases", nargs="+", default=CASES, help="START:STEPS, steps of training before and within")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--float64-up-to", type=int, default=50, help="most steps of ways that need float64")
    parser.add_argument("--extend", action="store_true", help="keep the rows of an existing record, but for those made")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    study = Study(farzi.NextItem(farzi.load_events(options.data, path=options.path)))
    said = [argument for argument in sys.argv[1:] if argument not in ("--path", options.path)]
    command = " ".join(["python benchmarks/adjoint_study.py", *said])
    record = {
        "commands": [command],
        "commit": commit(),
        "machine": machine(options.threads),
        "problem": {"model": "SASRec, dim 32", "sequences": 50, "batch": BATCH, "lr": LR, "real_windows": REAL_WINDOWS},
        "rows": [],
    }
    if options.extend:
        record = json.loads(Path(options.json).read_text())
        record["commands"].append(command)
    for case, seed in product(options.cases, range(options.seeds)):
        warm, steps = map(int, case.split(":"))
        skipped = set(WAYS) - set(options.ways)
        skipped |= set() if steps <= options.float64_up_to else {"float64", "float64 states"}
        for row in study.rows(warm, steps, seed, skipped):
            record["rows"] = [old for old in record["rows"] if any(old[key] != row[key] for key in KEY)] + [row]
            write_json(options.json, record)


if __name__ == "__main__":
    main()
