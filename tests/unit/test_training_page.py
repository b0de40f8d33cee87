"""The page of a training shows every loss that was used and every class, and needs nothing else."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from wsipipe.config import GanConfig
from wsipipe.export.classes import CellClass
from wsipipe.export.report.training import Curve, DrawnClass, TrainingReport, curve_chart, training_page
from wsipipe.gan.checkpoint import Model, merge_states
from wsipipe.gan.nets import Critic, Generator
from wsipipe.gan.trainer import METRICS
from wsipipe.training_report import LOSSES, training_report, write_training_page

CLASSES = (CellClass("lymphocyte", (230, 159, 0)), CellClass("<tumour>", (0, 0, 0)))


@pytest.fixture(scope="module")
def model() -> Model:
    config = GanConfig(channels=4, noise_dim=3, classes=2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tensors = merge_states(Generator(config, 16), Critic(config))
    curve = [{"step": s, **{name: (0.0 if name == "taught" else -s / 7) for name in METRICS}} for s in (1, 5, 10)]
    facts = {"curve": curve, "shares": [0.75, 0.25], "warnings": ["1 of 2 classes <holds> few"], "cells": 12, "seed": 3}
    return Model(config, 16, 0.5, tensors, facts)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "img", "path", "polyline"}:
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "srcset"}]

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"path", "polyline"}:
            assert self.open.pop() == tag


def test_every_loss_that_a_training_records_is_explained() -> None:
    assert set(METRICS) == set(LOSSES)


def test_the_page_has_the_curves_and_classes_of_the_model(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "training.html"
    write_training_page(path, model, "a & b", CLASSES)
    page = path.read_text("utf-8")
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    assert len(tags.addresses) == 2
    assert all(address.startswith("data:image/png;base64,") for address in tags.addresses), "no network"
    assert "<script" not in page
    assert page.count("<polyline") == len(METRICS) - 1, "a term that was not used has no curve"
    assert LOSSES["taught"][0] not in page
    for words in ("a &amp; b", "lymphocyte, 75.0%", "&lt;tumour&gt;, 25.0%", "&lt;holds&gt;", model.hash, "16 px"):
        assert words in page, words
    assert "prefers-color-scheme: dark" in page
    write_training_page(tmp_path / "again.html", model, "a & b", CLASSES)
    assert (tmp_path / "again.html").read_text("utf-8") == page


def test_a_model_without_a_curve_and_names(model: Model) -> None:
    bare = Model(model.config, 16, 0.5, model.tensors, {})
    report = training_report(bare, "bare", CLASSES)
    assert (report.curves, report.warnings) == ([], [])
    page = training_page(report)
    assert "Curves" not in page
    assert "What the generator draws" in page


def test_a_chart_spans_its_values() -> None:
    chart = curve_chart(Curve("Critic", "", np.array([1.0, 50, 100]), np.array([4.0, -2.0, 1.0])))
    points = re.search(r'points="([^"]*)"', chart)
    assert points is not None
    x, y = np.array([[float(v) for v in pair.split(",")] for pair in points[1].split()]).T
    assert (np.diff(x) > 0).all()
    assert y[0] < y[2] < y[1], "larger values are higher up"
    assert "Critic: from 4 at step 1 to 1 at step 100" in chart
    assert 'class="zero"' in chart


@pytest.mark.parametrize("values", [[0.5], [2.0, 2.0]])
def test_flat_and_single_curves(values: list[float]) -> None:
    curve = Curve("x", "", np.arange(1.0, len(values) + 1), np.array(values))
    assert "nan" not in curve_chart(curve)
    report = TrainingReport("t", [curve], [DrawnClass(CLASSES[0], 1.0, np.zeros((0, 8, 8, 3), np.uint8))], [], [], [])
    assert "lymphocyte" in training_page(report)
