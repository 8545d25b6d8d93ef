"""What a page tells of one run, in words and numbers."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from farzi.evaluation import find_metric
from farzi.report import pictures
from farzi.report.pictures import Picture, look
from farzi.report.portrait import Portrait, portray
from farzi.report.run import Run
from farzi.report.sequences import card_lines, in_words, percent, share_of_events
from farzi.report.table import Line, short, study_lines


class Missing(NamedTuple):
    """Something that a run lacks, and the command that makes it."""

    told: str
    command: str


class Study(NamedTuple):
    """A study as a table: which student, a column for each method, and the lines."""

    student: str
    columns: list[str]
    lines: list[Line]


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """All that a page tells of a run.

    Args:
        run: what it is of.
        name: that no other chapter has.
        lead: the run in a sentence or two.
        tiles: the main numbers, each with what it is.
        missing: what is not there yet.
        compared: what the table of all runs says of it, by column.
        facts: what was distilled from what, by name.
        studies: what it is worth.
        pictures: by name, those for which there is something to show.
        portrait: of the summary, where there is one.
        commands: that make the run again.
        record: what the study ran with, by name.
    """

    run: Run
    name: str
    lead: str
    tiles: list[tuple[str, str]]
    missing: list[Missing]
    compared: Mapping[str, str]
    facts: Mapping[str, str]
    studies: list[Study]
    pictures: Mapping[str, Picture]
    portrait: Portrait | None
    commands: list[str]
    record: Mapping[str, str]


def write_chapter(run: Run, name: str) -> Chapter:
    """Put a run into words, numbers and pictures.

    Args:
        run: finished or not.
        name: that no other chapter has.
    """
    portrait = None if run.summary is None else portray(run.summary, run.data)
    return Chapter(
        run=run,
        name=name,
        lead=_lead(run),
        tiles=_tiles(run),
        missing=_missing(run),
        compared=_compared(run),
        facts=_facts(run),
        studies=[
            Study(one.rows[0].student, [look(row.method)[0] for row in one.rows], study_lines(one.rows))
            for one in run.studies
        ],
        pictures=_pictures(run, portrait),
        portrait=portrait,
        commands=_commands(run),
        record=_record(run),
    )


def _lead(run: Run) -> str:
    size, row = run.size, run.row
    made = f"{size.sequences} synthetic sequences of {size.length} positions"
    if run.summary is None:
        return f"{made} are distilled from {run.data_name}."
    told = f"{made}, distilled from the {run.summary.card.num_events:,} training events of {run.data_name}."
    if row is None:
        return told
    name = min(row.retention, key=lambda metric: row.retention[metric])
    kept = f"{100 * row.min_retention:.1f} % of what it reaches on all events"
    return f"{told} In its worst metric, {name}, {row.student} trained from scratch on them alone keeps {kept}."


def _tiles(run: Run) -> list[tuple[str, str]]:
    size, row, tiles = run.size, run.row, list[tuple[str, str]]()
    tiles.append((f"{size.sequences} x {size.length}", "sequences by positions"))
    if run.summary is not None:
        tiles.append((percent(share_of_events(run.summary)), "of the training events"))
        tiles.append((_bytes(run.bytes), "in the file"))
    if row is not None:
        full_s, fit_s, meeting = (row.cost.get(name) for name in ("fit_full_s", "fit_s", "break_even"))
        tiles.append((f"{100 * row.min_retention:.1f} %", "kept in the worst metric"))
        if full_s is not None and fit_s is not None:
            tiles.append((f"{short(fit_s)} s", f"a training, in place of {short(full_s)} s"))
        if meeting is not None:
            tiles.append((short(meeting), "trainings until it has paid for itself"))
    elif run.steps:
        tiles.append((_best(run), f"best on validation data, {run.task.headline}"))
        tiles.append((f"{run.steps[-1].step:,}", "outer steps"))
    return tiles


def _missing(run: Run) -> list[Missing]:
    folder = str(run.folder)
    if run.summary is None:
        stage = f"It has taken {run.steps[-1].step:,} outer steps" if run.steps else "Its outer loop has not begun"
        told = f"This run is not finished. {stage}; where it is not at work, this goes on with it:"
        again = ["farzi", "distill", "--config", f"{folder}/config.yaml", "-o", folder, "--resume"]
        in_python = f"farzi.distill(..., run={folder!r}, resume=True)  # in Python"
        return [Missing(told, in_python if run.recipe is None else shlex.join(again))]
    if run.studies:
        return []
    target = [folder] if run.recipe is not None else [f"{folder}/summary.safetensors", "-o", f"{folder}/result.json"]
    told = "What the summary is worth has not been measured yet. This does it:"
    return [Missing(told, shlex.join(["farzi", "evaluate", *target]))]


def _compared(run: Run) -> dict[str, str]:
    size, row = run.size, run.row
    cost = {} if row is None else row.cost
    full_s, fit_s, meeting = (cost.get(name) for name in ("fit_full_s", "fit_s", "break_even"))
    return {
        "data": run.data_name,
        "model": str(run.model["name"]),
        "sequences": f"{size.sequences} x {size.length}",
        "targets": size.targets,
        "of the events": "" if run.summary is None else percent(share_of_events(run.summary)),
        "file": "" if run.summary is None else _bytes(run.bytes),
        "kept at worst": "" if row is None else f"{100 * row.min_retention:.1f} %",
        "a training": "" if fit_s is None or full_s is None else f"{short(full_s)} → {short(fit_s)} s",
        "break-even": "" if meeting is None else short(meeting),
        "best on validation": f"{run.task.headline} {_best(run)}" if run.steps else "",
    }


def _facts(run: Run) -> dict[str, str]:
    size = run.size
    if run.summary is None:
        return {
            "sequences x positions": f"{size.sequences} x {size.length}",
            "targets": size.targets,
            "rank": str(size.rank),
            "data": run.data_name,
            "model": in_words(run.model),
        }
    facts = {**card_lines(run.summary), "file": f"{run.bytes:,} bytes"}
    if run.costs is not None:
        for name, value, unit in (
            ("teachers", run.costs.teacher_s, "s"),
            ("distillation", run.costs.distill_s, "s"),
            ("peak memory", run.costs.peak_mb, "MB"),
        ):
            facts |= {} if value is None else {name: f"{short(value)} {unit}"}
    return facts


def _pictures(run: Run, portrait: Portrait | None) -> dict[str, Picture]:
    found = dict[str, Picture | None]()
    if run.studies:
        found["retained"] = pictures.retained(run.studies[0].rows)
    if run.row is not None:
        found["break-even"] = pictures.break_even(run.row)
    if run.steps:
        found |= {"loss": pictures.losses(run), "score": pictures.scores(run)}
    if portrait is not None:
        found |= {"spread": pictures.spread(portrait), "popularity": pictures.popularity(portrait)}
    return {name: one for name, one in found.items() if one is not None}


def _commands(run: Run) -> list[str]:
    if run.recipe is None:
        return ["farzi.distill(...)  # in Python, with the settings below"]
    return ["farzi distill --config config.yaml -o runs/again", "farzi evaluate runs/again"]


def _record(run: Run) -> dict[str, str]:
    if not run.studies:
        return {}
    first = run.studies[0]
    versions = ", ".join(f"{name} {value}" for name, value in first.versions.items())
    return {"command": first.command, "versions": versions, "commit": first.commit, "machine": first.machine}


def _best(run: Run) -> str:
    metric = find_metric(run.task.headline)
    return metric.format(run.task.value(run.steps[-1].best_score)) + (" %" if metric.is_share else "")


def _bytes(number: int) -> str:
    return f"{number / 1e3:,.0f} kB" if number < 1e6 else f"{number / 1e6:,.1f} MB"
