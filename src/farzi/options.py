"""How the words of a command line become values."""

import difflib
import inspect
import re
from argparse import SUPPRESS, ArgumentError
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from pydoc import locate
from typing import Any

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from farzi.distill import MetaMatching
from farzi.errors import InputError
from farzi.evaluation import NextItem, NextToken, Task
from farzi.events import TOKENIZERS, EventData, TextData, TextSource, find_fetched, load_events, load_text
from farzi.events.catalogue import SOURCES
from farzi.metagrad import Adam, Eager, StoreAll
from farzi.models import MODELS, SequenceModel
from farzi.summary import Summary

_OF_SIZE_AND_STEPS = {
    "--steps": "--loop.steps",
    "--sequences": "--size.sequences",
    "--length": "--size.length",
    "--targets": "--size.targets",
}

SHORT = {"distill": {"--minutes": "--loop.minutes", **_OF_SIZE_AND_STEPS}, "tune": _OF_SIZE_AND_STEPS}
"""Short forms of options by command; a search has minutes of its own."""

_EVENT_OPTIONS = list(inspect.signature(load_events).parameters)[1:]
_TEXT_OPTIONS = list(inspect.signature(load_text).parameters)[1:]

# A default that is a member of a family is written down with its class, so that a sister can take its place.
set_parsing_settings(subclasses_enabled=[*MODELS.values(), MetaMatching, Adam, StoreAll, Eager])


def new_parser(usage: str, description: str) -> ArgumentParser:
    """A parser that raises what is wrong, and that asks for options in full.

    Args:
        usage: what stands after the program's name.
        description: of the command.

    Returns:
        a parser without options.
    """
    usage = f"farzi {usage} [OPTIONS]"
    return ArgumentParser(usage=usage, description=description, exit_on_error=False, allow_abbrev=False)


def parse(parser: ArgumentParser, words: Sequence[str]) -> tuple[Namespace, Namespace]:
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
        given = parser.parse_args(spell_out(_with_model(parser, words)))
        return given, parser.instantiate(given)
    except (ArgumentError, ValueError) as error:
        text = re.sub(r'Parser key "([^"]+)":', r"--\1:", " ".join(str(error).split()))
        raise InputError(re.sub(r"an? <class '([^']+)'>", r"\1", text)) from error


def _with_model(parser: ArgumentParser, words: Sequence[str]) -> Sequence[str]:
    """Name the model of a distillation where neither words nor recipe do: that of what the data is for."""
    if not words or words[0] not in SHORT or any(word.partition("=")[0] == "--model" for word in words):
        return words
    rest = iter(words)
    without_sizes = [
        word
        for word in rest
        if not word.startswith("--print_config") and not (word.startswith("--model.") and _skip_value(word, rest))
    ]
    given = parser.parse_args(spell_out([*without_sizes, "-o", ""]))[words[0]]  # a recipe is printed without a folder
    if given.model is not None:
        return words
    return [words[0], "--model", _task_for(given).default_model.name, *words[1:]]


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
        elif option in (short := SHORT.get(words[0], {})):
            spelt.append(short[option] + equals + value)
        else:
            spelt.append(word)
    return [*spelt[:1], *recipe, *model, *spelt[1:]]


def _class_path(model: str) -> str:
    if model in MODELS:
        return f"farzi.models.{MODELS[model].__name__}"
    if "." not in model:
        near = difflib.get_close_matches(model, MODELS)
        hint = f"did you mean {near[0]}?" if near else f"farzi brings {', '.join(MODELS)}"
        raise InputError(f"--model is {model!r}; {hint} (a model of your own is given as package.Class)")
    return model


def _sizes(model: str, words: Sequence[str], spelt: list[str]) -> list[str]:
    """Add a model's own sizes, where no others are given: jsonargparse would keep those of the model of before."""
    given = {word.partition("=")[0] for word in words}
    found = locate(model)
    defaults = [(one.name, one.default) for one in fields(found)] if is_dataclass(found) else []
    sizes = [(f"--model.{name}", size) for name, size in defaults if isinstance(size, int | float)]
    return spelt + [word for option, size in sizes if option not in given for word in (option, str(size))]


