"""The command that tells what a distillation will take."""

import inspect

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from farzi.data_options import read_data
from farzi.devices import find_device
from farzi.distill import Estimate, estimate
from farzi.options import NOT_IN_A_RECIPE, add_recipe_options


def add_plan_options(parser: ArgumentParser) -> None:
    """Add the options of a distillation but for its folder, and the memory that there is for it.

    Args:
        parser: gets the options.
    """
    parser.add_argument("--config", action="config", help="a recipe, as farzi distill takes it")
    add_recipe_options(parser)
    parser.add_argument("--memory_mb", type=float | None, help="megabytes there are for it; what is free by default")


def plan(options: Namespace, news: Console) -> Estimate:
    """Estimate what a distillation will take.

    Args:
        options: as :func:`add_plan_options` made them, as values.
        news: where to say that this takes a while.

    Returns:
        memory and time.

    Raises:
        InputError: see :func:`farzi.distill.estimate`; or the data cannot be read.
    """
    find_device(options.device)  # before a large file is read
    data = read_data(options)
    names = inspect.signature(estimate).parameters.keys() - NOT_IN_A_RECIPE
    with news.status("trying some steps, for about ten seconds"):
        return estimate(data, **{name: options[name] for name in names})
