"""The grid behind the full-data reference: every setting on validation, the test set for the chosen one alone.

    python benchmarks/reference.py ml-100k --json results/reference-ml-100k.json

Around one centre, each setting is changed by itself; learning rate and dropout are crossed.
"""

import argparse
import itertools
import statistics
import time
from dataclasses import asdict, replace

import torch
from cases import about

import farzi
from farzi.files import write_json
from farzi.training import FULL_DATA, fit

CENTRE = farzi.SASRec(), FULL_DATA


def settings():
    """Model and training of each point of the grid."""
    model, training = CENTRE
    for lr, dropout in itertools.product((1e-3, 3e-3), (0.1, 0.2, 0.4)):
        yield model, replace(training, lr=lr, dropout=dropout)
    for weight_decay in (0.02, 0.1):
        yield model, replace(training, weight_decay=weight_decay)
    yield model, replace(training, batch_size=64)
    yield replace(model, heads=2), training
    yield replace(model, blocks=2), training
    yield replace(model, dim=64), training
    yield replace(model, max_length=100), training


def main() -> None:
    """Run the grid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--path")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    task = farzi.NextItem(farzi.load_events(options.data, path=options.path))
    rows = []
    for model, training in settings():
        began = time.monotonic()
        runs = [fit(model, task.real(model), training, task.score(model), seed=seed) for seed in range(options.seeds)]
        row = {
            "model": asdict(model),
            "training": asdict(training),
            f"valid {task.headline}": [run.score for run in runs],
            "mean": statistics.mean(run.score for run in runs),
            "steps": [run.steps for run in runs],
            "seconds": (time.monotonic() - began) / len(runs),
            **about(),
        }
        if (model, training) == CENTRE:
            row["test"] = [task.metrics(model, run.parameters, "test") for run in runs]
        rows.append(row)
        write_json(options.json, rows)
        print(f"{row['mean']:.4f}  {row['seconds']:4.0f} s  {model}  {training}", flush=True)


if __name__ == "__main__":
    main()
