"""Small pieces of HTML that every part of the page uses. All text goes through `text`."""

import html
from collections.abc import Iterable, Sequence

from wsipipe.export.classes import CellClass


def text(value: object) -> str:
    """The value as text that can stand in HTML, in an attribute too."""
    return html.escape(str(value), quote=True)


def mark(index: str, cell_class: CellClass) -> str:
    """The class' colour with its number in it, so that classes are told apart without colour."""
    ink = ink_on(cell_class.color)
    return f'<span class="mark" style="background:{cell_class.hex};color:{ink}">{text(index)}</span>'


def ink_on(color: tuple[int, int, int]) -> str:
    """Black or white, whichever contrasts more with a colour (relative luminance, WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in color)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000" if luminance > 0.179 else "#fff"


def section(title: str, body: str, note: str = "", kind: str = "") -> str:
    """A titled part of the page; nothing when it has no body."""
    if not body:
        return ""
    under = f'<p class="note">{text(note)}</p>' if note else ""
    return f"<section{_class(kind)}><h2>{text(title)}</h2>{under}{body}</section>"


def facts(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """Names and values in two columns."""
    body = "".join(f'<tr><th scope="row">{text(name)}</th><td>{text(value)}</td></tr>' for name, value in rows)
    return section(title, f'<table class="facts"><tbody>{body}</tbody></table>' if body else "")


def sentences(title: str, lines: Iterable[str]) -> str:
    """What the reader should know first, one item a line; nothing when there is none."""
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f'<section class="warnings" role="note"><h2>{text(title)}</h2><ul>{items}</ul></section>' if items else ""


def table_head(names: Iterable[str]) -> str:
    """The head of a table; a column without a name has no heading."""
    cells = (f'<th scope="col">{text(name)}</th>' if name else "<td></td>" for name in names)
    return f"<thead><tr>{''.join(cells)}</tr></thead>"


def listed_table(names: Sequence[str], rows: str, kind: str = "") -> str:
    """A table whose rows become lists of names and values on a narrow screen: `rows` are of `named_cell`."""
    return f'<table class="{f"listed {kind}".strip()}">{table_head(names)}<tbody>{rows}</tbody></table>'


def named_cell(name: str, body: str, kind: str = "") -> str:
    """A cell, HTML, under the heading `name`."""
    return f'<td data-name="{text(name)}"{_class(kind)}>{body}</td>'


def image(uri: str, alt: str, width: int, height: int, kind: str = "", share: float = 0.0) -> str:
    """A picture, as wide as `share` of the space it is in, or at most all of it when that is 0."""
    wide = f' style="width:{100 * share:.2f}%"' if share else ""
    return f'<img{_class(kind)} src="{uri}" alt="{text(alt)}" width="{width}" height="{height}"{wide}>'


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
