"""Calls of the command line in the tests' own process."""

import pytest

from wsipipe.cli.main import main


def exit_code(*arguments: object) -> int:
    """What a call ends with."""
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
    return int(stopped.value.code or 0)


def must_succeed(*arguments: object) -> None:
    """Make a call that has to do all its work: for fixtures, which look at its files only."""
    assert exit_code(*arguments) == 0


def wsipipe(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a call that does not end in a traceback."""
    capsys.readouterr()
    code = exit_code(*arguments)
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def code_and_stderr(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and stderr of such a call."""
    code, _, err = wsipipe(capsys, *arguments)
    return code, err


def code_and_lines(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[str]]:
    """Exit code of such a call, and its lines on stderr."""
    code, err = code_and_stderr(capsys, *arguments)
    return code, err.splitlines()


def all_said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Everything that such a call prints."""
    _, out, err = wsipipe(capsys, *arguments)
    return out + err
