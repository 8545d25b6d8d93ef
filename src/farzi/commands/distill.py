"""`farzi distill`: learn a summary of a data set."""

import inspect
import shlex
import time
from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser

from farzi.commands.base import Call, Command, add_folder_options, write_recipe
from farzi.data_options import read_data
from farzi.devices import find_device
from farzi.distill import distill, launched
from farzi.evaluation import task_of
from farzi.options import NOT_IN_A_RECIPE, add_recipe_options
from farzi.printing import NEWS, RESULTS
from farzi.report import TRACKERS, card_table, show_progress, tracked, watch_distillation


def _add_distill_options(parser: ArgumentParser) -> None:
    add_folder_options(parser, "run", "checkpoint")
    told = "log outer steps with it as well; each has an extra of its own"
    parser.add_argument("--track", choices=list(TRACKERS), help=told)
    add_recipe_options(parser)


def _distill(call: Call) -> None:
    options, folder = call.options, Path(call.options.run)

    def begin() -> None:
        write_recipe(folder / "config.yaml", call.given)

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


DISTILL = Command("DATA -o RUN", "Learn a summary of a data set.", _add_distill_options, _distill)
