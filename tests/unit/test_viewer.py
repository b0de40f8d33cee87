"""The viewer's server refuses what is not its page's; its tiles and cells are those of the slide."""

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.browser.outputs import made_up_output
from tests.slides import smooth, write_tiff
from wsipipe.errors import UsageError
from wsipipe.export.viewer.deepzoom import TILE_PX, DeepZoom, tile_grid
from wsipipe.export.viewer.packing import OUTLINE_TILE_PX, pack_cells
from wsipipe.export.viewer.server import ViewerServer
from wsipipe.io.slide import open_slide
from wsipipe.io.store import CellStore
from wsipipe.progress import Quiet
from wsipipe.records import Box, Level
from wsipipe.tilesource import StoredPicture, TileSource
from wsipipe.viewing import OutputView, serve


class Recorder:
    """A backend that notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def overview(self) -> dict[str, Any]:
        return {"slides": ["a"]}

    def slide(self, slide: int) -> dict[str, Any]:
        raise LookupError(slide)

    def tile(self, *numbers: int) -> bytes:
        self.asked.append(numbers)
        return b"jpeg"

    def cells(self, slide: int) -> bytes:
        return b"cells"

    outlines = cell = gallery = tile

    def close(self) -> None:
        self.closed = True

    def rename(self, names: Mapping[int, str], colors: Mapping[int, str]) -> dict[str, Any]:
        if "bad" in names.values():
            raise UsageError("'bad' is not allowed", "choose another")
        self.asked.append((names, colors))
        return {"classes": []}


@pytest.fixture
def server() -> Iterator[ViewerServer]:
    with ViewerServer(Recorder()) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def ask(server: ViewerServer, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Any:
    """Status, headers and body of one request; underscores in header names are hyphens."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    connection.putrequest(method, path, skip_host=True)
    sent = {"Host": f"127.0.0.1:{server.server_port}", **{k.replace("_", "-"): v for k, v in headers.items()}}
    if body is not None:
        sent.setdefault("Content-Length", str(len(body)))
    for name, value in sent.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def test_it_listens_on_this_machine_only_and_its_address_holds_a_secret(server: ViewerServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert len(server.token) >= 43
    assert server.url == f"http://127.0.0.1:{server.server_port}/{server.token}/"
    with ViewerServer(Recorder()) as other:
        assert other.token != server.token


def test_the_page_comes_whole_with_headers_that_keep_others_out(server: ViewerServer) -> None:
    status, headers, body = ask(server, f"/{server.token}/")
    assert status == 200
    assert b"For research use only" in body
    assert "script-src 'self';" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    for name in ("viewer.js", "cells.js", "panel.js", "viewer.css", "openseadragon.min.js"):
        assert ask(server, f"/{server.token}/{name}")[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example", ""])
def test_another_host_is_refused(server: ViewerServer, host: str) -> None:
    assert ask(server, f"/{server.token}/", Host=host)[0] == 421


def test_localhost_is_this_machine_too(server: ViewerServer) -> None:
    assert ask(server, f"/{server.token}/", Host=f"localhost:{server.server_port}")[0] == 200


@pytest.mark.parametrize("path", ["/", "//", "/x/", "/{token}x/", "/{short}/overview.json", "/overview.json", "*"])
def test_without_the_token_nothing_is_told(server: ViewerServer, path: str) -> None:
    status, _, body = ask(server, path.format(token=server.token, short=server.token[:-1]))
    assert status == 403
    assert server.token.encode() not in body


@pytest.mark.parametrize(
    "rest",
    ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "viewer.html/..", "0/tile/1/2/3.png", "0/tile/-1/0/0.jpg",
     "a/cells.bin", "0/tile/1/2/3.jpg/", "0/cells.bin?x=/etc/passwd", "/etc/passwd", "0/tile/9999999999/0/0.jpg",
     "0/cell/1.json%00",
     "0/slide.json", "classes", "openseadragon.LICENSE.txt", "viewer.html"],
)  # fmt: skip
def test_only_known_addresses_are_answered(server: ViewerServer, rest: str) -> None:
    assert ask(server, f"/{server.token}/{rest}")[0] == 404
    assert server.backend.asked == []  # type: ignore[attr-defined]


def test_numbers_are_all_that_a_request_passes_on(server: ViewerServer) -> None:
    status, headers, body = ask(server, f"/{server.token}/0/tile/12/3/4.jpg")
    assert (status, headers["Content-Type"], body) == (200, "image/jpeg", b"jpeg")
    assert server.backend.asked == [(0, 12, 3, 4)]  # type: ignore[attr-defined]


def test_names_are_taken_from_the_page_alone(server: ViewerServer) -> None:
    body = json.dumps({"names": {"1": "tumour"}, "colors": {}}).encode()
    address, kind = f"/{server.token}/classes", {"Content_Type": "application/json"}
    own = f"http://127.0.0.1:{server.server_port}"
    assert ask(server, address, "POST", body, **kind, Origin="https://evil.example")[0] == 400
    assert ask(server, address, "POST", body, Content_Type="text/plain")[0] == 400
    assert ask(server, address, "POST", body, **kind, Host="evil.example")[0] == 421
    assert ask(server, "/x/classes", "POST", body, **kind)[0] == 403
    assert ask(server, f"/{server.token}/0/cells.bin", "POST", body, **kind)[0] == 400
    assert ask(server, address, "POST", b"", **kind, Content_Length=str(1 << 20))[0] == 400
    assert ask(server, address, "POST", b"", **kind, Content_Length="-1")[0] == 400
    assert server.backend.asked == []  # type: ignore[attr-defined]
    assert ask(server, address, "POST", body, **kind, Origin=own)[0] == 200
    assert server.backend.asked == [({1: "tumour"}, {})]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"null", b'{"names": {}}', b'{"names": {"a": "b"}, "colors": {}}',
             b'{"names": {"0": 1}, "colors": {}}', b'{"names": [], "colors": {}}', b"\xff"],
)  # fmt: skip
def test_what_is_not_a_wish_is_refused(server: ViewerServer, body: bytes) -> None:
    status, _, answer = ask(server, f"/{server.token}/classes", "POST", body, Content_Type="application/json")
    assert status == 400
    assert json.loads(answer) == {"error": "not what this page sends"}


