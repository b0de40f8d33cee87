"""Calls that are wrong, recipes with faults, and the help."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.calls import wsipipe
from tests.synth import write_tiny_slide
from wsipipe.cli.main import COMMANDS


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["run"], "SLIDE"),
        (["run", "x.svs"], "--out"),
        (["run", "x.svs", "-o", "o", "--recipe", "nothing"], "no recipe of that name"),
        (["run", "x.svs", "-o", "o", "-k", "1"], "--classes"),
        (["run", "x.svs", "-o", "o", "--model", "nowhere.safetensors"], "nowhere.safetensors"),
        (["nonsense"], "nonsense"),
        (["label", "nowhere", "--model", "default"], "nowhere"),
        (["label", ".", "--model", "nowhere.safetensors"], "--model"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(tmp_path: Path, monkeypatch, capsys, arguments, wanted) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.svs").write_bytes(write_tiny_slide(tmp_path, "t.svs").read_bytes())
    code, _, err = wsipipe(capsys, *arguments)
    assert code == 2
    assert wanted in err
    assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1


def test_faulty_recipe_lists_all_faults_at_once(tmp_path: Path, capsys) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('[nuclei]\nmin_area = 3\nmax_extent_um = "long"\n[gan]\nclasses = 1\n[tyling]\n')
    code, _, err = wsipipe(capsys, "run", "x.svs", "-o", tmp_path / "o", "--recipe", recipe)
    assert code == 2
    for fault in ("nuclei.min_area", "nuclei.max_extent_um", "gan.classes", "tyling"):
        assert fault in err


def test_help_of_every_command_and_nothing_heavy_at_import() -> None:
    code = (
        "import sys, wsipipe.cli.main as m\n"
        "from click.testing import CliRunner\n"
        f"for c in {COMMANDS!r}:\n"
        "    r = CliRunner().invoke(m.cli, [c, '--help']); assert r.exit_code == 0 and 'Usage' in r.output, c\n"
        "heavy = {'torch', 'dask', 'distributed', 'zarr', 'skimage', 'sklearn', 'cv2', 'openslide', 'numpy', 'numba'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
