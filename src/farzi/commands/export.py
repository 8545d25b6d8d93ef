"""`farzi export`: hard sequences drawn from a summary."""

from pathlib import Path

from jsonargparse import ArgumentParser

from farzi.commands.base import Call, Command
from farzi.summary import effective_events, export, load


def _add_export_options(parser: ArgumentParser) -> None:
    parser.add_argument("summary", type=str | Path, help="a summary's file")
    parser.add_argument("-o", "--output", type=str | Path, required=True, help="a .csv, .parquet, .inter, .txt or .npz")
    parser.add_argument("--draws", type=int, default=1, help="sequences drawn from each synthetic one")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")


def _export(call: Call) -> None:
    options, summary = call.options, load(call.options.summary)
    events = export(summary, options.output, draws=options.draws, seed=options.seed)
    print(f"{options.output} is written: {len(events):,} sequences of {events.shape[1]} events")
    worth = f"{effective_events(summary):.0f} equally likely events"
    print(f"What is lost: a target was a distribution worth {worth}, of which each drawn sequence keeps one.")
    print("Train on the summary itself where you can: farzi train")


EXPORT = Command(
    "FILE -o TABLE", "Draw hard sequences from a summary, for training elsewhere.", _add_export_options, _export
)
