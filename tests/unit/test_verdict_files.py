"""The tables around verdicts: as labs write them, as we write them, and what is wrong with others."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from wsipipe.cohort.joining import join_labels
from wsipipe.cohort.proportions import ProportionsRow
from wsipipe.errors import UsageError
from wsipipe.export.tables import expected_csv, profiles_csv, proportions_csv
from wsipipe.io.profile_table import with_profiles
from wsipipe.io.verdict_files import (
    names_of,
    read_labels,
    read_predictions,
    read_proportions,
    with_expected,
    write_table,
)
from wsipipe.judged_by import load_proportions, rows_of
from wsipipe.records import DESCRIPTION


def test_proportions_come_back_whatever_the_classes_are_called(tmp_path: Path) -> None:
    path = tmp_path / "proportions.csv"
    rows = [ProportionsRow("=a", (3, 1, 0), 1.0, (), "m1"), ProportionsRow("b,c", (0, 0, 0), 1.0, ("no_nuclei",), "m1")]
    proportions_csv(path, rows, ["cells", "tissue_mm2", "model"])
    table = read_proportions(path)
    assert table.slide_ids == ("=a", "b,c")
    assert table.class_names == ("cells", "tissue_mm2", "model")
    assert table.counts.tolist() == [[3, 1, 0], [0, 0, 0]]
    assert table.model == "m1"


LOOKS = (tuple(i / 3 for i in range(len(DESCRIPTION))), (-1.0,) * len(DESCRIPTION))


def slides_of(path: Path) -> list[ProportionsRow]:
    rows = [
        ProportionsRow("=a", (3, 1), 1.0, (), "m1", (0.625, 0.375), LOOKS),
        ProportionsRow("b,c", (0, 0), 1.0, ("no_nuclei",), "m1"),
        ProportionsRow("d", (1, 1), 0.25, (), "m1", (0.25, 0.75), LOOKS[::-1]),
    ]
    profiles_csv(path / "profiles.csv", rows, ["c0", "c1"])
    proportions_csv(path / "proportions.csv", rows, ["c0", "c1"])
    expected_csv(path / "expected.csv", rows, ["c0", "c1"])
    return rows


def test_expected_cells_of_the_same_slides(tmp_path: Path) -> None:
    rows = slides_of(tmp_path)
    assert (tmp_path / "expected.csv").read_text().splitlines()[:3] == [
        "slide_id,n_cells,e_c0,e_c1,model", "'=a,4,0.62500000,0.37500000,m1", '"b,c",0,,,m1',
    ]  # fmt: skip
    proportions_csv(tmp_path / "proportions.csv", rows[::-2], ["c0", "c1"])  # some slides, in another order
    table = with_expected(read_proportions(tmp_path / "proportions.csv"), tmp_path / "expected.csv")
    assert (table.slide_ids, table.judged_by, table.model) == (("d", "=a"), "expected", "m1")
    assert table.counts.tolist() == [[0.5, 1.5], [2.5, 1.5]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("'=a,4,", "'=a,5,"), "says other cells than proportions.csv of =a"),
        ((",m1", ",m2"), "says other cells than proportions.csv of =a"),
        (("'=a", "x"), "says nothing of =a"),
        (("0.62500000", "many"), "says nothing of =a"),
        (("0.62500000", "0.9"), "has shares of =a that do not sum to 1"),
        (("0.62500000,0.37500000", "1.5,-0.5"), "has shares of =a that do not sum to 1"),
        (("0.62500000", "nan"), "has shares of =a that do not sum to 1"),
        (("e_c1,", ""), "has no column e_c1, a class of proportions.csv"),
        (("e_c1", "e_lymphocyte"), "has no column e_c1, a class of proportions.csv: run `wsipipe proportions`"),
        (("e_c1,", "e_c1,e_c2,"), "has a column e_c2 too many"),
        (("e_c0,", "e_c0,e_c0,"), "has a column e_c0 too many"),
        (("slide_id", "slide"), "is no expected.csv: run"),
    ],
    ids=("cells", "model", "slide", "number", "sum", "negative", "nan", "fewer", "renamed", "more", "twice", "other"),
)
def test_expected_cells_of_others_are_refused(change: tuple[str, str], words: str, tmp_path: Path) -> None:
    slides_of(tmp_path)
    path = tmp_path / "expected.csv"
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(UsageError, match=words):
        with_expected(read_proportions(tmp_path / "proportions.csv"), path)


def test_expected_cells_are_taken_by_the_names_of_their_columns(tmp_path: Path) -> None:
    slides_of(tmp_path)
    path = tmp_path / "expected.csv"
    path.write_text(path.read_text().replace("e_c0,e_c1", "e_c1,e_c0"))
    table = with_expected(read_proportions(tmp_path / "proportions.csv"), path)
    assert table.counts.tolist() == [[1.5, 2.5], [0, 0], [1.5, 0.5]]


def test_proportions_of_two_models_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "proportions.csv"
    proportions_csv(path, [ProportionsRow(n, (1, 1), 1.0, (), n) for n in ("x", "y")], ["c0", "c1"])
    with pytest.raises(UsageError, match=r"2 models \(x, y\): label all slides with one model"):
        read_proportions(path)


@pytest.mark.parametrize(
    "content",
    [b"slide_id,n_cells\na,1\n", b"a;b\n1;2\n", b"slide_id,n_cells,n_c0,p_c0,tissue_mm2,flags,model\na,1,x,1,1,,m\n"],
    ids=("short", "other", "no number"),
)
def test_another_table_is_no_proportions(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(content)
    with pytest.raises(UsageError, match=r"p\.csv: is no proportions\.csv"):
        read_proportions(tmp_path / "p.csv")


@pytest.mark.parametrize("content", [b"", b"slide_id,label\n", b"\xff\xfe"], ids=("empty", "header", "binary"))
def test_tables_without_rows(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_bytes(content)
    with pytest.raises(UsageError, match=r"has no rows|cannot be read"):
        read_labels(tmp_path / "l.csv")


@pytest.mark.parametrize(
    ("content", "patients"),
    [
        ("slide_id,label,patient\na.svs,x,p\n", True),
        ("\ufeffSlide;Diagnosis\na.svs;x\n", False),
        ("case_id\twsi\tlabel\np\ta.svs\tx\n", True),
        ("path,slide_id,label\n/elsewhere/1.svs,a.svs,x\n", False),
    ],
    ids=("plain", "semicolons", "clam", "cohort"),
)
def test_labels_as_labs_write_them(content: str, patients: bool, tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(content, "utf-8")
    table = read_labels(tmp_path / "l.csv")
    assert [(row.slide, row.label) for row in table.rows] == [("a.svs", "x")]
    assert table.has_patients == patients
    assert table.rows[0].patient == ("p" if patients else "")


def test_labels_without_a_needed_column(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("slide_id,stage\na,1\n")
    with pytest.raises(UsageError, match=r"l\.csv: has none of the columns label, diagnosis, class: add one"):
        read_labels(tmp_path / "l.csv")


def test_looks_of_the_same_slides(tmp_path: Path) -> None:
    rows = slides_of(tmp_path)
    lines = (tmp_path / "profiles.csv").read_text().splitlines()
    assert lines[0] == ",".join(["slide_id", "class", *DESCRIPTION, "model"])
    assert lines[1].startswith("'=a,c0,0,0.3333333,0.6666667,1,")
    assert [line.split(",")[:2] for line in lines[1:]] == [["'=a", "c0"], ["'=a", "c1"], ["d", "c0"], ["d", "c1"]]
    proportions_csv(tmp_path / "proportions.csv", rows[::-1], ["c0", "c1"])
    table = load_proportions(tmp_path / "proportions.csv")
    assert (table.slide_ids, table.judged_by) == (("d", "b,c", "=a"), "profiles")
    np.testing.assert_allclose(table.looks[2], LOOKS, rtol=1e-6)
    np.testing.assert_array_equal(table.looks[1], 0.0)
    one = rows_of(table, np.array([0]))[0]
    np.testing.assert_allclose(one, [0.25, 0.5, 1.5, *LOOKS[1], *LOOKS[0]], rtol=1e-6)
    assert load_proportions(tmp_path / "proportions.csv", "expected").judged_by == "expected"
    assert load_proportions(tmp_path / "proportions.csv", "counted").counts.tolist() == [[1, 1], [0, 0], [3, 1]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("log_area_um2", "area"), "is no profiles.csv of this version"),
        (("'=a,c1", "'=a,c2"), "says nothing of =a, or not of all its classes"),
        ((",-1,m1", ",m1"), "says nothing of =a, or not of all its classes"),
        ((",-1,m1", ",x,m1"), "has looks of =a that are no numbers"),
        ((",-1,m1", ",nan,m1"), "has looks of =a that are no numbers"),
        ((",m1", ",m2"), "is of another model than proportions.csv for =a"),
    ],
)
def test_other_looks_are_refused(change: tuple[str, str], words: str, tmp_path: Path) -> None:
    slides_of(tmp_path)
    path = tmp_path / "profiles.csv"
    path.write_text(path.read_text().replace(*change, 1))
    if words.startswith("is of another"):
        path.write_text(path.read_text().replace(",m1", ",m2"))
    with pytest.raises(UsageError, match=words):
        with_profiles(read_proportions(tmp_path / "proportions.csv"), path)


def test_cells_without_tissue_have_no_density(tmp_path: Path) -> None:
    rows = [dataclasses.replace(row, tissue_mm2=0.0) for row in slides_of(tmp_path)]
    proportions_csv(tmp_path / "proportions.csv", rows, ["c0", "c1"])
    assert load_proportions(tmp_path / "proportions.csv").judged_by == "counted"
    with pytest.raises(UsageError, match="gives =a cells but no tissue"):
        load_proportions(tmp_path / "proportions.csv", "profiles")


def test_names_a_slide_may_have() -> None:
    assert names_of("a") == ("a",)
    assert names_of("dir/a.b.svs") == ("dir/a.b.svs", "a.b.svs", "a.b")
    assert names_of("C:\\slides\\a.svs")[1:] == ("a.svs", "a")


def joined(said: list[tuple[str, str, str]], patients: bool = False):
    ids = ("a", "a.b", "c", "empty", "unlabelled")
    counts = np.array([[1, 2], [3, 4], [5, 6], [0, 0], [1, 1]], float)
    return join_labels(ids, counts.sum(axis=1), [(names_of(s), label, patient) for s, label, patient in said], patients)


def test_everything_without_a_partner_is_listed() -> None:
    slides = joined([("x/a.svs", "n", ""), ("a.b", "t", ""), ("c.tif", "", ""), ("empty", "t", ""), ("gone", "t", "")])
    assert slides.slide_ids == ("a", "a.b")
    assert slides.labels == ("n", "t")
    assert slides.y.tolist() == [0, 1]
    assert slides.at.tolist() == [0, 1]
    assert slides.groups.tolist() == [0, 1]
    assert dict(slides.left_out) == {
        "gone": "has a label, but is none of the slides here",
        "c": "its label is empty",
        "empty": "has no cells",
        "unlabelled": "has no label",
    }


def test_patients_are_numbered() -> None:
    slides = joined([("a", "n", "p9"), ("a.b", "t", "p1"), ("c", "t", "p9")], patients=True)
    assert slides.groups.tolist() == [1, 0, 1]


def test_contradictions_are_refused_and_repetitions_are_not() -> None:
    assert joined([("a", "n", ""), ("a.svs", "n", ""), ("c", "t", "")]).slide_ids == ("a", "c")
    with pytest.raises(UsageError, match="--labels a: has two entries, n and t: keep one"):
        joined([("a", "n", ""), ("a.svs", "t", "")])
    with pytest.raises(UsageError, match=r"1 slides have no patient \(c\): fill in the column"):
        joined([("a", "n", "p"), ("c", "t", "")], patients=True)
    with pytest.raises(UsageError, match=r"none of its 1 slides is one of the . slides .'z.svs' there, 'a' here"):
        joined([("z.svs", "n", "")])


def test_predictions_come_back(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    write_table(path, ("slide_id", "verdict", "p_=x", "p_y", "reasons", "note"),
                [("-s", "=x", "0.75", "0.25", "", ""), ("t", "", "", "", "", "no cells")])  # fmt: skip
    table = read_predictions(path)
    assert (table.slide_ids, table.verdicts, table.labels) == (("-s",), ("=x",), ("=x", "y"))
    assert table.probability.tolist() == [[0.75, 0.25]]
    for header, row in (
        (("slide_id", "verdict"), ("a", "x")),
        (("slide_id", "verdict", "p_x", "p_y"), ("a", "", "", "")),
    ):
        write_table(path, header, [row])
        with pytest.raises(UsageError, match=r"has no columns|holds no verdict"):
            read_predictions(path)
