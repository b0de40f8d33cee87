"""Proof 6 of the main job: every real file gives a finished result or one clear line, never a traceback."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.calls import code_and_stderr
from wsipipe.io.store import CellStore

FILES = (
    "slides/CMU-1-Small-Region.svs",
    "slides/gcp_multi_frame_jpeg_camelyon_challenge_image.dcm",
    "slides/highdicom_sm_image.dcm",
    "slides/kidney-48-5.tif",
    "slides/osp_boxes.tiff",
    "slides/osp_boxes_dicom/boxes_0.dcm",
    "slides/osp_boxes_dicom/boxes_1.dcm",
    "slides/osp_small.svs",
    "slides/slaid_patch.tif",
    "slides/slideio_test3-DAPI-2-387.ndpi",
    "slides_broken/derived_CMU-1_truncated.svs",
    "slides_broken/derived_CMU-1_two_zeroed_tiles.svs",
    "slides_broken/derived_empty.svs",
    "slides_broken/derived_text_named.svs",
    "slides_broken/gcp_test_wsi2.dcm",
    "slides_broken/highdicom_sm_image_jpegls.dcm",
    "slides_broken/mrxs_missing_data_files/Mirax2-Fluorescence-2.mrxs",
    "slides_broken/osp_unopenable.tiff",
    "slides_broken/osp_unreadable.svs",
)
FINISHED = {"CMU-1-Small-Region", "kidney-48-5", "slaid_patch", "derived_CMU-1_two_zeroed_tiles"}
"""Files with tissue at a usable resolution, when --mpp is given: these must give cells."""


def test_the_list_is_whole(real_file: Callable[[str], Path]) -> None:
    root = real_file("slides").parent
    ignored = {".md", ".ini", ".dat"}
    found = {
        str(p.relative_to(root))
        for folder in ("slides", "slides_broken")
        for p in (root / folder).rglob("*")
        if p.is_file() and p.suffix not in ignored
    }
    assert found == set(FILES)


@pytest.mark.parametrize("mpp", [None, "0.5"])
@pytest.mark.parametrize("name", FILES)
def test_a_result_or_one_line(
    name: str, mpp: str | None, real_file: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = real_file(name), tmp_path / "out"
    code, err = code_and_stderr(capsys, "segment", path, "-o", out, "--workers", "1", *(["--mpp", mpp] if mpp else []))
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert str(path.parent) not in err, "logs carry slide ids, not paths"
    if code:
        assert code == 1
        assert path.stem not in FINISHED or mpp is None
        assert len(errors) == 1
        assert errors[0].startswith(f"error: {path.stem}: ")
        assert len(errors[0].split(": ")) >= 4, "what, and what to do"
        assert not (out / path.stem / "cells.zarr").exists()
    else:
        assert not errors
        store = CellStore(out / path.stem / "cells.zarr")
        facts = json.loads((out / path.stem / "run.json").read_text())
        assert facts["state"] == "segmented"
        assert facts["counts"]["cells"] == len(store)
        assert len(store) > 0 or path.stem not in FINISHED
