"""`farzi data`: list, fetch and describe data sets."""

from dataclasses import asdict

from jsonargparse import ArgumentParser
from rich.table import Table

from farzi.commands.base import Call, Command
from farzi.data_options import add_data_argument, add_reading_options, read_data
from farzi.events import describe, fetch, list_sources
from farzi.options import new_parser
from farzi.printing import RESULTS


def _add_data_options(parser: ArgumentParser) -> None:
    actions = parser.add_subcommands(dest="action")

    def add(action: str, argument: str, help: str) -> ArgumentParser:
        subparser = new_parser(f"data {action}", argument, help)
        actions.add_subcommand(action, subparser, help=help)
        return subparser

    add("list", "", "List the data sets known by name.")
    fetching = add("fetch", "NAME", "Fetch a data set into the cache and print where its events are.")
    fetching.add_argument("name", type=str, help="as `farzi data list` prints it")
    describing = add("describe", "DATA", "Count users, items and events, or the tokens of a text.")
    add_data_argument(describing)
    add_reading_options(describing)


def _data(call: Call) -> None:
    action, options = call.options.action, call.options[call.options.action]
    if action == "fetch":
        print(fetch(options.name))
        return
    table = Table(show_header=action == "list")
    if action == "list":
        for column in ("name", "what it holds", "licence"):
            table.add_column(column)
        for source in list_sources():
            table.add_row(source.name, source.description, source.licence)
    else:
        for name, value in asdict(describe(read_data(options))).items():
            table.add_row(name, f"{value:,.4g}" if isinstance(value, float) else f"{value}")
    RESULTS.print(table)


DATA = Command("ACTION", "List, fetch and describe data sets.", _add_data_options, _data)
