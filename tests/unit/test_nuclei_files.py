"""Every kind of nuclei file, as the programs that write it write it, and every way in which one can be wrong."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from wsipipe.errors import SlideError, UsageError
from wsipipe.io.nuclei_files import find_nuclei_file, nuclei_digest, read_nuclei
from wsipipe.records import Box, Level, SlideInfo


def info(bounds: Box | None = None) -> SlideInfo:
    return SlideInfo(
        slide_id="s", reader="openslide", vendor="mirax", mpp=0.25, mpp_source="metadata", objective_power=40.0,
        levels=(Level(400, 300, 1.0),), bounds=bounds or Box(0, 0, 400, 300), has_bounds=bounds is not None,
        fingerprint="f",
    )  # fmt: skip


def square(x: float, y: float, side: float = 10) -> list[list[float]]:
    """A closed ring."""
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def feature(kind: str, coordinates: Any, **more: Any) -> dict[str, Any]:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "id": "0f", "geometry": geometry, "properties": {"objectType": "annotation"}, **more}


def corners(path: Path, slide: SlideInfo | None = None) -> list[tuple[float, float]]:
    """First vertex of each nucleus."""
    return [tuple(rings[0][0]) for rings in read_nuclei(path, slide or info()).outlines]


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_qupath_cells_give_their_nucleus(tmp_path: Path) -> None:
    """As QuPath exports cells: two outlines each, measurements; a cell without nucleus has the cell's outline."""
    cell = {
        "type": "Feature", "id": "d2b0", "geometry": {"type": "Polygon", "coordinates": [square(20, 20, 40)]},
        "nucleusGeometry": {"type": "Polygon", "coordinates": [square(30.5, 31)]},
        "properties": {"objectType": "cell", "classification": {"name": "Tumor", "color": [200, 0, 0]},
                       "measurements": {"Nucleus: Area µm^2": 6.25}},
    }  # fmt: skip
    bare = {**cell, "geometry": {"type": "Polygon", "coordinates": [square(70, 20)]}}
    del bare["nucleusGeometry"]
    path = write(tmp_path / "q.geojson", {"type": "FeatureCollection", "features": [cell, bare]})
    given = read_nuclei(path, info())
    assert corners(path) == [(30.5, 31), (70, 20)]
    assert [len(rings[0]) for rings in given.outlines] == [4, 4], "the last vertex repeats the first"
    assert given.points.shape == (0, 2)


def test_qupath_nests_objects_and_writes_the_root(tmp_path: Path) -> None:
    child = feature("Polygon", [square(12, 12)])
    parent = feature("Polygon", [square(10, 10, 60)])
    parent["properties"]["childObjects"] = [child]
    root = {"type": "Feature", "geometry": None, "properties": {"objectType": "root"}}
    assert corners(write(tmp_path / "q.json", [root, parent])) == [(10, 10), (12, 12)]


def test_every_part_of_cellvits_multipolygons_is_a_nucleus(tmp_path: Path) -> None:
    """As CellViT writes cells.geojson: a bare list with one feature a class; and cell_detection.geojson."""
    tumour = feature("MultiPolygon", [[square(10, 10)], [square(30, 10)], [square(50, 10)]])
    immune = feature("MultiPolygon", [[square(10, 50), square(12, 52, 3)]])
    path = write(tmp_path / "c.geojson", [tumour, immune])
    assert corners(path) == [(10, 10), (30, 10), (50, 10), (10, 50)]
    assert len(read_nuclei(path, info()).outlines[3]) == 2, "the hole"
    points = write(tmp_path / "p.geojson", [feature("MultiPoint", [[1.5, 2], [3, 4]]), feature("Point", [5, 6, 0])])
    assert read_nuclei(points, info()).points.tolist() == [[1.5, 2], [3, 4], [5, 6]]


def test_the_frame_is_the_metadatas_else_qupaths(tmp_path: Path) -> None:
    one = {"type": "FeatureCollection", "features": [feature("Polygon", [square(1, 2)]), feature("Point", [3, 4])]}
    bounded = info(Box(100, 50, 200, 100))
    plain = write(tmp_path / "plain.geojson", one)
    assert corners(plain) == [(1, 2)]
    assert corners(plain, bounded) == [(101, 52)]
    assert read_nuclei(plain, bounded).points.tolist() == [[103, 54]]
    ours = write(tmp_path / "ours.geojson", {**one, "metadata": {"offset_px": [7, 8]}})
    assert corners(ours, bounded) == corners(ours) == [(8, 10)]


