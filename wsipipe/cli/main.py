"""The `wsipipe` program: a group of commands, and the one place where errors become exit codes."""

import atexit
import gc
import io
import sys
import traceback
from importlib import import_module
from pathlib import Path

import click

from wsipipe import __version__
from wsipipe.cli.interrupt import Interrupt, flush, leave
from wsipipe.cli.watch import check_address_space, watch
from wsipipe.errors import WsipipeError, lacks_memory, memory_that_lacks, told
from wsipipe.turns import Turns

COMMANDS = (
    "run",
    "batch",
    "segment",
    "train",
    "label",
    "proportions",
    "classify",
    "classes",
    "evaluate",
    "export",
    "report",
    "view",
    "info",
    "doctor",
    "demo",
)


class LazyGroup(click.Group):
    """Loads a command's file when it is asked for, so that `--help` is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names in the order of the work, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"wsipipe.cli.{cmd_name}").command
        return command if isinstance(command, click.Command) else None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="wsipipe")
def cli() -> None:
    """Cell classes and proportions from stained whole-slide images, without labels.

    For research use only.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the program and exit: 0 all done, 1 some slides failed, 2 wrong usage, 130 on Ctrl-C.

    Without `arguments` this is the program that a user started: those are its own, and it is watched.
    """
    turns = Turns()
    started = arguments is None
    if started:
        watch(turns)
        Interrupt().listen()
        _collect_less()
        _print_anything()
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if started:
            check_address_space()
        code = cli.main(arguments, prog_name="wsipipe", standalone_mode=False, obj=turns)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = 2
    except click.ClickException as error:
        _say_usage(error)
        code = 2
    except WsipipeError as error:
        _say(str(error), "--debug" in arguments)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        leave()
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line, a traceback with --debug
        _say(_unexpected(error), "--debug" in arguments)
        code = 1
    code = code if isinstance(code, int) else 0
    flush()
    turns.end(code)
    sys.exit(code)


def _unexpected(error: Exception) -> str:
    """What happened, and what to do about it."""
    if lacks_memory(error):
        return ": ".join(memory_that_lacks(error))
    if isinstance(error, OSError):
        where = f"{Path(str(error.filename)).name}: " if error.filename else ""
        return f"{where}{error.strerror or told(error)}: check the disk and its permissions"
    return f"unexpected {told(error)}: run it with --debug and report what it prints"


def _collect_less() -> None:
    """Libraries are a million objects that stay: looking through them again and again, and once more, takes 0.3 s."""
    gc.set_threshold(50_000, 10, 10)
    atexit.register(gc.freeze)


def _print_anything() -> None:
    """A terminal of another encoding gets the numbers of letters that it lacks, instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _say(text: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    click.echo(f"error: {' '.join(text.split())}", err=True)


def _say_usage(error: click.ClickException) -> None:
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "wsipipe"
    _say(f"{where}: {error.format_message().rstrip('.')}: see `{where} --help`", debug=False)


if __name__ == "__main__":
    main()
