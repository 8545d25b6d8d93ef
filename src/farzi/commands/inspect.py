"""`farzi inspect`: a summary's card and a sequence."""

from pathlib import Path

from jsonargparse import ArgumentParser

from farzi.commands.base import Call, Command
from farzi.printing import RESULTS
from farzi.report import card_table, sequence_table
from farzi.summary import load


def _add_inspect_options(parser: ArgumentParser) -> None:
    parser.add_argument("summary", type=str | Path, help="a summary's file")
    parser.add_argument("--sequence", type=int, default=0, help="which sequence, from 0")
    parser.add_argument("--top", type=int, default=5, help="events shown at each position")


def _inspect(call: Call) -> None:
    summary = load(call.options.summary)
    sequences = sequence_table(summary, sequence=call.options.sequence, top=call.options.top)
    RESULTS.print(card_table(summary), sequences)


INSPECT = Command("FILE", "Show a summary's card and a sequence.", _add_inspect_options, _inspect)
