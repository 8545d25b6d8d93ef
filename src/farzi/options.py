"""How the words of a command line become values."""

import itertools
import re
from argparse import ArgumentError
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from pydoc import locate
from typing import Any

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from farzi.data_options import add_data_argument, add_reading_options, task_for
from farzi.distill import MetaMatching, distill
from farzi.errors import InputError
from farzi.hints import explain, near
from farzi.manual import Formatter, epilogue
from farzi.metagrad import Adam, Eager, StoreAll
from farzi.models import MODELS, SequenceModel
from farzi.training import Training

_OF_SIZE_AND_STEPS = {
    "--steps": "--loop.steps",
    "--sequences": "--size.sequences",
    "--length": "--size.length",
    "--targets": "--size.targets",
}

_OF_A_RUN = {"--minutes": "--loop.minutes", **_OF_SIZE_AND_STEPS}

SHORT = {"distill": _OF_A_RUN, "plan": _OF_A_RUN, "tune": _OF_SIZE_AND_STEPS}
"""Short forms of options by command; a search has minutes of its own."""

_SIZE = re.compile(r"(\d+)x(\d+)")

_OF_MODEL = re.compile(r"--model([.=]|$)")

NOT_IN_A_RECIPE: set[str | int] = {"data", "run", "resume", "store", "watch"}
"""Parameters of a distillation that do not decide a summary; the data is named by options of its own."""

# A default that is a member of a family is written down with its class, so that a sister can take its place.
set_parsing_settings(
    subclasses_enabled=[*MODELS.values(), MetaMatching, Adam, StoreAll, Eager], add_print_completion_argument=True
)


class Parser(ArgumentParser):
    """A parser that knows its options and its commands by their names."""

    def of(self, words: Sequence[str]) -> "Parser":
        """The parser of the command that words name, or of the part of it that they get right."""
        commands = next((action.choices for action in self._actions if isinstance(action.choices, Mapping)), {})
        named = next((number for number, word in enumerate(words) if word in commands), None)
        return self if named is None else commands[words[named]].of(words[named + 1 :])

    def options(self) -> list[str]:
        """All options, those of the values that are chosen by default among them."""
        inner = [name for name, _ in self.get_defaults().items() if ".init_args." in name]
        return [*self._option_string_actions, *(f"--{name.replace('.init_args', '')}" for name in inner)]


def new_parser(command: str, usage: str, description: str) -> Parser:
    """A parser that raises what is wrong, and that asks for options in full.

    Args:
        command: its words; empty for the program itself.
        usage: what stands after them.
        description: of the command; its examples and short forms follow its options.

    Returns:
        a parser without options.
    """
    forms = [f"{short} for {option}" for short, option in SHORT.get(command, {}).items()]
    short = ", ".join([*forms, "--size 50x10 for --sequences 50 --length 10"])
    return Parser(
        prog="farzi",
        usage=" ".join(["farzi", *command.split(), *usage.split(), "[OPTIONS]"]),
        description=description,
        epilog=f"Short forms: {short}\n\n{epilogue(command)}" if forms else epilogue(command),
        formatter_class=Formatter,
        exit_on_error=False,
        allow_abbrev=False,
    )


def parse(parser: Parser, words: Sequence[str]) -> tuple[Namespace, Namespace]:
    """Read a command line.

    Args:
        parser: of all commands.
        words: after the program's name.

    Returns:
        the options as they were given, and as values.

    Raises:
        InputError: they cannot be understood, or a value is outside its range.
    """
    try:
        given = parser.parse_args(_with_usual(parser, words))
        return given, parser.instantiate(given)
    except (ArgumentError, ValueError) as error:
        command = parser.of(words)
        short = SHORT.get(words[0], {}) if words else {}
        raise InputError(explain(str(error), command.usage or "", [*command.options(), *short])) from error


def _with_usual(parser: ArgumentParser, words: Sequence[str]) -> Sequence[str]:
    """Spell a command line out and add, for a distillation, what the data is usually trained with.

    The model goes where neither words nor recipe name one; how teachers are trained goes first, where recipe and words
    change it.
    """
    if not words or words[0] not in SHORT:
        return spell_out(words)
    named = any(word.partition("=")[0] == "--model" for word in words)
    rest = iter(words)
    without_model = [
        word
        for word in rest
        if not word.startswith("--print_config") and not (_OF_MODEL.match(word) and _skip_value(word, rest))
    ]
    folder = [] if words[0] == "plan" else ["-o", ""]  # a recipe is printed without one
    given = parser.parse_args(spell_out([*without_model, *folder]))[words[0]]
    task = task_for(given)
    model = [] if named or given.model is not None else ["--model", task.default_model.name]
    command, *rest = spell_out([words[0], *model, *words[1:]])
    usual = [(f"--teachers.training.{name}", str(value)) for name, value in asdict(task.full_data).items()]
    return [command, *itertools.chain(*usual), *rest]


