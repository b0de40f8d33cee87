"""`wsipipe view`: the slides of an output in the browser, with their cells."""

import os
import sys
import webbrowser
from pathlib import Path

import click

from wsipipe.cli.console import Console
from wsipipe.cli.options import OUT_ARGUMENT


@click.command("view", short_help="Look at the slides and cells of OUT in the browser.")
@OUT_ARGUMENT
@click.option("--slides", multiple=True, type=click.Path(path_type=Path, exists=True), metavar="FILE|DIR",
              help="Where the slide files are; repeatable. OUT and the folder around it are searched too.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Port on this machine [default: any free one].")
@click.option("--no-browser", is_flag=True, help="Print the address and open nothing.")
@click.option("--debug", is_flag=True, help="Print tracebacks.")
def command(out: Path, slides: tuple[Path, ...], port: int, no_browser: bool, debug: bool) -> int:  # noqa: ARG001
    """Look at the slides of OUT and their cells in the browser, and name the classes there; Ctrl-C ends it.

    The page is served on this machine only, at an address that holds a secret: who has it sees the slides. Slides are
    only read. A slide whose file is not found is shown by the small overview that its store keeps.
    """
    from wsipipe.viewing import serve  # noqa: PLC0415 - heavy

    with serve(out, slides, port, Console()) as server:
        click.echo(server.url)
        if not no_browser and _has_screen():
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
    return 0


def _has_screen() -> bool:
    """Whether a browser can open a window; without one, Python would start a browser in this very terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
