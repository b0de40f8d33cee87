"""Answers the page over HTTP: on this machine only, to whoever knows the token, and never from a path in a request.

Every address is matched whole against a fixed list of patterns whose only variable parts are numbers; assets are
read once at the start. What is asked for is looked up by number, so no text of a request reaches the file system.
"""

import hmac
import json
import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, Protocol

from wsipipe.errors import WsipipeError

LOOPBACK = "127.0.0.1"

_ASSETS = {
    "": ("viewer.html", "text/html; charset=utf-8"),
    "viewer.css": ("viewer.css", "text/css; charset=utf-8"),
    "viewer.js": ("viewer.js", "text/javascript; charset=utf-8"),
    "cells.js": ("cells.js", "text/javascript; charset=utf-8"),
    "panel.js": ("panel.js", "text/javascript; charset=utf-8"),
    "openseadragon.min.js": ("openseadragon.min.js", "text/javascript; charset=utf-8"),
}
_JSON, _BINARY, _JPEG = "application/json", "application/octet-stream", "image/jpeg"
# OpenSeadragon writes style attributes, so styles may be inline; scripts may not.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_BODY_LIMIT = 1 << 16
_TIMEOUT_S = 60


class Backend(Protocol):
    """What the server asks for. Each method raises LookupError for what is not there; slides are counted from 0."""

    def overview(self) -> dict[str, Any]:
        """The slides by name, and the classes."""

    def slide(self, slide: int) -> dict[str, Any]:
        """The facts of a slide."""

    def tile(self, slide: int, level: int, column: int, row: int) -> bytes:
        """A Deep Zoom tile as JPEG."""

    def cells(self, slide: int) -> bytes:
        """All cells, as `pack_cells` has them."""

    def outlines(self, slide: int, column: int, row: int) -> bytes:
        """Outlines of the cells whose centre lies in a square, as `pack_outlines` has them."""

    def cell(self, slide: int, cell_id: int) -> dict[str, Any]:
        """The facts of a cell."""

    def gallery(self, slide: int, index: int, order: int, page: int) -> dict[str, Any]:
        """Some cells of a class with their patches."""

    def rename(self, names: Mapping[int, str], colors: Mapping[int, str]) -> dict[str, Any]:
        """Name and colour classes; returns what `overview` does."""

    def close(self) -> None:
        """Release what is open."""


class ViewerServer(ThreadingHTTPServer):
    """Serves one output folder until it is shut down.

    Parameters
    ----------
    backend : Backend
        Knows slides and cells.
    port : int
        0 takes any free one.
    """

    daemon_threads = True

    def __init__(self, backend: Backend, port: int = 0) -> None:
        self.backend = backend  # closed with the server, also when the port is taken
        super().__init__((LOOPBACK, port), _Handler)
        self.token = secrets.token_urlsafe(32)
        folder = files("wsipipe.export.viewer") / "assets"
        self.assets = {name: ((folder / file).read_bytes(), kind) for name, (file, kind) in _ASSETS.items()}

    @property
    def url(self) -> str:
        """The address of the page; whoever has it sees the slides."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    def server_close(self) -> None:
        """Stop listening and release the slides."""
        super().server_close()
        self.backend.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser that leaves in the middle of an answer is no fault."""


class _Handler(BaseHTTPRequestHandler):
    server: ViewerServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "wsipipe", ""
    timeout = _TIMEOUT_S

    def do_GET(self) -> None:
        """Answer a question; nothing changes."""
        rest = self._checked()
        if rest is None:
            return
        if rest in self.server.assets:
            self._send(*self.server.assets[rest])
            return
        for pattern, method, kind in _ROUTES:
            match = pattern.fullmatch(rest)
            if match:
                self._answer(method, kind, tuple(int(number) for number in match.groups()))
                return
        self._refuse(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Take names and colours of classes: the one thing that the page can change."""
        rest = self._checked()
        if rest is None:
            return
        length = int(self.headers.get("Content-Length") or -1) if self._is_own_json() else -1
        if rest != "classes" or not 0 <= length <= _BODY_LIMIT:
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        try:
            names, colors = _wishes(json.loads(self.rfile.read(length)))
            self._send(json.dumps(self.server.backend.rename(names, colors)).encode(), _JSON)
        except ValueError as error:  # a UsageError too: it says what is wrong with a name
            what = error.what if isinstance(error, WsipipeError) else "not what this page sends"
            self._send(json.dumps({"error": what}).encode(), _JSON, HTTPStatus.BAD_REQUEST)
        except WsipipeError as error:
            self._send(json.dumps({"error": str(error)}).encode(), _JSON, HTTPStatus.CONFLICT)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Keep quiet: addresses hold the token."""

    def _checked(self) -> str | None:
        """What follows the token in the address; None when the request was refused.

        The Host header is compared so that no web page can reach the server under a name of its own (DNS rebinding).
        """
        port = self.server.server_port
        if self.headers.get("Host") not in {f"{LOOPBACK}:{port}", f"localhost:{port}"}:
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
            return None
        _, token, rest = (*self.path.split("/", 2), "", "")[:3]
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN)
            return None
        return rest

    def _is_own_json(self) -> bool:
        """Whether a body was sent by the page itself: another site's form can neither be JSON nor have its origin."""
        origin = self.headers.get("Origin")
        own = {f"http://{name}:{self.server.server_port}" for name in (LOOPBACK, "localhost")}
        length = self.headers.get("Content-Length", "")
        return (
            self.headers.get("Content-Type", "") == _JSON
            and (origin is None or origin in own)
            and length.isascii()
            and length.isdigit()
        )

    def _answer(self, method: str, kind: str, numbers: tuple[int, ...]) -> None:
        try:
            found = getattr(self.server.backend, method)(*numbers)
        except LookupError:
            self._refuse(HTTPStatus.NOT_FOUND)
        except WsipipeError as error:
            self._send(json.dumps({"error": str(error)}).encode(), _JSON, HTTPStatus.INTERNAL_SERVER_ERROR)
        else:
            self._send(found if isinstance(found, bytes) else json.dumps(found).encode(), kind)

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True  # a body that was not read must not be taken for the next request
        self._send(f"{status.value} {status.phrase}\n".encode(), "text/plain; charset=utf-8", status)

    def _send(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "private, max-age=3600" if kind == _JPEG else "no-store")
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        self.wfile.write(body)


_N = "([0-9]{1,9})"
_ROUTES = tuple(
    (re.compile(pattern), method, kind)
    for pattern, method, kind in (
        (r"overview\.json", "overview", _JSON),
        (rf"{_N}/slide\.json", "slide", _JSON),
        (rf"{_N}/tile/{_N}/{_N}/{_N}\.jpg", "tile", _JPEG),
        (rf"{_N}/cells\.bin", "cells", _BINARY),
        (rf"{_N}/outlines/{_N}/{_N}\.bin", "outlines", _BINARY),
        (rf"{_N}/cell/{_N}\.json", "cell", _JSON),
        (rf"{_N}/gallery/{_N}/{_N}/{_N}\.json", "gallery", _JSON),
    )
)


def _wishes(data: Any) -> tuple[dict[int, str], dict[int, str]]:
    """Names and colours of class indices, as the page sends them.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    parts = (data.get("names"), data.get("colors")) if isinstance(data, dict) else (None, None)
    if not all(isinstance(part, dict) and all(isinstance(v, str) for v in part.values()) for part in parts):
        msg = "names and colors must map class numbers to text"
        raise ValueError(msg)
    names, colors = ({int(key): value for key, value in (part or {}).items()} for part in parts)
    return names, colors
