"""Whatever of a run is on disk when it stops, and whatever of it is lost: the same command gives the same bytes."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsipipe import pipeline
from wsipipe.config import Settings, parse_recipe
from wsipipe.image.synthetic import make_slide
from wsipipe.io.output import OutputFolder
from wsipipe.io.pyramid_writer import write_pyramid
from wsipipe.io.spool import Spool
from wsipipe.progress import Quiet
from wsipipe.slides import segment

SPOOLED = ("journal.jsonl", "cells.bin", "patches.bin", "contours.bin", "plan.json")
OF_THE_COHORT = ("proportions.csv", "expected.csv", "profiles.csv")
STEPS = ("cells.zarr", "labels", "cells.csv", "cells.geojson", "report.html", *OF_THE_COHORT)
"""What a run makes, in its order."""


class Finished(NamedTuple):
    """A slide, its settings, the spool just before it is deleted, and all that came out."""

    slide: Path
    settings: Settings
    spool: Path
    out: Path
    contents: dict[str, bytes]


def contents(out: Path) -> dict[str, bytes]:
    files = [
        *out.glob("*/cells.zarr/**/*"),
        *out.glob("*/cells.*"),
        *out.glob("proportions.csv"),
        *out.glob("expected.csv"),
        *out.glob("profiles.csv"),
    ]
    return {str(path.relative_to(out)): path.read_bytes() for path in files if path.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("resume")
    slide = folder / "s.tiff"
    write_pyramid(slide, make_slide(512, 384, 0.5, 4).rgb, 0.5)
    chosen = Settings(folder / "out", parse_recipe({"tiling": {"tile_px": 128}}), workers=1)
    real = Spool.remove
    with pytest.MonkeyPatch.context() as patched:

        def remove(self: Spool) -> None:
            shutil.copytree(folder / "out/s/.segment", folder / "spool")
            real(self)

        patched.setattr(Spool, "remove", remove)
        assert pipeline.run([slide], chosen, Quiet()) == 0
    found = contents(folder / "out")
    assert len((folder / "spool/journal.jsonl").read_bytes().splitlines()) == 12
    assert any("labels" in name for name in found)
    return Finished(slide, chosen, folder / "spool", folder / "out", found)


def begun(finished: Finished) -> Path:
    """An output in which the slide was killed before its store was written."""
    out = finished.out.with_name("again")
    shutil.rmtree(out, ignore_errors=True)
    (out / "s").mkdir(parents=True)
    shutil.copytree(finished.spool, out / "s/.segment")
    return out


def segmented(finished: Finished, out: Path) -> dict[str, bytes]:
    assert segment([finished.slide], Settings(out, finished.settings.recipe, workers=1), Quiet()) == 0
    assert not (out / "s/.segment").exists()
    return {name: data for name, data in contents(out).items() if name != "s/cells.zarr/labels/zarr.json"}


def only_cells(finished: Finished) -> dict[str, bytes]:
    return {name: data for name, data in finished.contents.items() if "cells.zarr" in name and "labels" not in name}


@settings(max_examples=10)
@given(st.data())
def test_a_spool_cut_after_any_prefix_of_its_records(finished: Finished, data: st.DataObject) -> None:
    """After a power failure each file may end anywhere, whatever the journal says."""
    out = begun(finished)
    for name in data.draw(st.sets(st.sampled_from(SPOOLED), min_size=1), "files"):
        path = out / "s/.segment" / name
        whole = path.read_bytes()
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole)), name)])
    assert segmented(finished, out) == only_cells(finished)


@settings(max_examples=10)
@given(st.data())
def test_a_spool_with_any_changed_byte(finished: Finished, data: st.DataObject) -> None:
    out = begun(finished)
    path = out / "s/.segment" / data.draw(st.sampled_from(SPOOLED), "file")
    changed = bytearray(path.read_bytes())
    changed[data.draw(st.integers(0, len(changed) - 1), "byte")] ^= 1 << data.draw(st.integers(0, 7), "bit")
    path.write_bytes(changed)
    assert segmented(finished, out) == only_cells(finished)


def test_a_whole_spool_is_not_done_again(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the tests above would show only that a slide can be done twice."""
    monkeypatch.setattr("wsipipe.tiles.find_nuclei", None)
    assert segmented(finished, begun(finished)) == only_cells(finished)


@settings(max_examples=6)
@given(st.integers(0, len(STEPS)), st.booleans(), st.booleans())
def test_an_output_cut_after_any_of_its_steps(finished: Finished, steps: int, facts: bool, model: bool) -> None:
    """And without run.json, or without the model that was copied there."""
    out = finished.out.with_name("cut")
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(finished.out, out)
    for step in STEPS[steps:]:
        elsewhere = {"labels": out / "s/cells.zarr/labels", **dict.fromkeys(OF_THE_COHORT, out / step)}
        place = elsewhere.get(step, out / "s" / step)
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    if not facts:
        (out / "s/run.json").unlink()
    if not model:
        OutputFolder(out).model.unlink()
    chosen = Settings(out, finished.settings.recipe, workers=1)
    assert pipeline.run([finished.slide], chosen, Quiet()) == 0
    assert contents(out) == finished.contents