def test_compressed_and_with_a_byte_order_mark(tmp_path: Path) -> None:
    text = json.dumps([feature("Polygon", [square(1, 2)])])
    (tmp_path / "z.geojson.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "b.geojson").write_text(text, encoding="utf-8-sig")
    assert corners(tmp_path / "z.geojson.gz") == corners(tmp_path / "b.geojson") == [(1, 2)]


def test_points_and_masks(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("x,y,class\n1.25,2,a\n3,4,b\n")
    assert read_nuclei(tmp_path / "p.csv", info(Box(9, 9, 9, 9))).points.tolist() == [[1.25, 2], [3, 4]]
    mask = np.zeros((300, 400), np.uint16)
    mask[5:9, 7:12] = 40_000
    Image.fromarray(mask).save(tmp_path / "m.png")
    tifffile.imwrite(tmp_path / "m.tif", mask)
    for name in ("m.png", "m.tif"):
        found = read_nuclei(tmp_path / name, info()).mask
        assert found is not None
        np.testing.assert_array_equal(found, mask)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([feature("Polygon", [square(1, 1)]), feature("LineString", square(1, 1))], "feature 2 is a LineString"),
        ([feature("Polygon", [[[1, 1], [2, None], [3, 3]]])], "feature 1"),
        ([feature("Polygon", [[[1, 1], ["a", 2], [3, 3]]])], "feature 1"),
        ([feature("Polygon", [[[1, 1], [float("nan"), 2]]])], "not a finite number"),
        ([feature("Polygon", [[[1, 1], [float("inf"), 2]]])], "not a finite number"),
        ([feature("Polygon", [])], "feature 1"),
        ([feature("Polygon", [[]])], "feature 1"),
        ([feature("Polygon", [[1, 2], [3, 4]])], "feature 1"),
        ([feature("Point", [1])], "feature 1"),
        ([feature("Point", [1, 2]), {"type": "Feature", "geometry": None}], "feature 2 is no nucleus (it has no"),
        ([feature("Polygon", [square(0, 0, 700)])], "feature 1 is 175 um wide"),
        ([{"no": "type"}], "it is no GeoJSON object"),
        ([3], "it is no GeoJSON object"),
        ({"type": "FeatureCollection", "features": [], "metadata": {"offset_px": "left"}}, "no readable GeoJSON"),
        ("text", "no readable GeoJSON"),
    ],
)  # fmt: skip
def test_malformed_geojson_names_file_and_feature(tmp_path: Path, document: Any, says: str) -> None:
    path = write(tmp_path / "bad.geojson", document)
    with pytest.raises(UsageError) as caught:
        read_nuclei(path, info())
    assert caught.value.subject == "--nuclei bad.geojson"
    assert says in caught.value.what
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("x.geojson", b'[{"type": 1', "no readable GeoJSON"),
        ("x.geojson", b"\xff\xfe\x00", "no readable GeoJSON"),
        ("x.geojson.gz", b"not compressed", "no readable GeoJSON"),
        ("x.geojson.gz", gzip.compress(b"[" + b" " * 100_000)[:-30], "no readable GeoJSON"),
        ("x.geojson", b"[" * 100_000, "no readable GeoJSON"),
        ("x.csv", b"a,b\n1,2\n", "no list of points (no columns x and y)"),
        (
            "x.csv",
            b"\x89PNG\r\n\xff" * 40,
            "can't decode byte 0x89 in position 0: invalid start byte)",
        ),
        ("x.csv", b"x,y\n1,2\n1,nan\n", "point 2 is not"),
        ("x.png", b"nothing", "cannot be decoded"),
        ("x.txt", b"1 2", "no known kind"),
    ],
)
def test_unreadable_files_are_one_usage_error(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_nuclei(tmp_path / name, info())
    assert says in caught.value.what
    assert str(caught.value).count(name) == 1, "said once"
    assert caught.value.subject.endswith(name)


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (np.zeros((299, 400), np.uint16), "400 x 299"),
        (np.pad(np.full((1, 1), -1, np.int32), ((0, 299), (0, 399))), "from -1 to 0"),
        (np.pad(np.full((1, 1), 1 << 30, np.int32), ((0, 299), (0, 399))), f"to {1 << 30}"),
        (np.pad(np.full((2, 399), 255, np.uint16), ((0, 298), (0, 1))), "label 255 is 100 um wide"),
        (
            np.pad(np.full((9, 1), 255, np.uint8), ((0, 291), (0, 399)))
            * (np.arange(300) % 4 == 0)[:, None].astype("u1"),
            "is black and white: 255 in 3 places",
        ),
    ],
)
def test_masks_that_cannot_be_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: Any, says: str) -> None:
    monkeypatch.setattr("wsipipe.io.nuclei_files.MAX_EXTENT_UM", 90.0)
    tifffile.imwrite(tmp_path / "m.tif", mask)
    with pytest.raises(UsageError) as caught:
        read_nuclei(tmp_path / "m.tif", info())
    assert says in caught.value.what


def test_a_folder_is_matched_by_slide_id(tmp_path: Path) -> None:
    for name in ("a.csv", "b.geojson.gz", "b.x.csv"):
        (tmp_path / name).touch()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "cells.geojson").touch()
    assert find_nuclei_file(tmp_path, "a") == tmp_path / "a.csv"
    assert find_nuclei_file(tmp_path, "b") == tmp_path / "b.geojson.gz"
    assert find_nuclei_file(tmp_path, "b.x") == tmp_path / "b.x.csv"
    assert find_nuclei_file(tmp_path, "c") == tmp_path / "c" / "cells.geojson"
    assert find_nuclei_file(tmp_path / "a.csv", "whatever") == tmp_path / "a.csv"
    with pytest.raises(SlideError, match="no file for it"):
        find_nuclei_file(tmp_path, "d")
    (tmp_path / "a.png").touch()
    with pytest.raises(SlideError, match=r"a\.csv and a\.png"):
        find_nuclei_file(tmp_path, "a")


def test_a_digest_names_the_contents(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n")
    first = nuclei_digest(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    assert nuclei_digest(tmp_path / "a.csv") != first
    with pytest.raises(UsageError, match="cannot be read"):
        nuclei_digest(tmp_path / "none.csv")
