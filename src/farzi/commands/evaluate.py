"""`farzi evaluate`: compare a summary with all data and with real sequences."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import get_args

import torch
from jsonargparse import ArgumentParser, Namespace

from farzi.commands.base import Call, Command, add_quiet_option, recipe_parser
from farzi.data_options import add_reading_options, read_data, read_recipe
from farzi.devices import find_device
from farzi.distill import read_costs
from farzi.errors import InputError
from farzi.evaluation import USUAL_METHODS, Costs, Method, Study, evaluate, task_of, with_retention
from farzi.files import check_writable, write_json
from farzi.options import add_device_option, add_model_option, with_given
from farzi.printing import NEWS, RESULTS
from farzi.report import record, result_table, show_progress, watch_study
from farzi.summary import load


def _add_evaluate_options(parser: ArgumentParser) -> None:
    parser.add_argument("summary", type=str | Path, help="folder of a run, or a summary's file")
    parser.add_argument(
        "-o", "--output", type=str | Path | None, help="result file; for a run, its result.json by default"
    )
    parser.add_argument(
        "--measured", type=str | Path | None, help="write the summary here, what it retained in its card"
    )
    parser.add_argument(
        "--workers",
        type=int | None,
        help="processes that train, side by side; by default as many as there are cores and seeds, or 1 with a GPU",
    )
    add_device_option(parser)
    add_quiet_option(parser)
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=get_args(Method),
        help="what models are trained on; all but assisted for a run, and full and farzi for a file by itself, whose "
        "baselines may take teachers to be trained first; assisted is the summary as its own students continue it, for "
        "models of another kind",
    )
    parser.add_argument(
        "--data", type=str | Path | None, help="name or file; by default what the run or the card names"
    )
    add_reading_options(parser)
    add_model_option(parser)
    parser.add_class_arguments(Study)


def _evaluate(call: Call) -> None:
    options, target = call.options, Path(call.options.summary)
    device = find_device(options.device)
    try:
        study = Study(**{field.name: options[field.name] for field in fields(Study)})
    except ValueError as error:
        raise InputError(str(error)) from error
    usual: Sequence[Method] = USUAL_METHODS if target.is_dir() else ("full", "farzi")
    methods = options.methods or usual
    if options.measured is not None and "farzi" not in methods:
        raise InputError("--measured asks for what the summary retained; add farzi to --methods")
    recorded, costs, path, output = Namespace(), Costs(), target, options.output
    if target.is_dir():
        recorded, costs = read_recipe(recipe_parser(), target / "config.yaml"), read_costs(target)
        path, output = target / "summary.safetensors", output or target / "result.json"
    for file in (output, options.measured):
        if file is not None:
            check_writable(file)
    summary = load(path)
    try:
        data = read_data(options, recorded, summary)
    except InputError as error:
        raise (
            error if options.data or options.text else InputError(f"{error}; --data says where else the data is")
        ) from error
    task = task_of(data)
    study = replace(
        study,
        reference=with_given(task.full_data, study.reference, "--reference", call.words),
        student=with_given(task.as_advised(summary.card.advice), study.student, "--student", call.words),
    )
    with show_progress(NEWS, options.quiet) as show:
        watch = watch_study(show)
        rows = evaluate(
            summary,
            data,
            model=options.model,
            study=study,
            methods=methods,
            costs=costs,
            workers=_side_by_side(study.seeds, device) if options.workers is None else options.workers,
            device=options.device,
            watch=watch,
        )
    RESULTS.print(result_table(rows))
    if output is not None:
        configuration = {"study": asdict(study), "summary": asdict(summary.card)}
        write_json(output, record(rows, command=shlex.join(["farzi", *call.words]), configuration=configuration))
        print(f"{output} is written")
    if options.measured is not None:
        with_retention(summary, rows).save(options.measured)
        print(f"{options.measured} is written")


def _side_by_side(seeds: int, device: torch.device) -> int:
    """Several have a thread each, so that a row has the same digits on two cores as on ten."""
    return min(torch.get_num_threads(), seeds) if device.type == "cpu" else 1


EVALUATE = Command(
    "RUN_OR_FILE", "Compare a summary with all data and with real sequences.", _add_evaluate_options, _evaluate
)