def test_a_name_that_is_refused_says_why(server: ViewerServer) -> None:
    body = json.dumps({"names": {"0": "bad"}, "colors": {}}).encode()
    status, _, answer = ask(server, f"/{server.token}/classes", "POST", body, Content_Type="application/json")
    assert (status, json.loads(answer)) == (400, {"error": "'bad' is not allowed"})


def test_other_methods_are_refused(server: ViewerServer) -> None:
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
        assert ask(server, f"/{server.token}/overview.json", method)[0] == 501


@given(width=st.integers(1, 200_000), height=st.integers(1, 200_000))
def test_levels_double_from_one_pixel_to_the_slide(width: int, height: int) -> None:
    pyramid = DeepZoom(width, height)
    assert pyramid.tile(0, 0, 0) == Box(0, 0, 1, 1)
    assert pyramid.downsample(pyramid.levels - 1) == 1
    right, bottom = (width - 1) // TILE_PX, (height - 1) // TILE_PX
    last = pyramid.tile(pyramid.levels - 1, right, bottom)
    assert (last.right, last.bottom) == (width, height)
    for absent in ((pyramid.levels, 0, 0), (pyramid.levels - 1, right + 1, 0), (pyramid.levels - 1, 0, bottom + 1)):
        with pytest.raises(LookupError):
            pyramid.tile(*absent)


def test_tiles_of_a_level_that_is_a_little_off_do_not_drift() -> None:
    levels = dict(enumerate((Level(100_001, 80_001, 1.0), Level(25_000, 20_000, 4.0004), Level(6249, 4999, 16.003))))
    assert tile_grid(levels, 0.25, 1).scale == 1
    assert tile_grid(levels, 0.25, 4).scale == pytest.approx(4 / 4.0004, abs=1e-9)
    assert tile_grid(levels, 0.25, 4).downsample == pytest.approx(4, abs=1e-9)
    assert tile_grid(levels, 0.25, 8).level == 1
    assert tile_grid({0: Level(4096, 4096, 1.0), 2: Level(1024, 1024, 4.00001)}, 0.25, 4).scale == 1


