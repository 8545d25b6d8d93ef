"""One HTML file about one run or several, which needs nothing else (extra ``report``)."""

from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from farzi.errors import InputError
from farzi.files import atomic_write
from farzi.report.chapter import write_chapter
from farzi.report.run import Run

_CONTROLS = {code: ascii(chr(code))[1:-1] for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


def write_page(path: str | Path, runs: Sequence[Run]) -> None:
    """Write a page about runs, whole or not at all; needs jinja2 and matplotlib (the extra ``report``).

    Of a finished run it tells what was distilled from what, what that is worth and what it cost, how it was learned,
    what its sequences look like, and how to make it again; of any other what there is, and which command makes the
    rest. Several runs are compared at the top.

    Args:
        path: of the HTML file.
        runs: at least one; events are compared with real ones for those that have their data.

    Raises:
        InputError: there are no runs, a package is missing, or the file cannot be written.
    """
    if not runs:
        raise InputError("there are no runs to report on; give at least one folder that `farzi distill` wrote")
    jinja2 = _library()
    count = Counter(run.folder.name for run in runs)
    names = [run.folder.name if count[run.folder.name] == 1 else str(run.folder) for run in runs]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("farzi.report"),
        autoescape=True,
        finalize=_visible,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html").render(
        chapters=[write_chapter(run, name) for run, name in zip(runs, names, strict=True)], version=version("farzi")
    )
    with atomic_write(path) as file:
        file.write(page.encode("utf-8", "backslashreplace"))


def _visible(value: Any) -> Any:
    """Put codes in the place of control characters, which no page may hold."""
    return value.translate(_CONTROLS) if isinstance(value, str) else value


def _library() -> Any:
    try:
        import_module("matplotlib")
        return import_module("jinja2")
    except ImportError as error:
        raise InputError(
            "a report needs the packages jinja2 and matplotlib; install them with pip install 'farzi[report]'"
        ) from error
