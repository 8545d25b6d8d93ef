"""Go on from a model of other text: with a summary of the new text, beside all of it and a few windows of it.

    python benchmarks/fine_tuning.py tinyshakespeare-400x50-free --data-folder ../shared/data

A case is a summary in results/summaries/. The other text is the Penn Treebank, read with the summary's tokenizer;
models of it are what fine-tuning starts from. All rows are measured on the new text. Models on whole texts are trained
as usual; other learning rates are chosen on validation with one model. Three models each, two trained at a time.
Written to results/fine-tuning.json.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cases import CASE, RESULTS, about, record_summaries
from cold_start import SEEDS, spreads
from language import LANGUAGE

import farzi
from farzi.evaluation import Students
from farzi.models import Parameters, SequenceModel, build_model
from farzi.training import Fitted, Teachers, Training, TrainingSet, TrajectoryStore, Workers, fit

OTHER = "ptb"
WHOLE = farzi.NextToken.full_data
LRS = (3e-4, 1e-3, 3e-3)


@dataclass(frozen=True)
class Way:
    """One way to a model of the new text: where it starts, what it is trained on, and the rates that are tried.

    What belongs to a seed stands at its place.
    """

    start: str
    method: str
    first: Sequence[Parameters | None]
    data: Sequence[TrainingSet]
    training: Training
    lrs: Sequence[float]


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
    model, store = build_model(summary.card.model), TrajectoryStore()
    students = Students(summary=summary, task=new, model=model, teachers=Teachers(count=0), store=store)
    before = [other.train(model, WHOLE, store, seed).fitted for seed in range(SEEDS)]
    scratch = [students.train("full", WHOLE, seed, seed) for seed in range(SEEDS)]
    rows = [row(case, new, "scratch", "full", scratch, WHOLE), row(case, new, "other text", "nothing", before, WHOLE)]
    advice = new.as_advised(summary.card.advice)
    closely = replace(advice, evaluate_every=50, patience=40)
    drawn = [students.sequences("random", seed) for seed in range(SEEDS)]
    learned: list[TrainingSet] = [students.sequences("farzi", 0)] * SEEDS
    taught = [one.parameters for one in before]
    ways = [Way("other text", "full", taught, [new.real(model)] * SEEDS, WHOLE, LRS[1:])]
    for start, first in (("scratch", [None] * SEEDS), ("other text", taught)):
        ways.append(Way(start, "random", first, drawn, closely, LRS))
        ways.append(Way(start, "farzi", first, learned, advice, (LRS[1], advice.lr)))
    with Workers(2) as pool:
        for way, training, fitted in chosen(pool, new, model, ways):
            rows.append(row(case, new, way.start, way.method, fitted, training))
    return rows


def chosen(
    pool: Workers, task: farzi.NextToken, model: SequenceModel, ways: Sequence[Way]
) -> Iterator[tuple[Way, Training, list[Fitted]]]:
    """Each way with the best of its learning rates, by the last seed, and the models of all seeds."""
    tried = [(way, replace(way.training, lr=lr), SEEDS - 1) for way in ways for lr in way.lrs]
    scored = list(zip(tried, trained(pool, task, model, tried), strict=True))
    best = [max((one for one in scored if one[0][0] is way), key=lambda one: one[1].score) for way in ways]
    others = [(way, training, seed) for (way, training, _), _ in best for seed in range(SEEDS - 1)]
    fitted = trained(pool, task, model, others)
    for (way, training, _), last in best:
        yield way, training, [*(next(fitted) for _ in range(SEEDS - 1)), last]


def trained(
    pool: Workers, task: farzi.NextToken, model: SequenceModel, wanted: Sequence[tuple[Way, Training, int]]
) -> Iterator[Fitted]:
    """A model for each way, training and seed, side by side."""
    sets = [way.data[seed] for way, _, seed in wanted]
    first = [way.first[seed] for way, _, seed in wanted]
    trainings, seeds = [training for _, training, _ in wanted], [seed for *_, seed in wanted]
    return pool.map(train, [task] * len(wanted), [model] * len(wanted), sets, first, trainings, seeds)


def train(
    task: farzi.NextToken,
    model: SequenceModel,
    data: TrainingSet,
    first: Parameters | None,
    training: Training,
    seed: int,
) -> Fitted:
    """One model."""
    fitted = fit(model, data, training, task.score(model), start=first, seed=seed)
    print(f"lr {training.lr:.2g}, seed {seed}: {task.format(fitted.score)} after {fitted.steps}", flush=True)
    return fitted


def row(
    case: str, task: farzi.NextToken, start: str, method: str, fitted: Sequence[Fitted], training: Training
) -> dict[str, Any]:
    """What models reach on the new text."""
    values = [task.metrics(one.model, one.parameters, "test") for one in fitted]
    found: dict[str, Any] = {"case": case, "start": start, "method": method, "metrics": spreads(values)}
    found |= {"training": {**asdict(training), "chosen_steps": [one.steps for one in fitted]}}
    found |= {"seconds": sum(one.seconds for one in fitted) / SEEDS}
    print(found, flush=True)
    return found | about(1)


if __name__ == "__main__":
    record_summaries(measure, "fine-tuning", __doc__)