def add_data_argument(parser: ArgumentParser) -> None:
    """Add the data as a word without an option, which may be missing where there is ``--text``.

    Args:
        parser: gets the argument.
    """
    told = "a data set known by name, or a file of events"
    parser.add_argument("data", nargs="?", type=str | None, default=SUPPRESS, help=told)  # None would beat a recipe


def add_reading_options(parser: ArgumentParser) -> None:
    """Add how data is read: ``--text``, and the parameters of :func:`farzi.events.load_events` and ``load_text``.

    Args:
        parser: gets the options.
    """
    parser.add_argument("--text", type=str | None, help="a text file in UTF-8 or a folder of .txt, in place of events")
    kinds = ", ".join(TOKENIZERS)
    parser.add_argument(
        "--tokenizer", type=str | None, help=f"of a text: {kinds}; word, or the source's own, by default"
    )
    parser.add_argument("--vocab", type=int | None, help="most tokens in the vocabulary of a text")
    parser.add_function_arguments(load_events, skip={"source"})


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


def read_data(
    options: Namespace, recorded: Namespace | None = None, summary: Summary | None = None
) -> EventData | TextData:
    """Load the data that options name: ``data``, a name or a file of events, or ``text``.

    Args:
        options: as :func:`add_reading_options` made them, with ``data``.
        recorded: those of a run, for what is not given.
        summary: its card names the data where nothing else does, and it is no path; its tokenizer cuts text.

    Returns:
        the data.

    Raises:
        InputError: no data is named, it cannot be read, or an option is not for data of this kind.
    """
    before = recorded or Namespace()
    named = options if options.get("data") or options.text else before
    told = summary.card.data if summary and summary.card.data in {Path(summary.card.data).name} - {".."} else None
    source: str | None = named.get("text") or named.get("data") or told
    if not source or (named.get("text") and named.get("data")):
        raise InputError("name the data, either a data set known by name or a file of events, or a text with --text")
    tokenizer = summary.tokenizer if summary else None
    is_text = tokenizer is not None or _task_for(named) is NextToken
    wanted, others = (_TEXT_OPTIONS, _EVENT_OPTIONS) if is_text else (_EVENT_OPTIONS, _TEXT_OPTIONS)
    if wrong := next((name for name in others if name not in wanted and options[name] is not None), None):
        right = (
            "is a text, of which it has nothing to say" if is_text else "is read as events; --text says it is a text"
        )
        raise InputError(f"--{wrong} is given, but {source} {right}")
    if source != (before.get("text") or before.get("data")):
        before = before.clone()
        before["path"] = None
    chosen = {name: before.get(name) if options[name] is None else options[name] for name in wanted}
    if not is_text:
        return load_events(source, **chosen)
    if tokenizer is not None and options.tokenizer is None and options.vocab is None:
        chosen |= {"tokenizer": tokenizer, "vocab": None}
    return load_text(source, **chosen)


def _task_for(named: Namespace) -> type[Task]:
    """What the data is for that options name."""
    is_text = bool(named.get("text")) or isinstance(SOURCES.get(named.get("data") or ""), TextSource)
    return NextToken if is_text else NextItem


def read_recipe(parser: ArgumentParser, path: Path) -> Namespace:
    """Read the options that a run was made with.

    Args:
        parser: of the command that made it.
        path: of its recipe.

    Returns:
        the options.

    Raises:
        InputError: the file is missing, or the options in it are not this version's.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing; give a folder that `farzi distill` wrote, or a summary's file")
    try:
        return parser.parse_path(path)
    except (ArgumentError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({' '.join(str(error).split())}); give the summary's file") from error


def read_data_at_hand(parser: ArgumentParser, path: Path, summary: Summary) -> EventData | TextData | None:
    """Load the data that a run was made from, if that takes no fetching.

    Args:
        parser: of the command that made the run.
        path: of its recipe.
        summary: what was made from it.

    Returns:
        the data; None where it is elsewhere, or no longer the same.
    """
    try:
        recorded = read_recipe(parser, path)
        name: str = recorded.get("text") or recorded.get("data") or summary.card.data
        place = find_fetched(name) if recorded.path is None and name in SOURCES else Path(recorded.path or name)
        if place is None or not place.exists():
            return None
        data = read_data(parser.get_defaults(), recorded, summary)
    except InputError:
        return None
    return data if data.fingerprint == summary.card.data_fingerprint else None


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
