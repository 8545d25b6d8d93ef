"""The command line: parse, call, print.

The options of a command are the parameters of the functions that it calls, and their docstrings are the help.
"""

import inspect
import logging
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, get_args

from jsonargparse import ArgumentParser, Namespace
from rich.logging import RichHandler
from rich.table import Table

from farzi.data_options import add_data_argument, add_reading_options, read_data, read_data_at_hand, read_recipe
from farzi.devices import find_device
from farzi.distill import SEARCHABLE, Tuned, distill, launched, read_costs, tune
from farzi.errors import InputError
from farzi.evaluation import Costs, Method, Study, check_fits, evaluate, task_of, with_retention
from farzi.events import describe, fetch, list_sources
from farzi.files import atomic_write, check_writable, write_json
from farzi.models import build_model, shortened
from farzi.options import (
    NOT_IN_A_RECIPE,
    Parser,
    add_device_option,
    add_model_option,
    add_recipe_options,
    new_parser,
    parse,
    with_given,
    with_values,
)
from farzi.planning import add_plan_options, plan
from farzi.printing import NEWS, RESULTS, printing
from farzi.report import (
    TRACKERS,
    advice,
    card_table,
    read_run,
    record,
    replay_table,
    result_table,
    search_table,
    sequence_table,
    show_progress,
    stage_table,
    tracked,
    watch_distillation,
    watch_search,
    watch_study,
    watch_training,
    write_page,
)
from farzi.summary import effective_events, export, load
from farzi.training import advised, fit, keep_freed_memory, save_weights

_OF_A_SEARCH = ("search", "trials", "minutes")


class Call(NamedTuple):
    """A command to run: its options as values, the same as they were given, and the words of the command line."""

    options: Namespace
    given: Namespace
    words: list[str]


