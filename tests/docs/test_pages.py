"""What the documentation tells people to type is typed here; what it says comes out, comes out."""

import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```(sh|python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of every block of a page, in order."""
    return [(match[1], match[2]) for match in _BLOCK.finditer((DOCS / page).read_text("utf-8"))]


def shell(command: str, folder: Path) -> str:
    """Output of a block, run as a user would, in an empty folder."""
    path = f"{sysconfig.get_path('scripts')}:/usr/bin:/bin"
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", command], cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        env={"PATH": path, "HOME": str(folder), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


def shows(told: str, shown: str) -> bool:
    """Whether output has the lines that a page shows, in their order; `...` says that there are others between."""
    lines = iter(told.splitlines())
    return all(wanted in lines for wanted in shown.splitlines() if wanted != "...")


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the tutorial was followed to its end."""
    folder = tmp_path_factory.mktemp("tutorial")
    names: dict[str, object] = {}
    told = ""
    for language, text in blocks("tutorial.md"):
        if language == "sh":
            told = shell(text, folder)
        elif language == "text":
            assert shows(told, text), f"{text}\nis not what came out:\n{told}"
        else:
            code = text.replace('"results/', f'"{folder}/results/')
            exec(compile(code, "tutorial.md", "exec"), names)  # noqa: S102 - the page's own code
    return folder


def runs(page: str, folder: Path) -> None:
    """Run the Python of a page in the tutorial's folder."""
    for language, text in blocks(page):
        assert language == "python"
        command = [sys.executable, "-W", "ignore", "-c", text]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.timeout(600)
def test_the_tutorial_runs_and_shows_what_it_says(followed: Path) -> None:
    assert (followed / "for-qupath").is_dir()
    runs("concepts/store.md", followed)


@pytest.mark.timeout(600)
def test_neighbours_are_found_by_squidpy(request: pytest.FixtureRequest) -> None:
    pytest.importorskip("squidpy", reason="squidpy is not installed: pip install squidpy")
    folder = request.getfixturevalue("followed")
    shell("wsipipe export results --to anndata", folder)
    runs("howto/scanpy.md", folder)


def test_every_command_of_the_pages_exists() -> None:
    from wsipipe.cli.main import COMMANDS  # noqa: PLC0415

    for page in DOCS.rglob("*.md"):
        for command in re.findall(r"(?:^|`|\$ )wsipipe ([a-z]+)", page.read_text("utf-8"), re.MULTILINE):
            assert command in COMMANDS, f"{page.name} names `wsipipe {command}`"


@pytest.mark.parametrize(
    ("told", "shown", "fits"),
    [("a\nb\nc\n", "a\n...\nc\n", True), ("a\nb\n", "b\na\n", False), ("a\nb", "a\nc", False), ("ab", "b", False)],
)
def test_lines_are_looked_for_in_their_order(told: str, shown: str, fits: bool) -> None:
    assert shows(told, shown) is fits


def test_the_architecture_names_the_layers_that_are_checked() -> None:
    """The page and the contract of import-linter are one list."""
    settings = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    page = " ".join((DOCS / "architecture.md").read_text("utf-8").split())
    assert " > ".join(layers) in page
