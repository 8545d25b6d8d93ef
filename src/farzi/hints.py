"""What a mistyped command line may have meant."""

import difflib
import re
from collections.abc import Collection
from importlib import import_module
from inspect import signature
from pydoc import locate


def near(word: str, known: Collection[str]) -> str | None:
    """Find what a word may have meant.

    Args:
        word: as it was typed.
        known: what it may be.

    Returns:
        the nearest of them, or None if none is near.
    """
    return next(iter(difflib.get_close_matches(word, known, 1)), None)


def explain(error: str, usage: str, options: Collection[str]) -> str:
    """Put what a parser has against a command line in plain words, and add what may have been meant.

    Args:
        error: what the parser says.
        usage: how the command is called.
        options: that it takes, with their dashes.

    Returns:
        a sentence.
    """
    text = re.sub(r'Parser key "([^"]+)":', r"--\1:", " ".join(error.split()))
    if found := re.search(r"(--[\w.]+): .*does not implement protocol (\w+).*Given value: ([\w.]+)", text):
        said = f"{found[1]} is {found[3]}, which is no {found[2]}"
        return f"{said}: its methods need the names, the parameters and the types of farzi's own, annotated"
    text = _without_other_types(re.sub(r"an? <class '([^']+)'>", r"\1", text))
    text = re.sub(r"(--[\w.]+): Problem with given class_path '[\w.]+': --", r"\1.", text)
    if found := re.search(r"unrecognized arguments: (-[\w.-]*)", text):
        return _with_hint(text, _near_option(found[1], options))
    if found := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", text):
        return _with_hint(text, near(found[1], [choice.strip("' ") for choice in found[2].split(",")]))
    if found := re.search(r"class_path '([\w.]+)': Option '(\w+)' is not accepted", text):
        group = ".".join(re.findall(r"--([\w.]+):", text[: found.start()]))
        owner = locate(found[1])
        meant = near(found[2], list(signature(owner).parameters)) if callable(owner) else None
        said = f"{found[1].rpartition('.')[2]} takes no --{group}.{found[2]}"
        return _with_hint(said, f"--{group}.{meant}" if meant else None)
    if found := re.search(r"module '([\w.]+)' has no attribute '(\w+)'", text):
        return _with_hint(text, near(found[2], dir(import_module(found[1]))))
    missing = r"arguments are required: (?:\w+\.)*(\w+)|expected \"(?:\w+\.)*(\w+)\" to be .* not provided"
    if found := re.search(missing, text):
        return f"{found[1] or found[2]} is missing; the command is called as: {usage} (--help tells more)"
    return text


def _without_other_types(text: str) -> str:
    """Of a value that may have several types, what the first of them has against it."""
    found = re.search(r"Does not validate against any of the Union subtypes .* Errors: - (.*?) - Expected ", text)
    if found is None:
        return text
    told = text[: found.start()] + found[1]
    bare = re.fullmatch(r"Expected \w+", found[1])
    return f"{told}. Got value: {text.rpartition(' Given value: ')[2]}" if bare else told


def _near_option(typed: str, options: Collection[str]) -> str | None:
    """An option whose last part this is, or one that is written nearly like it."""
    whole = (option for option in options if option.endswith(f".{typed.lstrip('-')}"))
    return next(whole, None) or near(typed, options)


def _with_hint(text: str, meant: str | None) -> str:
    return f"{text}; did you mean {meant}?" if meant else text
