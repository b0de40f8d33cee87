"""Columns of a description in words: each its own."""

import pytest

from wsipipe.records import DESCRIPTION, words_for


def test_every_column_has_words_of_its_own() -> None:
    words = [words_for(column) for column in DESCRIPTION]
    assert len(set(words)) == len(DESCRIPTION)
    assert not any("_" in word for word in words)
    assert words_for("beside_log_area_um2_std") == "spread of neighbours' area (log um2)"
    assert words_for("beside_h_od_std") == "neighbours' unevenness of haematoxylin"
    assert words_for("centre_red_od_std") == "contrast in red, centre"


def test_others_have_none() -> None:
    with pytest.raises(KeyError):
        words_for("beside_nothing")
