"""What a slide's task does with whatever goes wrong in it, without worker processes."""

import errno
from pathlib import Path

import pytest

from tests.synth import write_tiny_slide
from wsipipe.batch import segment
from wsipipe.batch.check import CohortSlide, read_header
from wsipipe.batch.names import named
from wsipipe.batch.segment import Work, any_error, segment_task
from wsipipe.config import Settings
from wsipipe.errors import SlideError, StoreError, UnreadableSlideError, WorkerDiedError
from wsipipe.io.cohort_table import Entry
from wsipipe.io.output import OutputFolder


@pytest.fixture
def work(tmp_path: Path) -> Work:
    out = OutputFolder(tmp_path / "out")
    out.make()
    with out.locked() as token:
        return Work(Settings(out=out.path), token)


def slide(path: Path) -> CohortSlide:
    return CohortSlide(path.stem, path, path.name, 0.5, "", "")


def test_a_slide_is_segmented_and_logged(work: Work, tmp_path: Path) -> None:
    outcome = segment_task(work, slide(write_tiny_slide(tmp_path)), 1)
    assert outcome.failure is None
    assert outcome.cells > 100
    log = (tmp_path / "out" / "tiny" / "log.txt").read_text()
    assert f"{outcome.cells} cells" in log
    assert "at its most" in log


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/cells.zarr"), "cells.zarr: No space left on device"),
        (MemoryError("no"), "out of memory"),
        (StoreError("another process is working on this slide", "wait"), "another process"),
    ],
)
def test_whatever_stops_a_slide_is_its_failure(work: Work, tmp_path: Path, monkeypatch, raised, reason) -> None:
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(segment, "segment_one", fail)
    outcome = segment_task(work, slide(tmp_path / "x.svs"), 1)
    assert outcome.cells == 0
    assert reason in str(outcome.failure)


def test_a_dead_tile_is_for_the_fleet_to_try_again(work: Work, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(segment, "segment_one", lambda *_: WorkerDiedError("died", "look"))
    with pytest.raises(WorkerDiedError):
        segment_task(work, slide(tmp_path / "x.svs"), 1)


def test_a_worker_that_sees_another_folder_writes_nothing(work: Work, tmp_path: Path) -> None:
    (tmp_path / "out" / ".lock").write_text("another batch")
    outcome = segment_task(work, slide(write_tiny_slide(tmp_path)), 1)
    assert "does not see the output folder" in str(outcome.failure)
    assert not (tmp_path / "out" / "tiny").exists()


def test_debug_lets_the_unexpected_through() -> None:
    with pytest.raises(ZeroDivisionError):
        any_error(ZeroDivisionError(), debug=True)
    assert isinstance(any_error(ZeroDivisionError(), debug=False), SlideError)


def test_headers_tell_faults_and_fingerprints(work: Work, tmp_path: Path) -> None:
    good = read_header(work.settings, Entry(write_tiny_slide(tmp_path), "tiny"), 1)
    assert good.fault is None
    assert len(good.fingerprint) == 32
    gone = read_header(work.settings, Entry(tmp_path / "gone.svs", "gone"), 1)
    assert isinstance(gone.fault, UnreadableSlideError)
    coarse = read_header(work.settings, Entry(write_tiny_slide(tmp_path), "tiny", mpp=3.0), 1)
    assert coarse.fault is not None
    assert "too coarse" in coarse.fault.what


def test_every_slide_of_a_cohort_has_its_own_name(tmp_path: Path) -> None:
    fault = SlideError("bad", "repair it")
    entries = [
        Entry(tmp_path / "a" / "s.svs", "a/s.svs", fault=fault),
        Entry(tmp_path / "b" / "s.svs", "b/s.svs"),
        Entry(tmp_path / "c.svs", "c.svs", slide_id="named"),
        Entry(tmp_path / "d.svs", "d.svs", slide_id="named"),
        Entry(tmp_path / "report.html.svs", "report.html.svs"),
    ]
    found = list(named(entries, {e: f"{i}" * 32 for i, e in enumerate(entries)}, OutputFolder(tmp_path / "out")))
    names = {entry.given: (name, wrong) for name, entry, wrong in found}
    assert len({name for name, _ in names.values()}) == 5
    assert names["b/s.svs"] == ("s", None)
    assert names["a/s.svs"] == ("s-00000000", None)
    assert names["c.svs"] == ("named", None)
    assert "slide_id of c.svs" in str(names["d.svs"][1])
    assert "a file of wsipipe's own is called so" in str(names["report.html.svs"][1])
