"""Settings of the documentation: MyST pages, the furo theme, the command reference from the commands themselves."""

import re
from importlib.metadata import version as installed

from sphinx.application import Sphinx

project = "wsipipe"
author = "the wsipipe maintainers"
release = version = installed("wsipipe")

extensions = ["myst_parser", "sphinx_click"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
smartquotes = False  # "--" in texts of commands is no dash
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"wsipipe {release}"
html_show_copyright = False
html_theme_options = {"footer_icons": []}


def plain(_app: Sphinx, _context: object, lines: list[str]) -> None:
    """Help of a command is text: `lo_<class>` in it is no reference."""
    lines[:] = [re.sub(r"(?<=\w)_(?=\W|$)", r"\\_", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("sphinx-click-process-description", plain)
    app.connect("sphinx-click-process-options", plain)
