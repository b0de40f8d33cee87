"""No spreadsheet takes a slide's name for a formula."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsipipe.csvtext import csv_field, csv_text, decimal


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("slide", "slide"),
        ("a,b", '"a,b"'),
        ('a"b', '"a""b"'),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ('=HYPERLINK("a,b")', '"\'=HYPERLINK(""a,b"")"'),
        ("'quoted'", "'quoted'"),
        ("'=1", "''=1"),
        ("a-b=c", "a-b=c"),
    ],
)
def test_known_fields(text: str, field: str) -> None:
    assert csv_field(text) == field


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\0")))
def test_every_text_comes_back_through_a_csv_reader(text: str) -> None:
    [[field, end]] = csv.reader(io.StringIO(f"{csv_field(text)},end\n", newline=""))
    assert end == "end"
    assert not field.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert csv_text(field) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.25", 0.25), ("0,25", 0.25), (" 0,2527 ", 0.2527), ("-1,5", -1.5), ("40", 40), ("0,252", 0.252), ("1e-1", 0.1)],
)
def test_decimals_begin_with_a_point_or_a_comma(text: str, value: float) -> None:
    assert decimal(text) == value


@pytest.mark.parametrize("text", ["", "wide", "0.25 um", "1,000", "1,234.5", "1,2,3", "0,", "0,-5", "0,2e1"])
def test_what_is_no_number_or_may_be_two(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text) or "could not convert"):
        decimal(text)
