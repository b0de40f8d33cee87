"""`wsipipe info`: what is known of a slide, and what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import click

from wsipipe.cli.options import Place, options
from wsipipe.errors import WsipipeError


@click.command("info", short_help="Print metadata of SLIDE, and problems if there are any.")
@click.argument("slide", type=Place(path_type=Path), metavar="SLIDE")
@options("mpp", "debug")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def command(slide: Path, mpp: float | None, debug: bool, as_json: bool) -> int:  # noqa: ARG001
    """Print metadata of SLIDE, warnings, and problems at which a run would stop (exit code 1 then)."""
    from wsipipe.io.slide import probe  # noqa: PLC0415 - heavy

    try:
        facts = probe(slide, mpp)
    except WsipipeError as error:
        raise error.of(slide.stem) from error
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo("\n".join(_lines(facts)))
    return 1 if facts["problems"] else 0


def _lines(facts: dict[str, Any]) -> list[str]:
    """One fact a line; levels, warnings and problems a line each."""
    lines = []
    for key, value in facts.items():
        name = "fitting recipe" if key == "recipe" else key
        if isinstance(value, list):
            lines += [f"{name[:-1]}: {_text(item)}" for item in value]
        else:
            lines.append(f"{name}: {_text(value)}")
    return lines


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, float):
        return f"{value:.5g}"
    return "none stated" if value is None else str(value)
