"""What a command is, and what several of them have in common."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jsonargparse import ArgumentParser, Namespace

from farzi.files import atomic_write
from farzi.options import add_recipe_options, new_parser, with_values

_OF_A_SEARCH = ("search", "trials", "minutes")
"""Options of a search that are not those of a distillation."""


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


def add_folder_options(parser: ArgumentParser, kept: str, goes_on_from: str) -> None:
    """Add what a command that works in a folder takes beside the options of its function.

    Args:
        parser: gets the options.
        kept: what is in the folder.
        goes_on_from: what a resumed command begins with.
    """
    parser.add_argument("--config", action="config", help="a recipe; --print_config prints one to edit")
    parser.add_argument("-o", "--run", type=str | Path, required=True, help=f"folder of the {kept}")
    parser.add_argument("--resume", action="store_true", help=f"go on from the folder's {goes_on_from}")
    add_quiet_option(parser)


def add_quiet_option(parser: ArgumentParser) -> None:
    """Add whether progress is shown.

    Args:
        parser: gets the option.
    """
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")


def recipe_parser() -> ArgumentParser:
    """A parser of what decides a summary."""
    parser = new_parser("distill", "", "")
    add_recipe_options(parser)
    return parser


def write_recipe(path: Path, given: Namespace, values: Mapping[str, Any] | None = None) -> None:
    """Keep the options that decide a summary.

    Args:
        path: of the recipe.
        given: all options, as they were given.
        values: other values for some of them, by option.
    """
    recipe = with_values(given, values or {})
    for name in ("config", "run", "resume", "quiet", "track", *_OF_A_SEARCH):
        recipe.pop(name, None)
    with atomic_write(path) as file:
        file.write(recipe_parser().dump(recipe, skip_validation=True).encode())
