"""The frame of every page: one HTML document that needs no other file, no script and no network."""

from collections.abc import Iterable

from wsipipe.export.report.markup import text
from wsipipe.export.report.style import CSS

NOTICE = "For research use only."
CAUTION = "Classes are found without labels: look at the cells before you name them."

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def document(heading: str, parts: Iterable[str], css: str, *, kind: str = "", caution: str = CAUTION) -> str:
    """A whole page.

    Parameters
    ----------
    heading : str
        Of what it is; plain text.
    parts : iterable of str
        HTML in the order of the page; empty ones are left out.
    css : str
        Rules beyond those that all pages have.
    kind : str
        What follows the heading in the title of the window.
    caution : str
        What is said at the end, after NOTICE.
    """
    title = text(heading)
    body = "\n".join(part for part in parts if part)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{title}{kind and f": {kind}"}</title>
<style>{CSS}{css}</style>
</head>
<body>
<header><h1>{title}</h1><p class="notice">{NOTICE}</p></header>
<main>
{body}
</main>
<footer><p class="notice">{NOTICE} {caution}</p></footer>
</body>
</html>
"""
