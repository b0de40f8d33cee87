"""Report and viewer in a real browser: nothing on the console, what is hidden is hidden, what is named stays named."""

import csv
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import chromium_page, needs_chromium
from tests.browser.outputs import made_up_output
from tests.calls import must_succeed
from tests.synth import write_tiny_slide
from wsipipe.progress import Quiet
from wsipipe.viewing import serve

pytestmark = [needs_chromium, pytest.mark.timeout(400)]

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled output of a slide with an evil name; the slide lies beside it."""
    folder = tmp_path_factory.mktemp("browser")
    slide = write_tiny_slide(folder, f"{EVIL}.svs")
    must_succeed("run", slide, "-o", folder / "out", "--recipe", "toy", "--workers", "1")
    return folder / "out"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, list[str]]]:
    """One browser for all tests of this file."""
    with chromium_page(tmp_path_factory.mktemp("profile")) as (page, said):
        page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
        yield page, said


@pytest.fixture
def page(browser: tuple[Any, list[str]]) -> Iterator[Any]:
    """The browser's page; the test fails when it said anything."""
    page, said = browser
    said.clear()
    yield page
    assert not said


@pytest.fixture
def url(finished: Path) -> Iterator[str]:
    """Address of the viewer of `finished`."""
    yield from served(finished)


def served(out: Path) -> Iterator[str]:
    with serve(out, [], 0, Quiet()) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()


