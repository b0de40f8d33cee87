"""The page of `classify cv` in a real browser: nothing of it is wider than a desk or a telephone."""

from pathlib import Path

import numpy as np
import pytest

from tests.browser.chromium import chromium_page, needs_chromium
from wsipipe.export.classes import CellClass
from wsipipe.export.verdicts.drivers import Driver
from wsipipe.export.verdicts.page import VerdictPage, verdict_page

pytestmark = [needs_chromium, pytest.mark.timeout(400)]

SCORES = {
    "precision": 0.854, "recall": 0.853, "f1": 0.853, "f1_95": (0.8, 0.907), "f1_repeats": (0.841, 0.866),
    "balanced_accuracy": 0.853, "auc": 0.92, "brier": 0.223,
    "vectors": {"hellinger": 45, "centred log-ratio": 35, "raw shares": 20},
}  # fmt: skip


def made_up_page() -> str:
    labels = ("colon_adenocarcinoma", "benign_colonic_tissue")
    patches = np.full((14, 32, 32, 3), 200, np.uint8)
    drivers = [
        Driver(i, CellClass(f"c{i}", (0, 90, 90 + i)), np.array([0.1, 0.2]), np.array([-0.5, 0.5]), 0.1 - 0.02 * i,
               (0.01 - 0.02 * i, 0.2), patches, drawn=False)
        for i in range(4)
    ]  # fmt: skip
    return verdict_page(
        VerdictPage(
            title="Can these slides be judged by their cells?",
            classifier="linear-svm",
            labels=labels,
            numbers=[("0.853", "weighted F1, linear-svm"), ("0.80 to 0.91", "95 % interval")],
            warnings=[],
            notes=[],
            drivers=drivers,
            effect_words="fall of the weighted F1",
            made=[("Judged by", "expected shares, the means of the cells' probabilities (expected.csv)")],
            scores=[{"classifier": name, **SCORES} for name in ("linear-svm", "logistic regression")],
            doubtful=[("TCGA-AA-0001-01Z-00-DX1.f5c2", *labels, 0.05)],
        )
    )


@pytest.mark.parametrize("width", [1200, 400])
def test_nothing_is_wider_than_the_screen(width: int, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(made_up_page(), "utf-8")
    with chromium_page(tmp_path / "profile", size=(width, 900)) as (page, said):
        page.goto((tmp_path / "page.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for table in page.query_selector_all("table.listed, table.facts"):
            box = table.bounding_box()
            assert box["x"] + box["width"] <= width
        assert (
            page.evaluate("getComputedStyle(document.querySelector('.scores td'), '::before').content") == "none"
        ) == (width == 1200)
        assert not said
