"""Charts of a classifier: names of labels do not run into one another."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from wsipipe.export.verdicts.charts import confusion_chart

LETTER = 6.5
"""Width of a letter of the charts, in px."""


@pytest.mark.parametrize("labels", [("n", "aca"), ("adenocarcinoma", "n", "squamous_cell_carcinoma"), ("x" * 40,) * 7])
def test_names_over_the_columns_of_the_confusion_matrix_keep_apart(labels: tuple[str, ...]) -> None:
    svg = ET.fromstring(confusion_chart(np.eye(len(labels)) + 1.0, labels))  # noqa: S314 - our own
    width = float(svg.attrib["viewBox"].split()[2])
    texts = [t for t in svg.iter("text") if t.attrib.get("class") is None]
    heads, sides = texts[::2], texts[1::2]
    assert len(heads) == len(sides) == len(labels)
    for head in heads:
        long = LETTER * len(head.text or "")
        turned = re.match(r"translate\((\d+) \d+\) rotate\(-40\)", head.attrib.get("transform", ""))
        assert turned or long <= 64, "wider than its column"
        if turned:
            assert float(turned[1]) + long * np.cos(np.radians(40)) <= width + LETTER
    assert all(float(side.attrib["x"]) - LETTER * len(side.text or "") >= 0 for side in sides)


def test_every_number_is_there() -> None:
    svg = confusion_chart(np.array([[3.0, 1.0], [0.0, 4.0]]), ("a", "b"))
    assert re.findall(r">(\d+(?:\.\d)?)(?: %)?</text>", svg) == ["3.0", "75", "1.0", "25", "0.0", "0", "4.0", "100"]