def _skip_value(option: str, words: Iterator[str]) -> bool:
    """Take the value of an option from the words that follow it."""
    if "=" not in option:
        next(words, None)
    return True


def spell_out(words: Sequence[str]) -> list[str]:
    """Replace short forms and names of models, and put a recipe first and a model second, before what changes them.

    Args:
        words: as they were typed.

    Returns:
        as jsonargparse takes them.

    Raises:
        InputError: there is no model of this name.
    """
    recipe: list[str] = []
    model: list[str] = []
    spelt: list[str] = []
    for word in words:
        option, equals, value = word.partition("=")
        before = spelt[-1] if spelt else ""
        if before == "--config":
            recipe += [spelt.pop(), word]
        elif option == "--config" and equals:
            recipe.append(word)
        elif before == "--model":
            model = _sizes(path := _class_path(word), words, [spelt.pop(), path])
        elif option == "--model" and equals:
            model = _sizes(path := _class_path(value), words, [f"--model={path}"])
        elif before == "--size" and (size := _SIZE.fullmatch(word)):
            spelt[-1:] = _of_size(size)
        elif option == "--size" and (size := _SIZE.fullmatch(value)):
            spelt += _of_size(size)
        elif option in (short := SHORT.get(words[0], {})):
            spelt.append(short[option] + equals + value)
        else:
            spelt.append(word)
    return [*spelt[:1], *recipe, *model, *spelt[1:]]


def _of_size(size: re.Match[str]) -> list[str]:
    return ["--size.sequences", size[1], "--size.length", size[2]]


def _class_path(model: str) -> str:
    if model in MODELS:
        return f"farzi.models.{MODELS[model].__name__}"
    if "." not in model:
        meant = near(model, MODELS)
        hint = f"did you mean {meant}?" if meant else f"farzi brings {', '.join(MODELS)}"
        raise InputError(f"--model is {model!r}; {hint} (a model of your own is given as package.Class)")
    return model


def _sizes(model: str, words: Sequence[str], spelt: list[str]) -> list[str]:
    """Add a model's own sizes, where no others are given: jsonargparse would keep those of the model of before."""
    given = {word.partition("=")[0] for word in words}
    found = locate(model)
    defaults = [(one.name, one.default) for one in fields(found)] if is_dataclass(found) else []
    sizes = [(f"--model.{name}", size) for name, size in defaults if isinstance(size, int | float)]
    return spelt + [word for option, size in sizes if option not in given for word in (option, str(size))]


def add_recipe_options(parser: ArgumentParser) -> None:
    """Add what decides a summary, and so is kept with a run.

    Args:
        parser: gets the options.
    """
    add_data_argument(parser)
    add_reading_options(parser)
    parser.add_function_arguments(distill, skip=NOT_IN_A_RECIPE)


def add_model_option(parser: ArgumentParser) -> None:
    """Add the choice of a model other than that of a summary.

    Args:
        parser: gets the option.
    """
    names = ", ".join(MODELS)
    parser.add_argument(
        "--model",
        type=SequenceModel | None,
        help=f"{names}, or package.Class; sizes as --model.dim and so on; the summary's own by default",
    )


def add_device_option(parser: ArgumentParser) -> None:
    """Add where models are trained, to commands whose function does not take all of its options from the line.

    Args:
        parser: gets the option.
    """
    parser.add_argument("--device", type=str, default="cpu", help="where models are trained, such as cuda")


def with_given(usual: Training, read: Training | None, option: str, words: Sequence[str]) -> Training:
    """A training with what the command line says of it, and the usual values for all else.

    Args:
        usual: what holds where nothing is said.
        read: what the parser made of the command line, which fills in values that belong to no task; None where it
            says nothing.
        option: that it was given by, such as ``--student``.
        words: of the command line.

    Returns:
        the training; the one that was read where it was given as a whole.
    """
    if read is None:
        return usual
    said = {word.partition("=")[0].removeprefix(f"{option}.") for word in words if word.startswith(f"{option}.")}
    return replace(usual, **{name: getattr(read, name) for name in said}) if said else read


def with_values(recipe: Namespace, values: Mapping[str, Any]) -> Namespace:
    """A recipe with other values.

    Args:
        recipe: the options that make a summary.
        values: value by option, as the command line names it.

    Returns:
        the other recipe.
    """
    changed = recipe.clone()
    for name, value in values.items():
        group, field = name.split(".")
        part = changed[group]
        part.get("init_args", part)[field] = value
    return changed
