"""classes.toml: written whole, read with every fault named."""

from pathlib import Path

import pytest

from wsipipe.errors import UsageError
from wsipipe.export.classes import (
    PALETTE,
    CellClass,
    alike,
    class_index,
    default_classes,
    read_classes,
    renamed,
    write_classes,
)


def test_defaults_are_named_by_index_in_different_colours() -> None:
    classes = default_classes(64)
    assert [c.name for c in classes] == [f"c{i}" for i in range(64)]
    assert len({c.color for c in classes}) == 64
    assert len(PALETTE) == 64
    assert classes[0] == CellClass("c0", (230, 159, 0))
    assert classes[0].hex == "#E69F00"


def test_colours_that_look_alike_are_named() -> None:
    assert alike(()) == ""
    assert alike(default_classes(64)) == ""
    classes = renamed(default_classes(5), {1: "tumour"}, {1: "#E7A000", 3: "#009E73", 4: "#e69f00"})
    assert alike(classes) == "tumour like c0, c3 like c2, c4 like c0"


@pytest.mark.parametrize("k", [2, 5, 64])
def test_what_is_written_is_read(tmp_path: Path, k: int) -> None:
    path = tmp_path / "classes.toml"
    write_classes(path, default_classes(k))
    assert read_classes(path, k) == default_classes(k)
    first = path.read_bytes()
    write_classes(path, read_classes(path, k))
    assert path.read_bytes() == first


def test_names_may_be_edited_and_colours_left_out(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    path.write_text('[[class]]\nname = "lymphocyte-B_2"\n[[class]]\nname = "tumour"\ncolor = "#0a0B0c"\n')
    assert read_classes(path, 2) == (
        CellClass("lymphocyte-B_2", (230, 159, 0)),
        CellClass("tumour", (10, 11, 12)),
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[[class]", "not a TOML file"),
        ("", "2 \\[\\[class\\]\\] tables"),
        ('[[class]]\nname = "a"\n', "2 \\[\\[class\\]\\] tables"),
        ('k = 2\n[[class]]\nname = "a"\n[[class]]\nname = "b"', "nothing else"),
        ('[[class]]\nname = "a"\n[[class]]\nname = "a"\n', "'a' is used twice"),
        ('[[class]]\nname = "a b"\n[[class]]\nname = "ö"\n', "'a b' may hold only .*; 'ö' may hold only"),
        ('[[class]]\nname = "a"\n[[class]]\ncolor = "#000000"\n', "class 1 has no name"),
        (
            '[[class]]\nname = "a"\ncolor = "red"\n[[class]]\nname = "b"\nshape = 1\n',
            "color of class 0 .* class 1 has an unknown key shape",
        ),
    ],
)
def test_every_fault_is_named(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "classes.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError, match=fault):
        read_classes(path, 2)


def test_a_file_that_notepad_saved_is_read(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    write_classes(path, default_classes(3))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_classes(path, 3) == default_classes(3)


def test_bytes_that_are_no_text_are_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not a TOML file"):
        read_classes(path, 2)


def test_names_that_are_not_allowed_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'a\"' may hold only"):
        write_classes(tmp_path / "classes.toml", [CellClass('a"', (0, 0, 0)), CellClass("b", (0, 0, 0))])
    assert not list(tmp_path.iterdir())


def test_some_classes_are_renamed_and_the_others_stay() -> None:
    before = default_classes(3)
    after = renamed(before, {2: "lymphocyte", 0: "c2"}, {1: "#0a0B0c"})
    assert after == (
        CellClass("c2", before[0].color),
        CellClass("c1", (10, 11, 12)),
        CellClass("lymphocyte", before[2].color),
    )
    assert renamed(before, {0: "c1", 1: "c0"})[1].name == "c0", "names may change places"
    assert renamed(before, {}) == before


@pytest.mark.parametrize(
    ("names", "colors", "fault"),
    [
        ({3: "x"}, {-1: "#000000"}, "there is no class -1; there is no class 3"),
        ({0: "a b"}, {}, "'a b' may hold only"),
        ({0: "c1"}, {}, "'c1' is used twice"),
        ({0: ""}, {}, "'' may hold only"),
        ({0: "cells"}, {}, "'cells' cannot name a class: proportions.csv has a column n_cells"),
        ({}, {1: "blue"}, "color of class 1 must be like"),
        ({0: "a\nb"}, {}, "may hold only"),
    ],
)
def test_names_and_colours_that_cannot_be(names: dict[int, str], colors: dict[int, str], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        renamed(default_classes(3), names, colors)


def test_a_class_is_found_by_its_name_before_its_number() -> None:
    classes = renamed(default_classes(3), {0: "c1", 1: "tumour"})
    assert [class_index(classes, name) for name in ("c1", "tumour", "c0", "c2")] == [0, 1, 0, 2]
    with pytest.raises(UsageError, match="no class 'stroma': the classes are c1, tumour, c2"):
        class_index(classes, "stroma")
