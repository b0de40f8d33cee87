import csv
import gzip
import json
import threading

import numpy as np
import pytest

from wsipipe.errors import SlideError, UsageError
from wsipipe.io import output as output_module
from wsipipe.io.output import OutputFolder, name_slides, path_hash, record_failures
from wsipipe.io.regions import read_regions
from wsipipe.records import Box, Grid


def test_slide_ids_are_stems_until_another_file_has_the_stem(tmp_path):
    out = OutputFolder(tmp_path / "out")
    a, b = tmp_path / "a" / "s.svs", tmp_path / "b" / "s.tif"
    assert name_slides([a, b], ["f" * 16, "0123456789abcdef"], out) == ["s", "s-01234567"]
    out.slide("s").note(path_hash=path_hash(b), fingerprint="0123456789abcdef")
    assert name_slides([a, b], ["f" * 16, "0123456789abcdef"], out) == ["s-ffffffff", "s"]
    assert name_slides([b], ["changed"], out) == ["s"], "a file that changed keeps its name"
    assert name_slides([tmp_path / "c" / "s.tif"], ["0123456789abcdef"], out) == ["s"], "so does one that moved"


def test_failures_appear_are_kept_and_go(tmp_path):
    out = OutputFolder(tmp_path)
    bad = SlideError("is\nbroken", "mend, it")
    record_failures(out, {"=a": (tmp_path / "a.svs", bad), "b": (tmp_path / "b.svs", bad)}, [])
    rows = list(csv.DictReader(out.failures.read_text().splitlines()))
    assert [row["slide_id"] for row in rows] == ["'=a", "b"]
    assert rows[1]["reason"] == "is broken"
    assert rows[1]["remedy"] == "mend, it"
    record_failures(out, {}, ["b"])
    assert [row["slide_id"] for row in csv.DictReader(out.failures.read_text().splitlines())] == ["'=a"]
    record_failures(out, {}, ["=a"])
    assert not out.failures.exists()


def test_whoever_waits_for_the_tables_is_told(tmp_path, monkeypatch):
    take = output_module.take
    monkeypatch.setattr(output_module, "take", lambda file, patience_s=0.0: take(file, patience_s))
    out, said, written = OutputFolder(tmp_path), [], []

    def second() -> None:
        with out.writing(said.append):
            written.append("second")

    waiting = threading.Thread(target=second)
    with out.writing(said.append):
        assert said == []
        waiting.start()
        waiting.join(0.2)
        written.append("first")
    waiting.join(10)
    assert written == ["first", "second"]
    assert said == [f"{tmp_path.name}: waiting for another run, which labels and writes tables here"]


def test_run_json_is_merged_and_damage_reads_as_nothing(tmp_path):
    folder = OutputFolder(tmp_path).slide("s")
    folder.note(a=1)
    assert folder.note(b=2) == {"a": 1, "b": 2}
    assert OutputFolder(tmp_path).slides() == [folder]
    (folder.path / "run.json").write_text("{")
    assert folder.facts() == {}


def region_file(tmp_path, geometry):
    path = tmp_path / "regions.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": geometry}]}))
    return path


def test_regions_are_relative_to_the_bounds_and_have_holes(tmp_path):
    square = [[10, 10], [90, 10], [90, 50], [10, 50], [10, 10]]
    hole = [[30, 20], [40, 20], [40, 30], [30, 30], [30, 20]]
    regions = read_regions(region_file(tmp_path, {"type": "Polygon", "coordinates": [square, hole]}))
    bounds = Box(100, 200, 500, 400)
    x = np.array([115.0, 135.0, 185.0, 195.0, 15.0])
    y = np.array([215.0, 225.0, 245.0, 225.0, 15.0])
    np.testing.assert_array_equal(regions.contains(bounds, x, y), [True, False, True, False, False])
    grid = Grid(mpp=4.0, level=0, level_downsample=1.0, scale=8.0, width_px=80, height_px=80)
    mask = regions.mask(bounds, grid)
    fine = np.argwhere(mask) * 8
    assert fine[:, 0].min() in range(200, 217)
    assert fine[:, 1].max() in range(180, 193)
    points_y, points_x = np.mgrid[205:255, 105:195] + 0.5
    contained = regions.contains(bounds, points_x.ravel(), points_y.ravel())
    assert mask[(points_y.ravel()[contained] / 8).astype(int), (points_x.ravel()[contained] / 8).astype(int)].all()


def test_compressed_regions_are_the_same_regions(tmp_path):
    plain = region_file(tmp_path, {"type": "Polygon", "coordinates": [[[0, 0], [90, 0], [90, 50], [0, 50]]]})
    packed = tmp_path / "regions.geojson.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_regions(packed).digest == read_regions(plain).digest
    packed.write_bytes(packed.read_bytes()[:40])
    with pytest.raises(UsageError, match=r"regions\.geojson\.gz"):
        read_regions(packed)


@pytest.mark.parametrize("ring", [[[0, 0], [9, 9], [0, 0]], [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]])
def test_regions_of_no_pixel_are_refused(tmp_path, ring):
    with pytest.raises(UsageError, match=r"no region as large as a pixel: give its corners in level-0 pixels"):
        read_regions(region_file(tmp_path, {"type": "Polygon", "coordinates": [ring]}))


@pytest.mark.parametrize("text", ["", "{}", '{"type": "FeatureCollection", "features": []}', '{"type": "Polygon"}'])
def test_useless_region_files_are_refused(tmp_path, text):
    path = tmp_path / "r.geojson"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"r\.geojson"):
        read_regions(path)
