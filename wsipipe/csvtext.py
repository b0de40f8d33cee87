"""Text fields of CSV files, written so that no spreadsheet takes one for a formula, and read as spreadsheets write."""

import csv
import io
import re
from collections.abc import Iterator

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NEEDS_QUOTES = frozenset(',"\r\n')
_QUOTED = re.compile(r'"[^"]*"')
_DELIMITERS = ",;\t"


def csv_field(text: str) -> str:
    r"""`text` as one field of a CSV line.

    A text that a spreadsheet would run as a formula (it starts with `=`, `+`, `-`, `@`, tab or carriage return)
    gets an apostrophe in front, as OWASP advises against CSV injection; so does a text in which only apostrophes
    come before such a start, so that `csv_text` can undo it. Quotes are those of RFC 4180.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        With quotes where needed; a CSV reader gives the guarded text, `csv_text` then the original one.
    """
    guarded = f"'{text}" if _is_formula(text) else text
    if _NEEDS_QUOTES.isdisjoint(guarded):
        return guarded
    return '"' + guarded.replace('"', '""') + '"'


def csv_text(field: str) -> str:
    """The text that `csv_field` wrote, from the field that a CSV reader gives."""
    return field[1:] if field.startswith("'") and _is_formula(field) else field


def decimal(text: str) -> float:
    """A number with a point or, as spreadsheets of many countries write it, one comma before its decimals.

    Raises
    ------
    ValueError
        It is no number, or has digits in groups: what 1,000 means depends on the country.
    """
    whole, comma, decimals = text.strip().partition(",")
    if comma and (not decimals.isdigit() or (len(decimals) == 3 and whole.lstrip("+-") not in ("", "0"))):
        raise ValueError(text)
    return float(f"{whole}.{decimals}" if comma else whole)


def csv_delimiter(text: str) -> str:
    """What separates the fields of a table: the comma, semicolon or tab that its first line has most of."""
    header = _QUOTED.sub("", text.lstrip("\ufeff").partition("\n")[0])
    return max(_DELIMITERS, key=header.count)


def csv_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of every row that is not blank, whatever separates them.

    Raises
    ------
    csv.Error
        A quote is opened and never closed, so that the rest of the table would be one field.
    """
    reader, done = csv.reader(io.StringIO(text, newline=""), delimiter=csv_delimiter(text), strict=True), 0
    try:
        for row in reader:
            done = reader.line_num
            if any(field.strip() for field in row):
                yield done, row
    except csv.Error as error:
        why = "a quote is opened and never closed" if "end of data" in str(error) else str(error)
        raise csv.Error(f"line {done + 1}: {why}") from error


def _is_formula(text: str) -> bool:
    return text.lstrip("'").startswith(_FORMULA_STARTS)
