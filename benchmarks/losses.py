"""Train on a summary with another loss than the one that it was distilled with, beside the same on all data.

    python benchmarks/losses.py ml-100k-50x10-free --data-folder ../shared/data

A case is a summary in results/summaries/. Each loss sees, at each position, one event that comes next and some that are
drawn evenly: with 1 it is BPR (Rendle et al., 2009, arXiv 1205.2618), with 100 a sampled softmax. Of a summary's
distributions the event that comes next is drawn anew at every step. Learning rates are chosen on validation with one
model; three models each, as in `farzi evaluate`. Written to results/losses.json.
"""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from cases import about, record_summaries
from cold_start import SEEDS, opened, spreads
from torch import Tensor
from torch.nn import functional

from farzi.evaluation import STUDENT_LRS
from farzi.models import Batch, Parameters, SequenceModel, hidden_states, output_layer, sequence_loss, shortened
from farzi.training import FitLoss, as_training_set, fit

SAMPLED = {"BPR": 1, "sampled softmax": 100}
FULL_LRS = (1e-3, 3e-3)


def sampled_loss(negatives: int, model: SequenceModel, parameters: Parameters, batch: Batch, rate: float) -> Tensor:
    """Mean cross-entropy of the event that comes next among itself and events drawn evenly."""
    hidden = hidden_states(model, parameters, batch.inputs, rate)
    if batch.targets.is_floating_point():
        hidden, targets = hidden.flatten(0, 1), torch.multinomial(batch.targets.flatten(0, 1), 1)
    else:
        hidden, targets = hidden[batch.targets >= 0], batch.targets[batch.targets >= 0][:, None]
    weight, bias = output_layer(parameters)
    drawn = torch.randint(len(weight), (len(targets), negatives), device=targets.device)
    candidates = torch.cat([targets, drawn], 1)
    scores = (functional.embedding(candidates, weight) @ hidden[:, :, None])[..., 0]
    if bias is not None:
        scores = scores + bias[candidates]
    return functional.cross_entropy(scores, torch.zeros(len(scores), dtype=torch.long, device=scores.device))


def measure(case: str, folder: Path) -> list[dict[str, Any]]:
    """A row for each loss and training set."""
    task, summary = opened(case, folder)
    model = task.default_model
    own = task.as_advised(summary.card.advice)
    ways = {
        "full": (model, task.real(model), task.full_data, FULL_LRS),
        "farzi": (shortened(model, summary.factors.length), as_training_set(summary.factors), own, STUDENT_LRS),
    }
    losses: dict[str, FitLoss] = {"cross-entropy": sequence_loss}
    losses |= {name: partial(sampled_loss, count) for name, count in SAMPLED.items()}
    rows: list[dict[str, Any]] = []
    for name, loss in losses.items():
        for method, (kind, data, training, lrs) in ways.items():
            train = partial(fit, kind, data, score=task.score(kind), loss=loss)
            tried = {lr: train(replace(training, lr=lr), seed=SEEDS).score for lr in lrs}
            chosen = replace(training, lr=max(tried, key=lambda lr: tried[lr]))
            fitted = [train(chosen, seed=seed) for seed in range(SEEDS)]
            values = [task.metrics(kind, one.parameters, "test") for one in fitted]
            row = {"case": case, "loss": name, "method": method, "metrics": spreads(values)}
            row |= {"training": {**asdict(chosen), "chosen_steps": [one.steps for one in fitted]}}
            row |= {"seconds": sum(one.seconds for one in fitted) / SEEDS}
            rows.append(row | about())
            print({key: row[key] for key in ("loss", "method", "metrics", "training")}, flush=True)
    return rows


if __name__ == "__main__":
    record_summaries(measure, "losses", __doc__)
