import os
from pathlib import Path

import pytest

from wsipipe.errors import UsageError
from wsipipe.io.cohort_table import SLIDE_COLUMNS, Entry, read_cohort


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two slides with files that are none beside them."""
    for name in ("a.svs", "sub/b.TIFF", "notes.txt", ".hidden.svs", "sub/._b.tiff", "out/masks.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def table(folder: Path, text: str, name: str = "cohort.csv") -> tuple[Entry, ...]:
    (folder / name).write_text(text)
    return read_cohort(folder / name, folder / "out").entries


def test_folder_is_searched_with_all_below_but_not_the_output(folder: Path) -> None:
    cohort = read_cohort(folder, folder / "out")
    assert [entry.path for entry in cohort.entries] == [folder / "a.svs", folder / "sub" / "b.TIFF"]
    assert cohort.repeated == ()
    assert all(entry.fault is None and entry.slide_id == "" and entry.mpp is None for entry in cohort.entries)


def test_the_output_is_left_out_however_it_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    cohort = read_cohort(Path(folder.name), folder / "out")
    assert [entry.given for entry in cohort.entries] == [f"{folder.name}/a.svs", f"{folder.name}/sub/b.TIFF"]


def test_the_output_may_be_the_folder_of_the_slides_or_hold_it(folder: Path) -> None:
    (folder / "a" / "cells.zarr").mkdir(parents=True)
    (folder / "a" / "masks.png").write_bytes(b"x")
    for out in (folder, folder.parent):
        found = [entry.path.relative_to(folder).as_posix() for entry in read_cohort(folder, out).entries]
        assert found == ["a.svs", "out/masks.png", "sub/b.TIFF"]


def test_pictures_of_cells_in_another_output_are_no_slides(folder: Path) -> None:
    (folder / "older" / "a" / "cells.zarr").mkdir(parents=True)
    for name in ("masks.png", "overlay-0-0-9-9.png", "cells.zarr/picture.png"):
        (folder / "older" / "a" / name).write_bytes(b"x")
    assert len(read_cohort(folder, folder / "out").entries) == 2


def test_links_to_folders_are_followed_once(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    linked = tmp_path_factory.mktemp("linked")
    (linked / "to").symlink_to(folder, target_is_directory=True)
    (folder / "sub" / "back").symlink_to(linked, target_is_directory=True)
    found = [entry.path.relative_to(linked).as_posix() for entry in read_cohort(linked, linked / "out").entries]
    assert found == ["to/a.svs", "to/out/masks.png", "to/sub/b.TIFF"]


def test_jpeg_parts_of_a_hamamatsu_slide_are_no_slides(tmp_path: Path) -> None:
    for name in ("s.vms", "s-1.jpg", "other/s.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [entry.path.relative_to(tmp_path).as_posix() for entry in read_cohort(tmp_path, tmp_path / "out").entries]
    assert found == ["other/s.jpg", "s.vms"]


@pytest.mark.parametrize("column", SLIDE_COLUMNS)
@pytest.mark.parametrize("value", ["a", "a.svs", "./a.svs"])
def test_every_spelling_locates_a_slide_with_or_without_its_extension(folder: Path, column: str, value: str) -> None:
    (entry,) = table(folder, f"{column}\n{value}\n")
    assert entry.fault is None
    assert entry.path.samefile(folder / "a.svs")
    assert entry.given == value
    assert entry.slide_id == ""


def test_first_column_locates_and_slide_id_beside_it_names(folder: Path) -> None:
    (entry,) = table(folder, "slide_id,filename,path\nS1,wrong,sub/b\n")
    assert entry.path.samefile(folder / "sub" / "b.TIFF")
    assert entry.slide_id == "S1"


@pytest.mark.parametrize(
    ("header", "values", "mpp"),
    [
        ("wsi,mpp", "a,0.25", 0.25),
        ("path,wsi_mpp,wsi_magnification", "a,0.3,40", 0.3),
        ("path,wsi_mpp,wsi_magnification", "a,,40", 0.25),
        ("path,magnification", "a,20x", 0.5),
        ("path,mpp", "a,", None),
    ],
)
def test_resolution_and_its_aliases(folder: Path, header: str, values: str, mpp: float | None) -> None:
    (entry,) = table(folder, f"{header}\n{values}\n")
    assert entry.fault is None
    assert entry.mpp == mpp


def test_label_and_patient_as_other_tools_call_them(folder: Path) -> None:
    (entry,) = table(folder, "case_id,slide_id,label\nP7,a,tumour\n")
    assert (entry.patient, entry.label, entry.slide_id) == ("P7", "tumour", "")


def test_spreadsheet_habits_are_read(folder: Path) -> None:
    text = "\ufeffPath ; MPP;\r\na.svs;0,5;\r\n;;\r\n\r\n"
    (folder / "c.csv").write_bytes(text.encode())
    (entry,) = read_cohort(folder / "c.csv", folder / "out").entries
    assert entry.mpp == 0.5, "such a spreadsheet writes decimals with a comma"
    assert entry.path.name == "a.svs"


def test_windows_writes_paths_with_backslashes(folder: Path) -> None:
    (folder / "below").mkdir()
    (folder / "below" / "w.svs").write_bytes(b"w")
    (folder / "c.csv").write_text("wsi\r\nbelow\\w.svs\r\nbelow\\w\r\nC:\\else\\x.svs\r\n")
    first, gone = read_cohort(folder / "c.csv", folder / "out").entries
    assert (first.path, first.fault) == (folder / "below" / "w.svs", None)
    assert "no such file" in str(gone.fault)


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_no_text_fails_that_file_only(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/F\xe4ll.svs")).write_bytes(b"l")
    entries = read_cohort(folder, folder / "out").entries
    (bad,) = [entry for entry in entries if entry.fault]
    assert bad.path.name == "F\ufffdll.svs"
    assert "not UTF-8" in str(bad.fault)
    assert len(entries) > 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("nowhere,0.5,,x", "no such file"),
        ("a,half,,x", "not a number: half"),
        ("a,500,,x", "500 um/px"),
        ("a,,0,x", "magnification of 0"),
        (",0.5,,x", "line 2 of cohort.csv names no slide"),
        ("a,,,../x", "cannot be called '../x': it begins with a dot"),
        ("a,,,proportions.csv", "cannot be called 'proportions.csv': a file of wsipipe's own"),
    ],
)
def test_what_is_wrong_with_a_row_is_its_own_failure(folder: Path, row: str, reason: str) -> None:
    bad, good = table(folder, f"path,mpp,magnification,slide_id\n{row}\nsub/b,0.5,,good\n")
    assert bad.fault is not None
    assert reason in str(bad.fault)
    assert good.fault is None


def test_two_files_of_one_stem_need_the_extension(folder: Path) -> None:
    (folder / "a.tif").write_bytes(b"x")
    (entry,) = table(folder, "path\na\n")
    assert entry.fault is not None
    assert "a.svs, a.tif" in entry.fault.what


def test_a_repeated_row_is_said_and_done_once(folder: Path) -> None:
    (folder / "c.csv").write_text("path,mpp\na,0.5\na.svs,0.5\nsub/b,0.5\n")
    cohort = read_cohort(folder / "c.csv", folder / "out")
    assert len(cohort.entries) == 2
    assert all(entry.fault is None for entry in cohort.entries)
    assert cohort.repeated == ("a: listed 2 times; it is done once",)


def test_rows_that_differ_about_one_file_fail_it(folder: Path) -> None:
    entry, other = table(folder, "path,mpp\na,0.5\na.svs,0.25\nsub/b,0.5\n")
    assert entry.fault is not None
    assert "differently" in entry.fault.what
    assert other.fault is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name,mpp\na,0.5\n", "none of the columns"),
        (b"path\n", "no rows"),
        (b"", "no rows"),
        (b"path\n\xff\xfe\n", "not UTF-8"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "c.csv").write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        read_cohort(tmp_path / "c.csv", tmp_path / "out")


@pytest.mark.parametrize("name", ["s.svs", "S.TIFF", "s.png"])
def test_a_slide_in_place_of_a_cohort_is_sent_to_run(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"II*\0")
    with pytest.raises(UsageError, match="is an image, no cohort: do it with `wsipipe run`"):
        read_cohort(tmp_path / name, tmp_path / "out")


def test_nothing_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no slide"):
        read_cohort(tmp_path, tmp_path / "out")
    with pytest.raises(UsageError, match="no such folder"):
        read_cohort(tmp_path / "nowhere", tmp_path / "out")
