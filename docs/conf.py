"""The documentation: ``make docs`` builds it, and every warning is an error."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from results import write_pictures, write_tables

project = "farzi"
author = "the farzi authors"
copyright = "the farzi authors"
version = release = installed_version("farzi")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "_generated"]
write_tables()
write_pictures()
html_theme = "furo"
html_static_path = ["_static"]
html_title = "farzi"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# A room's page holds what the room's `__all__` names, which tests/test_docs.py checks.
autodoc_default_options = {"members": True, "imported-members": True}
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# Every reference to a name of ours must lead somewhere; those of other libraries stay plain text, so that the build
# needs no network.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!farzi\b).*"), (r"py:class", r".*\.(workers|ranks)\.T")]


def skip_unexplained_fields(_app: Any, _what: str, _name: str, member: Any, *_: Any) -> bool | None:
    """Leave out the fields of named tuples, whose own docstrings say nothing: the class's arguments describe them."""
    return True if (getattr(member, "__doc__", None) or "").startswith("Alias for field number") else None


def setup(app: Any) -> None:
    app.connect("autodoc-skip-member", skip_unexplained_fields)
