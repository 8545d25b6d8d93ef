"""Go on from a model of other text: with a summary of the new text, beside all of it and a few windows of it.

    python benchmarks/fine_tuning.py tinyshakespeare-400x50-free --data-folder ../shared/data

A case is a summary in results/summaries/. The other text is the Penn Treebank, read with the summary's tokenizer;
models of it are what fine-tuning starts from. All rows are measured on the new text. Models on whole texts are trained
as usual; other learning rates are chosen on validation with one model. Three models each.
Written to results/fine-tuning.json.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from cases import CASE, RESULTS, about, record_summaries
from cold_start import SEEDS, spreads
from language import LANGUAGE

import farzi
from farzi.evaluation import Students
from farzi.models import Parameters, SequenceModel, build_model
from farzi.training import Fitted, Teachers, Training, TrainingSet, TrajectoryStore, fit

OTHER = "ptb"
WHOLE = farzi.NextToken.full_data
LRS = (3e-4, 1e-3, 3e-3)


def measure(case: str, folder: Path) -> list[dict[str, Any]]:
    """A row for each start and training set, and one for the models of the other text as they are."""
    named = CASE.fullmatch(case)
    if named is None or named["data"] not in LANGUAGE.files:
        sys.exit(f"{case} is not a summary of a text that is known here; there are {LANGUAGE.kept}")
    summary = farzi.load(RESULTS / "summaries" / f"{case}.safetensors")
    new, other = (
        farzi.NextToken(farzi.load_text(name, path=folder / LANGUAGE.files[name], tokenizer=summary.tokenizer))
        for name in (named["data"], OTHER)
    )
    model, store, advice = build_model(summary.card.model), TrajectoryStore(), summary.card.advice
    students = Students(summary=summary, task=new, model=model, teachers=Teachers(count=0), store=store)
    before = [other.train(model, WHOLE, store, seed).fitted for seed in range(SEEDS)]
    scratch = [students.train("full", WHOLE, seed, seed) for seed in range(SEEDS)]
    rows = [row(case, new, "scratch", "full", scratch, WHOLE), row(case, new, "other text", "nothing", before, WHOLE)]
    few = replace(new.as_advised(advice), evaluate_every=50, patience=40)
    drawn = [students.sequences("random", seed) for seed in range(SEEDS)]
    learned: list[TrainingSet] = [students.sequences("farzi", 0)] * SEEDS
    taught = [one.parameters for one in before]
    for start, first, method, data, training, lrs in (
        ("other text", taught, "full", [new.real(model)] * SEEDS, WHOLE, LRS[1:]),
        ("scratch", [None] * SEEDS, "random", drawn, few, LRS),
        ("other text", taught, "random", drawn, few, LRS),
        ("scratch", [None] * SEEDS, "farzi", learned, few, (*LRS[1:], advice.lr)),
        ("other text", taught, "farzi", learned, few, (*LRS[1:], advice.lr)),
    ):
        train = partial(trained, new, model, data, first)
        tried = {lr: train(replace(training, lr=lr), SEEDS - 1) for lr in lrs}
        chosen = replace(training, lr=max(tried, key=lambda lr: tried[lr].score))
        fitted = [*(train(chosen, seed) for seed in range(SEEDS - 1)), tried[chosen.lr]]
        rows.append(row(case, new, start, method, fitted, chosen))
    return rows


def trained(
    task: farzi.NextToken,
    model: SequenceModel,
    data: Sequence[TrainingSet],
    first: Sequence[Parameters | None],
    training: Training,
    seed: int,
) -> Fitted:
    """One model, trained from what belongs to its seed, on what belongs to its seed."""
    return fit(model, data[seed], training, task.score(model), start=first[seed], seed=seed)


def row(
    case: str, task: farzi.NextToken, start: str, method: str, fitted: Sequence[Fitted], training: Training
) -> dict[str, Any]:
    """What models reach on the new text."""
    values = [task.metrics(one.model, one.parameters, "test") for one in fitted]
    found: dict[str, Any] = {"case": case, "start": start, "method": method, "metrics": spreads(values)}
    found |= {"training": {**asdict(training), "chosen_steps": [one.steps for one in fitted]}}
    found |= {"seconds": sum(one.seconds for one in fitted) / SEEDS}
    print(found, flush=True)
    return found | about()


if __name__ == "__main__":
    record_summaries(measure, "fine-tuning", __doc__)
