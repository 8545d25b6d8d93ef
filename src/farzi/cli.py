"""The command line: parse, call, print.

The options of a command are the parameters of the functions that it calls, and their docstrings are the help.
"""

import logging
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version

from rich.logging import RichHandler

from farzi.commands import COMMANDS, Call
from farzi.distill import launched
from farzi.errors import InputError
from farzi.options import Parser, new_parser, parse
from farzi.printing import NEWS, printing
from farzi.training import prepare_process


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after the program's name; those that it was called with by default.

    Returns:
        the exit code: 0; 2 for something that the user can mend; 130 after an interruption.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    ranks = launched()
    who = f"farzi, rank {ranks.index}" if ranks.index else "farzi"
    NEWS.quiet = ranks.index > 0
    prepare_process()
    handler = RichHandler(console=NEWS, show_time=False, show_path=False)
    logging.basicConfig(format="%(message)s", handlers=[handler])
    try:
        with printing():
            given, options = parse(command_parser(), words)
            name: str = options.command
            if ranks.count > 1 and name != "distill":
                raise InputError(f"{name} works in one process; start it without torchrun")
            COMMANDS[name].run(Call(options[name], given[name], words))
    except InputError as error:
        print(f"{who}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        program = ["farzi"] if ranks.count == 1 else ["torchrun", "...", "-m", "farzi"]
        resume = shlex.join([*program, *(word for word in words if word != "--resume"), "--resume"])
        can_go_on = bool(words) and words[0] in ("distill", "tune")
        reason = f", {error}" if str(error) else ""
        if ranks.index == 0 or reason:
            print(f"{who}: stopped{reason}{f'; go on with: {resume}' if can_go_on else ''}", file=sys.stderr)
        return 130
    return 0


def command_parser() -> Parser:
    """The parser of all commands."""
    parser = new_parser(
        "", "COMMAND", "Learn a handful of synthetic sequences that train a model as well as the whole data set."
    )
    parser.add_argument("--version", action="version", version=f"farzi {version('farzi')}")
    commands = parser.add_subcommands(dest="command")
    for name, command in COMMANDS.items():
        subparser = new_parser(name, command.usage, command.help)
        commands.add_subcommand(name, subparser, help=command.help)
        command.add_options(subparser)
    return parser
