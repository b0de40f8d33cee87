"""The page of a cohort in a real browser: with many classes, labels and patients nothing is wider than the screen."""

from pathlib import Path

import pytest

from tests.browser.chromium import chromium_page, needs_chromium
from wsipipe.export.classes import default_classes
from wsipipe.export.report.cohort_page import CohortReport, CohortRow, cohort_page

pytestmark = [needs_chromium, pytest.mark.timeout(400)]

PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="


def made_up_page(k: int) -> str:
    rows = [
        CohortRow(
            slide_id=f"TCGA-AA-{i:04}-01Z-00-DX1.f5c2d8a0", n_cells=123_456, tissue_mm2=212.25, p=[1 / k] * k,
            notes=("few cells",) * i, unusual=("c1 87.5 %, median 9.74 %",) * i, label="adenocarcinoma",
            patient=f"TCGA-AA-{i:04}", thumbnail=PIXEL,
        )
        for i in range(3)
    ]  # fmt: skip
    return cohort_page(CohortReport("cohort", rows, default_classes(k), (), [("Recipe", "default")]))


@pytest.mark.parametrize("width", [1440, 1200, 1030, 800, 400])
@pytest.mark.parametrize("k", [2, 20])
def test_nothing_is_wider_than_the_screen(k: int, width: int, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(made_up_page(k), "utf-8")
    with chromium_page(tmp_path / "profile", size=(width, 900)) as (page, said):
        page.goto((tmp_path / "page.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.query_selector_all(".parts span")[-1].is_visible()
        assert not said
