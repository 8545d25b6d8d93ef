"""`farzi plan`: what a distillation will take, told beforehand."""

import inspect

from jsonargparse import ArgumentParser

from farzi.commands.base import Call, Command
from farzi.data_options import read_data
from farzi.devices import find_device
from farzi.distill import estimate
from farzi.options import NOT_IN_A_RECIPE, add_recipe_options
from farzi.printing import NEWS, RESULTS
from farzi.report import advice, replay_table, stage_table


def _add_plan_options(parser: ArgumentParser) -> None:
    parser.add_argument("--config", action="config", help="a recipe, as farzi distill takes it")
    add_recipe_options(parser)
    parser.add_argument("--memory_mb", type=float | None, help="megabytes there are for it; what is free by default")


def _plan(call: Call) -> None:
    options = call.options
    find_device(options.device)  # before a large file is read
    data = read_data(options)
    names = inspect.signature(estimate).parameters.keys() - NOT_IN_A_RECIPE
    with NEWS.status("trying some steps, for ten to thirty seconds"):
        told = estimate(data, **{name: options[name] for name in names})
    RESULTS.print(replay_table(told), stage_table(told))
    print(advice(told))


PLAN = Command("DATA", "Tell the memory and the time of a distillation beforehand.", _add_plan_options, _plan)
