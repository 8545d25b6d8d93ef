"""Which data a command is about: the options that name it, and the data that they name."""

import inspect
from argparse import SUPPRESS, ArgumentError
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from farzi.errors import InputError
from farzi.evaluation import NextItem, NextToken, Task
from farzi.events import TOKENIZERS, EventData, TextData, TextSource, find_fetched, load_events, load_text
from farzi.events.catalogue import SOURCES
from farzi.printing import NEWS
from farzi.summary import Summary

_EVENT_OPTIONS = list(inspect.signature(load_events).parameters)[1:]
_TEXT_OPTIONS = list(inspect.signature(load_text).parameters)[1:]


def add_data_argument(parser: ArgumentParser) -> None:
    """Add the data as a word without an option, which may be missing where there is ``--text``.

    Args:
        parser: gets the argument.
    """
    told = "a data set known by name, or a file of events"
    parser.add_argument(
        "data", nargs="?", type=str | Path | None, default=SUPPRESS, help=told
    )  # None would beat a recipe


def add_reading_options(parser: ArgumentParser) -> None:
    """Add how data is read: ``--text``, and the parameters of :func:`farzi.events.load_events` and ``load_text``.

    Args:
        parser: gets the options.
    """
    parser.add_argument(
        "--text", type=str | Path | None, help="a text file in UTF-8 or a folder of .txt, in place of events"
    )
    kinds = ", ".join(TOKENIZERS)
    parser.add_argument(
        "--tokenizer", type=str | None, help=f"of a text: {kinds}; word, or the source's own, by default"
    )
    parser.add_argument("--vocab", type=int | None, help="most tokens in the vocabulary of a text")
    parser.add_function_arguments(load_events, skip={"source"})


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
    is_text = tokenizer is not None or task_for(named) is NextToken
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
        if source.lower().endswith(".txt") and chosen["format"] is None:
            NEWS.print(
                f"{source} is read as sequences of events, one a line; --text reads it as a text", soft_wrap=True
            )
        return load_events(source, **chosen)
    if tokenizer is not None and options.tokenizer is None and options.vocab is None:
        chosen |= {"tokenizer": tokenizer, "vocab": None}
    return load_text(source, **chosen)


def task_for(named: Namespace) -> type[Task]:
    """Tell what the data is for that options name.

    Args:
        named: options with ``data``, or ``text``.
    """
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
