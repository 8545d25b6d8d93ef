"""The commands of the command line, one to a file."""

from farzi.commands.base import Call, Command
from farzi.commands.data import DATA
from farzi.commands.distill import DISTILL
from farzi.commands.evaluate import EVALUATE
from farzi.commands.export import EXPORT
from farzi.commands.inspect import INSPECT
from farzi.commands.plan import PLAN
from farzi.commands.report import REPORT
from farzi.commands.train import TRAIN
from farzi.commands.tune import TUNE

__all__ = ["COMMANDS", "Call", "Command"]

COMMANDS = {
    "distill": DISTILL,
    "plan": PLAN,
    "tune": TUNE,
    "evaluate": EVALUATE,
    "report": REPORT,
    "train": TRAIN,
    "inspect": INSPECT,
    "export": EXPORT,
    "data": DATA,
}
"""The commands by name."""
