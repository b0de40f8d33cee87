"""`wsipipe doctor`: checks of the installation, or of a finished output."""

from pathlib import Path

import click

from wsipipe.cli.options import FOLDER, options


@click.command("doctor", short_help="Check the installation, or a finished OUT.")
@click.argument("out", required=False, type=FOLDER, metavar="[OUT]")
@options("debug")
def command(out: Path | None, debug: bool) -> int:  # noqa: ARG001
    """Check that everything works here, or that a finished OUT is whole (exit code 1 if not)."""
    from wsipipe.doctor import check_installation, check_output  # noqa: PLC0415 - heavy

    failed = False
    for check in check_output(out) if out else check_installation():
        click.echo(f"{check.verdict:4} {check.name}: {check.text}")
        failed |= check.verdict == "FAIL"
    return 1 if failed else 0
