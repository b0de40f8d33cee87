"""Calls of the command line in the tests' own process."""

import pytest

from wsipipe.cli.main import main


def wsipipe(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a call that does not end in a traceback."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return int(stopped.value.code or 0), out, err


def code_and_stderr(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and stderr of such a call."""
    code, _, err = wsipipe(capsys, *arguments)
    return code, err
