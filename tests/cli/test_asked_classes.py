"""`-k` where a model is there already: it is never ignored without a word."""

from pathlib import Path

import pytest

from tests.calls import code_and_stderr as wsipipe
from tests.synth import write_tiny_slide

TOY = ["--recipe", "toy", "--workers", "1"]


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "slides"
    folder.mkdir()
    write_tiny_slide(folder, "a.tiff")
    return folder


@pytest.mark.parametrize("command", ["run", "batch"])
def test_beside_model_it_must_agree(slides: Path, tmp_path: Path, capsys, command: str) -> None:
    source = slides if command == "batch" else slides / "a.tiff"
    code, err = wsipipe(capsys, command, source, "-o", tmp_path / "out", *TOY, "--model", "default", "-k", "7")
    assert code == 2
    assert err == "error: -k 7: --model default has 5 classes: leave one of them out\n"
    assert not (tmp_path / "out").exists(), "refused before any work"


def test_it_must_agree_with_the_model_in_the_output(slides: Path, tmp_path: Path, capsys) -> None:
    call = ("run", slides / "a.tiff", "-o", tmp_path / "out", *TOY)
    assert wsipipe(capsys, *call)[0] == 0
    code, err = wsipipe(capsys, *call, "-k", "4")
    assert code == 2
    assert err == "error: -k 4: the model in the output folder has 5 classes: leave -k out, or name another -o folder\n"
    assert wsipipe(capsys, *call, "-k", "5")[0] == 0
    code, err = wsipipe(capsys, "batch", slides, "-o", tmp_path / "out", *TOY, "-k", "4")
    assert code == 2
    assert "-k 4: the model in the output folder has 5 classes" in err
