"""No spreadsheet takes a slide's name for a formula."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsipipe.csvtext import csv_field, csv_text


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