@pytest.mark.parametrize("kind", ["pyramid", "padded", "png"])
def test_tiles_are_the_slide(tmp_path: Path, kind: str) -> None:
    picture = smooth(1300, 900)
    if kind != "png":
        padding = ((0, 0), (0, 374 if kind == "padded" else 0), (0, 0))  # as Philips' DICOM fills whole tiles
        path = write_tiff(tmp_path / "a.tiff", [picture, np.pad(picture[::2, ::2], padding)], 0.5)
    else:
        path = tmp_path / "a.png"
        cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    with open_slide(path, mpp=0.5) as slide:
        info = slide.info
    stored = StoredPicture(cv2.resize(picture, None, fx=1 / 16, fy=1 / 16, interpolation=cv2.INTER_AREA), 16.0)
    for source in (TileSource(path, info, stored), TileSource(None, info, stored)):
        top = source.pyramid.levels - 1
        for level, column, row in ((top, 0, 0), (top, 2, 1), (top - 1, 1, 0), (top - 4, 0, 0), (0, 0, 0)):
            box = source.pyramid.tile(level, column, row)
            down = source.pyramid.downsample(level)
            tile = cv2.cvtColor(
                cv2.imdecode(np.frombuffer(source.tile(level, column, row), np.uint8), cv2.IMREAD_COLOR),
                cv2.COLOR_BGR2RGB,
            )
            assert tile.shape[:2] == (box.height, box.width)
            rows, columns = (np.arange(start, start + n) * down for start, n in
                             ((box.y, box.height), (box.x, box.width)))  # fmt: skip
            middle = (down - 1) / 2
            expected = [cv2.remap(picture, *(np.float32(a) + middle for a in np.meshgrid(columns, rows)), 1)]
            # the stored picture is sixteen times coarser and cannot have the slide's rim
            inside = (slice(20, -20), slice(20, -20)) if level == top else (slice(2, -2), slice(2, -2))
            if min(tile.shape[:2]) > 50:
                assert np.abs(tile[inside].astype(int) - expected[0][inside]).max() <= 6, (level, column, row)
        with pytest.raises(LookupError):
            source.tile(top, 3, 0)
        source.close()


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> OutputView:
    return OutputView(made_up_output(tmp_path_factory.mktemp("view"), 2000, side_px=5000), [], Quiet())


def test_cells_are_packed_as_the_page_reads_them(view: OutputView) -> None:
    data = view.cells(0)
    (n,) = np.frombuffer(data, "<u4", 1)
    assert n == 2000
    assert len(data) == 4 + 10 * n
    y = np.frombuffer(data, "<f4", n, 4 + 4 * n)
    assert (np.diff(y) >= 0).all()
    packed = pack_cells(np.float32([1]), np.float32([2]), np.uint8([3]), np.float32([0.5]))
    assert packed == b"\x01\0\0\0\0\0\x80?\0\0\0@\x03\x80"


def test_every_outline_is_in_one_square(view: OutputView) -> None:
    store = CellStore(view._out.slide("made-up").store)
    cells = store.rows(0, len(store), patches=False)
    seen = []
    for row in range(5):
        for column in range(5):
            data = view.outlines(0, column, row)
            (n,) = np.frombuffer(data, "<u4", 1)
            ids, ends = np.frombuffer(data, "<u4", 2 * n, 4).reshape(2, n)
            xy = np.frombuffer(data, "<f4", -1, 4 + 8 * n).reshape(-1, 2)
            seen += ids.tolist()
            if n:
                assert ends[-1] == len(xy)
                expected = cells.take(ids.astype(np.intp)).contour_xy - OUTLINE_TILE_PX * np.float32([column, row])
                np.testing.assert_allclose(xy, expected, atol=1e-3)
    assert sorted(seen) == list(range(2000))
    with pytest.raises(LookupError):
        view.outlines(0, 5, 0)


def test_the_gallery_turns_pages(view: OutputView) -> None:
    pages = [view.gallery(0, 0, order, 0) for order in range(3)]
    assert pages[0]["total"] == 2000
    assert len({tuple(cell["id"] for cell in page["cells"]) for page in pages}) == 3
    assert view.gallery(0, 0, 0, 1)["cells"][0]["id"] == 48
    assert view.gallery(0, 0, 0, 999)["cells"] == []
    assert pages[0]["cells"][0]["patch"].startswith("data:image/png;base64,")
    for wrong in ((0, 1, 0, 0), (0, 0, 3, 0), (1, 0, 0, 0)):
        with pytest.raises(LookupError):
            view.gallery(*wrong)


def test_a_cell_has_facts(view: OutputView) -> None:
    cell = view.cell(0, 7)
    assert cell["id"] == 7
    assert {"area_um2", "x_px", "patch", "confidence"} <= cell.keys()
    with pytest.raises(LookupError):
        view.cell(0, 2000)


def test_a_port_in_use_is_named(view: OutputView, server: ViewerServer) -> None:
    with pytest.raises(UsageError, match=f"--port {server.server_port}"):
        serve(view._out.path, [], server.server_port, Quiet())
