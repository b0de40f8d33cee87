"""`wsipipe report` and `wsipipe view` as a user types them."""

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.browser.outputs import made_up_output
from tests.calls import code_and_stderr as wsipipe


def test_report_rebuilds_the_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = made_up_output(tmp_path, 200, side_px=2000)
    assert wsipipe(capsys, "report", out)[0] == 0
    first = (out / "made-up" / "report.html").read_bytes()
    assert b"For research use only." in first
    assert not (out / "report.html").exists(), "no batch made this output"
    (out / "report.html").write_text("old")
    (out / "cohort.csv").write_text("slide_id,label\nmade-up,benign\n")
    (out / "failures.csv").write_text("slide_id,path,reason,remedy\nbad,/x/bad.svs,it is empty,copy it again\n")
    assert wsipipe(capsys, "report", out)[0] == 0
    assert (out / "made-up" / "report.html").read_bytes() == first
    page = (out / "report.html").read_text()
    for part in ("made-up", "benign", "bad", "it is empty", "copy it again"):
        assert part in page


@pytest.mark.parametrize("command", ["report", "view"])
def test_an_output_without_slides_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, err = wsipipe(capsys, command, tmp_path)
    assert code == 1
    assert err.startswith(f"error: {tmp_path.name}: holds no finished slide: run `wsipipe")


def test_view_answers_until_it_is_interrupted(tmp_path: Path) -> None:
    out = made_up_output(tmp_path, 50, side_px=1000)
    command = [sys.executable, "-m", "wsipipe.cli.main", "view", str(out), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(url + "0/slide.json", timeout=30) as answer:  # noqa: S310 - our own address
            assert b'"cells": 50' in answer.read()
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=30)
    assert program.returncode == 0
    assert "made-up: the slide file was not found" in err
    assert "Traceback" not in err
