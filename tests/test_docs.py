"""Every public name has a docstring and a place in the reference. The strict build itself is ``make docs``."""

import ast
import inspect
import itertools
import re
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from documents import ROOT, run

SOURCE = ROOT / "src" / "farzi"
REFERENCE = ROOT / "docs" / "reference"
ROOMS = sorted({path.parent.name for path in SOURCE.glob("*/__init__.py")} - {"commands"})  # their help is their page


def explained_constants(text: str) -> set[str]:
    """The names that a module assigns and explains by a string right below."""
    body = ast.parse(text).body
    return {
        target.id
        for assignment, below in itertools.pairwise(body)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
        if isinstance(assignment, ast.Assign | ast.AnnAssign)
        for target in (assignment.targets if isinstance(assignment, ast.Assign) else [assignment.target])
        if isinstance(target, ast.Name)
    }


def undocumented(module: ModuleType | SimpleNamespace, sources: list[str], page: str) -> list[str]:
    """The public names of ``module`` that do not come, explained, into its page of the reference.

    Classes and functions need a docstring of their own, and ``automodule`` finds them; that of a dataclass which only
    repeats its signature does not count. Constants and type aliases need a string below their assignment, and
    ``autodata`` to find it.
    """
    constants = set().union(*map(explained_constants, sources))
    silent: list[str] = []
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            text = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
            if not text or text.startswith(f"{value.__name__}("):
                silent.append(name)
        elif name not in constants or not re.search(rf"^\.\. autodata:: [\w.]+\.{name}$", page, re.MULTILINE):
            silent.append(name)
    return silent


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_states_and_documents_its_public_names(room):
    module = import_module(f"farzi.{room}")
    files = sorted((SOURCE / room).rglob("*.py"))
    if len(files) == 1 and not hasattr(module, "__all__"):
        pytest.skip(f"{room} is not furnished yet")
    assert module.__doc__, f"farzi.{room} needs a docstring: it opens the room's page in the reference"
    page = (REFERENCE / f"{room}.md").read_text(encoding="utf-8")
    assert undocumented(module, [file.read_text(encoding="utf-8") for file in files], page) == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_its_page_in_the_reference(room):
    page = (REFERENCE / f"{room}.md").read_text(encoding="utf-8")
    assert f".. automodule:: farzi.{room}\n" in page
    assert f"\n{room}\n" in (REFERENCE / "index.md").read_text(encoding="utf-8"), "the page is not in the contents"


def test_the_names_of_the_package_itself_are_in_the_reference():
    farzi = import_module("farzi")
    index = (REFERENCE / "index.md").read_text(encoding="utf-8")
    names: list[str] = getattr(farzi, "__all__", [])
    assert [name for name in names if not re.search(rf"`farzi\.{name}(?![\w.])", index)] == []


def test_the_check_finds_what_is_not_documented():
    @dataclass
    class Bare:
        size: int

    class Told:
        """Said."""

    class Heir(Told):
        pass

    def bare(): ...

    names = {"Bare": Bare, "Told": Told, "Heir": Heir, "bare": bare, "PAD": -1, "LIMIT": 3, "HIDDEN": 4}
    room = SimpleNamespace(__all__=list(names), **names)
    source = 'PAD = -1\nLIMIT: int = 3\n"""Said."""\nHIDDEN = 4\n"""Said, but not on the page."""\n'
    page = ".. autodata:: farzi.room.PAD\n.. autodata:: farzi.room.numbers.LIMIT\n"
    assert undocumented(room, [source], page) == ["Bare", "Heir", "bare", "PAD", "HIDDEN"]


@pytest.fixture(scope="module")
def models_of_the_guide(tmp_path_factory) -> dict[str, Any]:
    """What docs/own-model.md defines, in small; by the name of a parameter."""
    names = run("docs/own-model.md", tmp_path_factory.mktemp("guide")).names
    module = replace(names["model"], module=partial(names["Convolution"], 4), dim=4)
    return {"up": names["Averages"](dim=4), "module.convolution.weight": module}


@pytest.mark.parametrize("name", ["up", "module.convolution.weight"])
def test_the_models_of_the_guide_are_causal_blind_to_padding_and_twice_differentiable(models_of_the_guide, name):
    model = models_of_the_guide[name]
    parameters = {name: value.double() for name, value in model.init(vocab_size=7, seed=1).items()}
    embeddings = parameters["embedding"][torch.tensor([[3, 1, 4, 1, 5]])]
    states = model.hidden(parameters, embeddings)

    changed = embeddings.clone()
    changed[:, 3] += 1
    assert torch.equal(model.hidden(parameters, changed)[:, :3], states[:, :3])
    assert not torch.equal(model.hidden(parameters, changed)[:, 3:], states[:, 3:])

    padded = torch.cat([torch.full_like(embeddings[:, :2], 9.0), embeddings], 1)
    padding = torch.tensor([[True] * 2 + [False] * 5])
    torch.testing.assert_close(model.hidden(parameters, padded, padding)[:, 2:], states)

    def loss(part):
        return model.hidden(parameters | {name: part}, embeddings).square().logsumexp(-1).sum()

    assert torch.autograd.gradgradcheck(loss, parameters[name].requires_grad_())
