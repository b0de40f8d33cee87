"""Files appear whole or not at all."""

import stat
from pathlib import Path

import pytest

from wsipipe.atomic import atomic_write, sweep


def test_text_is_written_as_given_and_nothing_else_stays(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.csv") as f:
        f.write("µ\n\r\n")
        assert not (tmp_path / "a.csv").exists()
        assert not list(tmp_path.glob("*.csv"))
    assert (tmp_path / "a.csv").read_bytes() == b"\xc2\xb5\n\r\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def test_bytes_can_be_sought_and_read_back_while_writing(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.bin", "wb") as f:
        f.write(b"abc")
        f.seek(1)
        assert f.read() == b"bc"
        f.seek(0)
        f.write(b"X")
    assert (tmp_path / "a.bin").read_bytes() == b"Xbc"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def write_half() -> None:
        with atomic_write(path) as f:
            f.write("half")
            raise error

    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error):
        write_half()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_an_old_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a longer text than the new one")
    with atomic_write(path) as f:
        f.write("new")
    assert path.read_text() == "new"


def test_permissions_are_those_of_a_plain_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with atomic_write(tmp_path / "ours") as f:
        f.write("")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_missing_folder_is_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "no" / "a.txt"):
        pass


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_the_error_names_the_file_that_was_to_be_written(tmp_path: Path, mode: str) -> None:
    with (
        pytest.raises(OSError, match="none") as caught,
        atomic_write(tmp_path / "none" / "a.csv", mode),
    ):
        pass
    assert caught.value.filename == str(tmp_path / "none" / "a.csv")


def test_a_name_that_is_too_long_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long") as caught, atomic_write(tmp_path / f"{'x' * 300}.csv"):
        pass
    assert caught.value.filename == str(tmp_path / f"{'x' * 300}.csv")
    assert not list(tmp_path.iterdir())


def test_the_longest_name_a_file_system_takes_still_works(tmp_path: Path) -> None:
    name = "x" * 251 + ".csv"
    with atomic_write(tmp_path / name) as f:
        f.write("1")
    assert (tmp_path / name).read_text() == "1"


def test_what_killed_processes_left_is_swept(tmp_path: Path) -> None:
    for name in (".cells.csv.0123.part", ".run.json.4567.part", ".cells.zarr.partial", "cells.csv", "a.part"):
        (tmp_path / name).touch()
    sweep(tmp_path, "run.json")
    assert not (tmp_path / ".run.json.4567.part").exists()
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".cells.zarr.partial", "cells.csv", "a.part"}
