"""Settings of the documentation: MyST pages, the furo theme, the command reference from the commands themselves."""

from importlib.metadata import version as installed

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
