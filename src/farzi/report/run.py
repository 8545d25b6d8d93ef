"""What a run's folder holds, as far as the run has come."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farzi.distill import Progress, Size, read_costs, read_metrics
from farzi.errors import InputError
from farzi.evaluation import Costs, NextItem, NextToken, Row, Task
from farzi.events import EventData, TextData
from farzi.report.record import Recorded, read_record
from farzi.summary import Summary, load


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run, finished or not.

    Args:
        folder: where it is.
        data_name: of the data set.
        model: name and sizes of the model that it is distilled with.
        size: of the summary.
        settings: what decides the summary, as the folder has it in JSON.
        recipe: the options of the command line, as the folder has them in YAML; None for a run made in Python.
        steps: the outer steps so far.
        costs: None until the run is finished.
        summary: None until the run is finished.
        bytes: size of the summary's file; 0 until there is one.
        studies: what comparisons found, that with the summary's own model first.
        data: what it was distilled from, where that is at hand.
    """

    folder: Path
    data_name: str
    model: Mapping[str, Any]
    size: Size
    settings: str
    recipe: str | None
    steps: tuple[Progress, ...]
    costs: Costs | None
    summary: Summary | None
    bytes: int
    studies: tuple[Recorded, ...]
    data: EventData | TextData | None = None

    @property
    def task(self) -> type[Task]:
        """What the scores of its steps are of: those of text are log-likelihoods and so negative, and no others are."""
        return NextToken if self.steps and self.steps[0].score < 0 else NextItem

    @property
    def row(self) -> Row | None:
        """The summary's row in the first study, where there is one."""
        rows = self.studies[0].rows if self.studies else ()
        return next((row for row in rows if row.method == "farzi"), None)

    def judgements(self) -> list[tuple[int, float]]:
        """Steps after which the summary was judged, the start (0) among them, and the scores."""
        if not self.steps:
            return []
        first = self.steps[0]
        points = [(0, first.best_score)] if first.best_step == 0 else []
        for now in self.steps:
            if not points or now.score != points[-1][1]:
                points.append((now.step, now.score))
        return points


def read_run(folder: str | Path) -> Run:
    """Read a run's folder, whatever is there of it.

    Args:
        folder: of a run.

    Returns:
        the run, its data left to the caller.

    Raises:
        InputError: the folder is not that of a run, or a file in it is damaged.
    """
    folder = Path(folder)
    settings, recipe, file = folder / "settings.json", folder / "config.yaml", folder / "summary.safetensors"
    if not settings.is_file() or (folder / "trials.json").exists():
        raise InputError(f"{folder} is not the folder of a run; give one that `farzi distill` wrote")
    try:
        text = settings.read_text(encoding="utf-8")
        content = json.loads(text)
        name, model, size = str(content["data"]["name"]), dict(content["model"]), Size(**content["size"])
        model["name"] = str(model["name"])
        given = recipe.read_text(encoding="utf-8") if recipe.exists() else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"the settings in {folder} are damaged ({error}); copy the run again") from error
    return Run(
        folder=folder,
        data_name=name,
        model=model,
        size=size,
        settings=text,
        recipe=given,
        steps=tuple(read_metrics(folder / "metrics.jsonl")),
        costs=read_costs(folder) if (folder / "run.json").exists() else None,
        summary=load(file) if file.exists() else None,
        bytes=file.stat().st_size if file.exists() else 0,
        studies=tuple(read_record(path) for path in _results(folder)),
    )


def _results(folder: Path) -> list[Path]:
    """``result.json``, which `farzi evaluate` writes by itself, before those of other students beside it."""
    return sorted(folder.glob("result*.json"), key=lambda path: (path.name != "result.json", path.name))
