"""`farzi tune`: search for options with which a summary does better."""

import inspect
import shlex
from pathlib import Path

from jsonargparse import ArgumentParser

from farzi.commands.base import Call, Command, add_folder_options, write_recipe
from farzi.data_options import add_data_argument, add_reading_options, read_data
from farzi.devices import find_device
from farzi.distill import SEARCHABLE, Tuned, tune
from farzi.evaluation import task_of
from farzi.options import NOT_IN_A_RECIPE
from farzi.printing import NEWS, RESULTS
from farzi.report import search_table, show_progress, watch_search


def _add_tune_options(parser: ArgumentParser) -> None:
    add_folder_options(parser, "search", "trials")
    add_data_argument(parser)
    add_reading_options(parser)
    parser.add_argument("--search", nargs="+", type=str, default=list(SEARCHABLE), help="options that are searched")
    parser.add_function_arguments(tune, skip={*NOT_IN_A_RECIPE, "folder", "search"})


def _tune(call: Call) -> None:
    options, folder = call.options, Path(call.options.run)

    def keep(tuned: Tuned) -> None:
        write_recipe(folder / "recipe.yaml", call.given, tuned.best.parameters)

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


TUNE = Command("DATA -o FOLDER", "Search for options with which a summary does better.", _add_tune_options, _tune)
