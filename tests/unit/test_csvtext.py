"""No spreadsheet takes a slide's name for a formula."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsipipe.csvtext import csv_field, csv_lines, csv_text, decimal


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


def test_lines_are_numbered_as_an_editor_does_and_blank_ones_left_out() -> None:
    text = '\ufeffa;b\r\n\r\n1;"2\n3"\r\n;\r\n4;5" wide\r\n'.removeprefix("\ufeff")
    assert list(csv_lines(text)) == [(1, ["a", "b"]), (4, ["1", "2\n3"]), (6, ["4", '5" wide'])]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('a,b\n1,"2\n3,4\n', "line 2: a quote is opened and never closed"),
        ('a,b\n1,2\n"3"x,4\n', "line 3: ',' expected after '\"'"),
    ],
)
def test_no_row_is_read_into_another(text: str, why: str) -> None:
    with pytest.raises(csv.Error, match=re.escape(why)):
        list(csv_lines(text))