class Command(NamedTuple):
    """A command: what it must be given, what the help says of it, what adds its options, and what it does."""

    usage: str
    help: str
    add_options: Callable[[ArgumentParser], None]
    run: Callable[[Call], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after the program's name; those that it was called with by default.

    Returns:
        the exit code: 0; 2 for something that the user can mend; 130 after an interruption.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    ranks = launched()
    who = f"farzi, rank {ranks.index}" if ranks.index else "farzi"
    NEWS.quiet = ranks.index > 0
    keep_freed_memory()
    handler = RichHandler(console=NEWS, show_time=False, show_path=False)
    logging.basicConfig(format="%(message)s", handlers=[handler])
    try:
        with printing():
            given, options = parse(command_parser(), words)
            name: str = options.command
            if ranks.count > 1 and name != "distill":
                raise InputError(f"{name} works in one process; start it without torchrun")
            COMMANDS[name].run(Call(options[name], given[name], words))
    except InputError as error:
        print(f"{who}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        program = ["farzi"] if ranks.count == 1 else ["torchrun", "...", "-m", "farzi"]
        resume = shlex.join([*program, *(word for word in words if word != "--resume"), "--resume"])
        can_go_on = bool(words) and words[0] in ("distill", "tune")
        reason = f", {error}" if str(error) else ""
        if ranks.index == 0 or reason:
            print(f"{who}: stopped{reason}{f'; go on with: {resume}' if can_go_on else ''}", file=sys.stderr)
        return 130
    return 0


def command_parser() -> Parser:
    """The parser of all commands."""
    parser = new_parser(
        "", "COMMAND", "Learn a handful of synthetic sequences that train a model as well as the whole data set."
    )
    parser.add_argument("--version", action="version", version=f"farzi {version('farzi')}")
    commands = parser.add_subcommands(dest="command")
    for name, command in COMMANDS.items():
        subparser = new_parser(name, command.usage, command.help)
        commands.add_subcommand(name, subparser, help=command.help)
        command.add_options(subparser)
    return parser


def _add_distill_options(parser: ArgumentParser) -> None:
    _add_folder_options(parser, "run", "checkpoint")
    told = "log outer steps with it as well; each has an extra of its own"
    parser.add_argument("--track", choices=list(TRACKERS), help=told)
    add_recipe_options(parser)


def _add_folder_options(parser: ArgumentParser, kept: str, goes_on_from: str) -> None:
    """What a command that works in a folder takes beside the options of its function."""
    parser.add_argument("--config", action="config", help="a recipe; --print_config prints one to edit")
    parser.add_argument("-o", "--run", type=str | Path, required=True, help=f"folder of the {kept}")
    parser.add_argument("--resume", action="store_true", help=f"go on from the folder's {goes_on_from}")
    _add_quiet_option(parser)


def _add_quiet_option(parser: ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")


def _recipe_parser() -> ArgumentParser:
    parser = new_parser("distill", "", "")
    add_recipe_options(parser)
    return parser


def _write_recipe(path: Path, given: Namespace, values: Mapping[str, Any] | None = None) -> None:
    """Keep the options that decide a summary, some of them with other values than were given."""
    recipe = with_values(given, values or {})
    for name in ("config", "run", "resume", "quiet", "track", *_OF_A_SEARCH):
        recipe.pop(name, None)
    with atomic_write(path) as file:
        file.write(_recipe_parser().dump(recipe, skip_validation=True).encode())


def _distill(call: Call) -> None:
    options, folder = call.options, Path(call.options.run)

    def begin() -> None:
        _write_recipe(folder / "config.yaml", call.given)

    find_device(options.device)  # before a large file is read
    tracker = TRACKERS[options.track](folder) if options.track else None
    began, minutes = time.monotonic(), options.loop.minutes
    data = read_data(options)
    left = minutes - (time.monotonic() - began) / 60
    loop = replace(options.loop, minutes=max(left, minutes / 2))  # something can be made of half the time
    names = inspect.signature(distill).parameters.keys() - NOT_IN_A_RECIPE
    with show_progress(NEWS, options.quiet) as show:
        chosen = {name: options[name] for name in names} | {"loop": loop}
        with tracked(watch_distillation(show, task_of(data), loop, begin), tracker) as watch:
            summary = distill(data, **chosen, run=folder, resume=options.resume, watch=watch)
    if launched().index > 0:
        return
    RESULTS.print(card_table(summary))
    compare = shlex.join(["farzi", "evaluate", str(folder)])
    print(f"{folder / 'summary.safetensors'} is written; compare it with: {compare}")


def _plan(call: Call) -> None:
    estimate = plan(call.options, NEWS)
    RESULTS.print(replay_table(estimate), stage_table(estimate))
    print(advice(estimate))


def _add_tune_options(parser: ArgumentParser) -> None:
    _add_folder_options(parser, "search", "trials")
    add_data_argument(parser)
    add_reading_options(parser)
    parser.add_argument("--search", nargs="+", type=str, default=list(SEARCHABLE), help="options that are searched")
    parser.add_function_arguments(tune, skip={*NOT_IN_A_RECIPE, "folder", "search"})


def _tune(call: Call) -> None:
    options, folder = call.options, Path(call.options.run)

    def keep(tuned: Tuned) -> None:
        _write_recipe(folder / "recipe.yaml", call.given, tuned.best.parameters)

    find_device(options.device)
    data = read_data(options)
    task = task_of(data)
    names = inspect.signature(tune).parameters.keys() - {*NOT_IN_A_RECIPE, "folder"}
    with show_progress(NEWS, options.quiet) as show:
        watch = watch_search(show, task, options.loop, options.trials, options.minutes, keep)
        chosen = {name: options[name] for name in names}
        tuned = tune(data, folder, **chosen, resume=options.resume, watch=watch)
    RESULTS.print(search_table(tuned, task))
    again = shlex.join(["farzi", "distill", "--config", str(folder / "recipe.yaml"), "-o", str(folder / "best")])
    print(f"{folder / 'summary.safetensors'} is written; its recipe makes a run of it, to be evaluated: {again}")


def _add_evaluate_options(parser: ArgumentParser) -> None:
    parser.add_argument("summary", type=str | Path, help="folder of a run, or a summary's file")
    parser.add_argument(
        "-o", "--output", type=str | Path | None, help="result file; for a run, its result.json by default"
    )
    parser.add_argument(
        "--measured", type=str | Path | None, help="write the summary here, what it retained in its card"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that train, side by side")
    add_device_option(parser)
    _add_quiet_option(parser)
    parser.add_argument("--methods", nargs="+", choices=get_args(Method), default=list(get_args(Method)))
    parser.add_argument(
        "--data", type=str | Path | None, help="name or file; by default what the run or the card names"
    )
    add_reading_options(parser)
    add_model_option(parser)
    parser.add_class_arguments(Study)


def _evaluate(call: Call) -> None:
    options, target = call.options, Path(call.options.summary)
    find_device(options.device)
    try:
        study = Study(**{field.name: options[field.name] for field in fields(Study)})
    except ValueError as error:
        raise InputError(str(error)) from error
    if options.measured is not None and "farzi" not in options.methods:
        raise InputError("--measured asks for what the summary retained; add farzi to --methods")
    recorded, costs, path, output = Namespace(), Costs(), target, options.output
    if target.is_dir():
        recorded, costs = read_recipe(_recipe_parser(), target / "config.yaml"), read_costs(target)
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
        student=with_given(task.student, study.student, "--student", call.words),
    )
    with show_progress(NEWS, options.quiet) as show:
        watch = watch_study(show)
        rows = evaluate(
            summary,
            data,
            model=options.model,
            study=study,
            methods=options.methods,
            costs=costs,
            workers=options.workers,
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


def _add_report_options(parser: ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=str | Path, help="folders of runs; several are put side by side")
    parser.add_argument(
        "-o", "--output", type=str | Path | None, help="HTML file; report.html in the first run by default"
    )


def _report(call: Call) -> None:
    runs = [read_run(folder) for folder in call.options.runs]
    output = call.options.output or runs[0].folder / "report.html"
    parser = _recipe_parser()
    for number, run in enumerate(runs):
        if run.summary is not None and run.recipe is not None:
            data = read_data_at_hand(parser, run.folder / "config.yaml", run.summary)
            runs[number] = replace(run, data=data)
    write_page(output, runs)
    print(f"{output} is written")


def _add_train_options(parser: ArgumentParser) -> None:
    parser.add_argument("summary", type=str | Path, help="a summary's file")
    parser.add_argument("-o", "--output", type=str | Path, required=True, help="file of the trained model")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    add_device_option(parser)
    _add_quiet_option(parser)
    parser.add_argument(
        "--data", type=str | Path | None, help="chooses the step on validation; else the card's advice counts"
    )
    add_reading_options(parser)
    add_model_option(parser)


def _train(call: Call) -> None:
    options, device, summary = call.options, find_device(call.options.device), load(call.options.summary)
    check_writable(options.output)
    model = shortened(options.model or build_model(summary.card.model), summary.factors.length)
    task, training, score = None, advised(summary), None
    if options.data is not None or options.text is not None:
        task = task_of(read_data(options, summary=summary), device)
        check_fits(summary, task, model)
        training = replace(task.student, lr=training.lr, batch_size=training.batch_size)
        score = task.score(model)
    with show_progress(NEWS, options.quiet) as show:
        observe = watch_training(show, task, training.steps)
        fitted = fit(model, summary, training, score, seed=options.seed, device=options.device, observe=observe)
    save_weights(options.output, model, fitted.parameters, summary.vocabulary)
    reached = f", {task.headline} {task.format(fitted.score)} on validation data" if task else ""
    print(f"{options.output} is written: {model.name}, {fitted.steps} steps in {fitted.seconds:.1f} s{reached}")


def _add_inspect_options(parser: ArgumentParser) -> None:
    parser.add_argument("summary", type=str | Path, help="a summary's file")
    parser.add_argument("--sequence", type=int, default=0, help="which sequence, from 0")
    parser.add_argument("--top", type=int, default=5, help="events shown at each position")


def _inspect(call: Call) -> None:
    summary = load(call.options.summary)
    sequences = sequence_table(summary, sequence=call.options.sequence, top=call.options.top)
    RESULTS.print(card_table(summary), sequences)


def _add_export_options(parser: ArgumentParser) -> None:
    parser.add_argument("summary", type=str | Path, help="a summary's file")
    parser.add_argument("-o", "--output", type=str | Path, required=True, help="a .csv, .parquet, .inter, .txt or .npz")
    parser.add_argument("--draws", type=int, default=1, help="sequences drawn from each synthetic one")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")


def _export(call: Call) -> None:
    options, summary = call.options, load(call.options.summary)
    events = export(summary, options.output, draws=options.draws, seed=options.seed)
    print(f"{options.output} is written: {len(events):,} sequences of {events.shape[1]} events")
    worth = f"{effective_events(summary):.0f} equally likely events"
    print(f"What is lost: a target was a distribution worth {worth}, of which each drawn sequence keeps one.")
    print("Train on the summary itself where you can: farzi train")


def _add_data_options(parser: ArgumentParser) -> None:
    actions = parser.add_subcommands(dest="action")

    def add(action: str, argument: str, help: str) -> ArgumentParser:
        subparser = new_parser(f"data {action}", argument, help)
        actions.add_subcommand(action, subparser, help=help)
        return subparser

    add("list", "", "List the data sets known by name.")
    fetching = add("fetch", "NAME", "Fetch a data set into the cache and print where its events are.")
    fetching.add_argument("name", type=str, help="as `farzi data list` prints it")
    describing = add("describe", "DATA", "Count users, items and events, or the tokens of a text.")
    add_data_argument(describing)
    add_reading_options(describing)


def _data(call: Call) -> None:
    action, options = call.options.action, call.options[call.options.action]
    if action == "fetch":
        print(fetch(options.name))
        return
    table = Table(show_header=action == "list")
    if action == "list":
        for column in ("name", "what it holds", "licence"):
            table.add_column(column)
        for source in list_sources():
            table.add_row(source.name, source.description, source.licence)
    else:
        for name, value in asdict(describe(read_data(options))).items():
            table.add_row(name, f"{value:,.4g}" if isinstance(value, float) else f"{value}")
    RESULTS.print(table)


COMMANDS = {
    "distill": Command("DATA -o RUN", "Learn a summary of a data set.", _add_distill_options, _distill),
    "plan": Command("DATA", "Tell the memory and the time of a distillation beforehand.", add_plan_options, _plan),
    "tune": Command("DATA -o FOLDER", "Search for options with which a summary does better.", _add_tune_options, _tune),
    "evaluate": Command(
        "RUN_OR_FILE", "Compare a summary with all data and with real sequences.", _add_evaluate_options, _evaluate
    ),
    "report": Command("RUN ...", "Write a page about runs, with pictures.", _add_report_options, _report),
    "train": Command("FILE -o MODEL", "Train a model from scratch on a summary.", _add_train_options, _train),
    "inspect": Command("FILE", "Show a summary's card and a sequence.", _add_inspect_options, _inspect),
    "export": Command(
        "FILE -o TABLE", "Draw hard sequences from a summary, for training elsewhere.", _add_export_options, _export
    ),
    "data": Command("ACTION", "List, fetch and describe data sets.", _add_data_options, _data),
}
"""The commands by name."""
