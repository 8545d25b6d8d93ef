"""Who may import whom inside ``farzi`` (docs/design.md): the rule is read off the source, lazy imports included."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "farzi"

# From the roof to the ground. A room imports only from the storeys below its own.
STOREYS = [
    {"__init__", "__main__", "cli", "commands", "data_options", "hints", "manual", "options", "printing"},
    {"report"},
    {"distill"},
    {"evaluation"},
    {"training"},
    {"summary"},
    {"events", "metagrad", "models"},
    {"states"},
    {"devices", "files", "machine", "reading"},
    {"errors"},
]
FLOOR = {room: -depth for depth, rooms in enumerate(STOREYS) for room in rooms}


def room_of(path: Path) -> str:
    """The folder right under ``src/farzi``, or the module that stands there itself."""
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imported_rooms(text: str, package: str) -> set[str]:
    """The rooms named by any import statement of a module that lives in ``package``."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            modules |= {f"{base}.{alias.name}" for alias in node.names} if base == "farzi" else {base}
    inside = [module.split(".") for module in modules if module.split(".")[0] == "farzi"]
    return {parts[1] if len(parts) > 1 and parts[1] in FLOOR else "__init__" for parts in inside}


def offences(room: str, text: str, package: str) -> set[str]:
    """The rooms that ``text``, a module of ``room``, imports against the rule."""
    targets = imported_rooms(text, package) - {room}
    if room in STOREYS[0]:
        return set()
    return {target for target in targets if FLOOR[target] >= FLOOR[room]}


def test_every_module_has_a_storey():
    found = {room_of(path) for path in SOURCE.rglob("*.py")}
    assert found - FLOOR.keys() == set(), "a new room needs its place in STOREYS and in docs/design.md"


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_only_from_below(path):
    package = ".".join(["farzi", *path.relative_to(SOURCE).parent.parts])
    wrong = offences(room_of(path), path.read_text(encoding="utf-8"), package)
    assert wrong == set(), f"{path.relative_to(SOURCE)} may not import {sorted(wrong)}"


@pytest.mark.parametrize(
    ("room", "text", "wrong"),
    [
        ("metagrad", "from farzi.models import SASRec", {"models"}),
        ("models", "import farzi.events.data", {"events"}),
        ("events", "def f():\n    from ..metagrad import adam", {"metagrad"}),
        ("events", "from farzi import summary, errors", {"summary"}),
        ("training", "import farzi", {"__init__"}),
        ("summary", "from farzi import load", {"__init__"}),
        ("files", "from farzi.models import SASRec", {"models"}),
        ("distill", "from farzi.cli import main", {"cli"}),
        ("distill", "from . import loop\nfrom farzi.summary.factors import Factors\nimport torch", set()),
        ("models", "from .base import Parameters\nfrom farzi.errors import InputError", set()),
        ("cli", "from farzi.report import page", set()),
    ],
)
def test_the_rule_sees_every_kind_of_import(room, text, wrong):
    assert offences(room, text, f"farzi.{room}") == wrong
