"""`farzi report`: a page about runs, with pictures."""

from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser

from farzi.commands.base import Call, Command, recipe_parser
from farzi.data_options import read_data_at_hand
from farzi.report import read_run, write_page


def _add_report_options(parser: ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=str | Path, help="folders of runs; several are put side by side")
    parser.add_argument(
        "-o", "--output", type=str | Path | None, help="HTML file; report.html in the first run by default"
    )


def _report(call: Call) -> None:
    runs = [read_run(folder) for folder in call.options.runs]
    output = call.options.output or runs[0].folder / "report.html"
    parser = recipe_parser()
    for number, run in enumerate(runs):
        if run.summary is not None and run.recipe is not None:
            data = read_data_at_hand(parser, run.folder / "config.yaml", run.summary)
            runs[number] = replace(run, data=data)
    write_page(output, runs)
    print(f"{output} is written")


REPORT = Command("RUN ...", "Write a page about runs, with pictures.", _add_report_options, _report)