def opened(page: Any, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("body[data-ready]")
    page.wait_for_selector("#cells[data-cells]")
    page.wait_for_selector("#gallery img")


def drawn(page: Any) -> int:
    return int(page.get_attribute("#cells", "data-cells"))


def colored_px(page: Any) -> int:
    """Pixels of the canvas that are not transparent."""
    script = """canvas => {
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      return copy.getImageData(0, 0, canvas.width, canvas.height).data
        .reduce((sum, value, i) => sum + (i % 4 === 3 && value > 0), 0);
    }"""
    return int(page.eval_on_selector("#cells", script))


def rows(out: Path) -> list[dict[str, str]]:
    with (out / EVIL / "cells.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_report_loads_and_its_layers_can_be_hidden(page: Any, finished: Path) -> None:
    page.goto((finished / EVIL / "report.html").as_uri())
    assert page.text_content("h1") == EVIL
    assert page.locator("img").evaluate_all("images => images.every(image => image.naturalWidth > 0)")
    assert page.locator(".layer.k1").is_visible()
    page.uncheck("#k1")
    assert not page.locator(".layer.k1").is_visible()
    assert page.locator(".layer.k0").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert (finished / EVIL / "report.html").stat().st_size < 5e6


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_of_the_report_contrasts_with_what_is_behind_it(page: Any, finished: Path, scheme: str) -> None:
    """4.5 to 1 (WCAG 2 AA), for every element that holds text on a plain ground; 3 to 1 would do for large text."""
    page.emulate_media(color_scheme=scheme)
    page.goto((finished / EVIL / "report.html").as_uri())
    faint = page.evaluate("""() => {
      const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
      const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
      const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
      const found = [];
      for (const one of document.querySelectorAll("body *:not(svg *):not(.scale):not(.layer)")) {
        if (![...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
        let ground = one, color;
        do { color = parse(getComputedStyle(ground).backgroundColor); ground = ground.parentElement; }
        while (ground && (color.length < 3 || color[3] === 0));
        const pair = [light(parse(getComputedStyle(one).color)), light(color)].sort((a, b) => b - a);
        if ((pair[0] + 0.05) / (pair[1] + 0.05) < 4.5) found.push(one.outerHTML.slice(0, 80));
      }
      return found;
    }""")
    assert faint == []
    page.emulate_media(color_scheme="light")


def test_the_viewer_shows_the_slide_and_every_cell(page: Any, finished: Path, url: str) -> None:
    opened(page, url)
    assert page.text_content("#name") == EVIL
    assert drawn(page) == len(rows(finished))
    assert colored_px(page) > len(rows(finished))
    assert page.is_hidden("#note"), "the slide file lies beside the output"


def test_hiding_a_class_hides_its_cells(page: Any, finished: Path, url: str) -> None:
    opened(page, url)
    whole, pixels = drawn(page), colored_px(page)
    page.uncheck(".class >> nth=0 >> input[type=checkbox]")
    assert 0 < drawn(page) == sum(row["class"] != "c0" for row in rows(finished)) < whole
    assert colored_px(page) < pixels
    page.click("#all")
    assert drawn(page) == whole


def test_a_cell_tells_its_facts(page: Any, finished: Path, url: str) -> None:
    opened(page, url)
    page.click("#gallery button >> nth=2")
    page.wait_for_selector("#cells[data-mode=outlines]")
    page.wait_for_selector("#cell dl")
    told = page.text_content("#cell")
    cell_id = int(page.get_attribute("#gallery img >> nth=2", "alt").split()[1].strip(","))
    row = rows(finished)[cell_id]
    assert f"Cell{cell_id}" in told
    assert row["class"] in told
    assert f"{float(row['x_px']):.0f}, {float(row['y_px']):.0f} px" in told
    page.wait_for_timeout(800)  # the flight to the cell, which then lies in the middle
    page.evaluate("document.getElementById('cell').replaceChildren()")
    box = page.locator("#stage").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2)
    page.wait_for_selector("#cell dl")
    assert f"Cell{cell_id}" in page.text_content("#cell")


def test_names_and_colours_persist_and_flow_into_every_output(page: Any, finished: Path, url: str) -> None:
    opened(page, url)
    page.fill(".class >> nth=1 >> input[type=text]", "T cells")
    page.eval_on_selector(
        ".class:nth-child(2) input[type=color]",
        "input => { input.value = '#ff0088'; input.dispatchEvent(new Event('input')); }",
    )
    page.click("#save")
    page.get_by_text("Saved, in every table").wait_for()
    opened(page, url)
    assert page.input_value(".class >> nth=1 >> input[type=text]") == "T_cells"
    assert page.input_value(".class >> nth=1 >> input[type=color]") == "#ff0088"
    assert "T_cells" in (finished / "classes.toml").read_text()
    assert any(row["class"] == "T_cells" for row in rows(finished))
    assert "T_cells" in (finished / EVIL / "cells.geojson").read_text()
    assert "T_cells" in (finished / EVIL / "report.html").read_text()
    assert "n_T_cells" in (finished / "proportions.csv").read_text()


def test_colours_that_look_alike_are_said(page: Any, url: str) -> None:
    opened(page, url)
    set_color = "(input, color) => { input.value = color; input.dispatchEvent(new Event('input')); }"
    was, first = (page.input_value(f".class >> nth={i} >> input[type=color]") for i in (2, 0))
    page.eval_on_selector(".class:nth-child(3) input[type=color]", set_color, first)
    page.click("#save")
    page.get_by_text("Their colours look alike: c2 like c0.").wait_for()
    page.eval_on_selector(".class:nth-child(3) input[type=color]", set_color, was)
    page.click("#save")
    page.get_by_text("Saved, in every table and report too.", exact=True).wait_for()


def test_a_name_that_is_not_allowed_is_refused_with_the_reason(browser: Any, finished: Path, url: str) -> None:
    page, said = browser
    before = (finished / "classes.toml").read_text()
    opened(page, url)
    page.fill(".class >> nth=0 >> input[type=text]", EVIL)
    page.click("#save")
    page.get_by_text("may hold only letters").wait_for()
    assert (finished / "classes.toml").read_text() == before
    assert all("400 (Bad Request)" in line for line in said), "the refused request, and nothing else"
    page.evaluate("document.getElementById('save').disabled = true")  # no question on leaving


def test_without_file_and_labels_the_stored_overview_is_shown(page: Any, tmp_path: Path) -> None:
    out = made_up_output(tmp_path, 3000, side_px=6000)
    for url in served(out):
        opened(page, url)
        assert drawn(page) == 3000
        assert "was not found" in page.text_content("#note")
        assert page.locator(".class").count() == 1
        assert "made up" in page.text_content("#warnings")
