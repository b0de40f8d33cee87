"""What the package may never do: run what a file says, or open a slide's label."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import wsipipe

PACKAGE = Path(wsipipe.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
NO_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "skops", "yaml"}
NO_CALLS = {"eval", "exec", "compile", "__import__"}
NO_NAMES = {"associated_images", "get_thumbnail", "read_pickle", "to_pickle", "allow_pickle"}


def faults(source: str) -> Iterator[str]:
    """Each forbidden thing in a piece of Python."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            modules = names if isinstance(node, ast.Import) else [node.module or "", *names]
            yield from (f"imports {name}" for name in modules if name.split(".")[0] in NO_MODULES)
        elif isinstance(node, ast.Attribute) and node.attr in NO_NAMES:
            yield f"uses {node.attr}"
        elif isinstance(node, ast.Call):
            yield from _call_faults(node)


def _call_faults(node: ast.Call) -> Iterator[str]:
    called = ast.unparse(node.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if called in NO_CALLS:
        yield f"calls {called}"
    if given.get("allow_pickle", "False") != "False":
        yield f"{called} may unpickle"
    if called.endswith("torch.load") and given.get("weights_only") != "True":
        yield "torch.load without weights_only=True"
    if called.split(".")[0] in ("subprocess", "os") and given.get("shell", "False") != "False":
        yield f"{called} through a shell"
    if called in ("os.system", "os.popen"):
        yield f"calls {called}"


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_no_file_can_make_it_run_code(path: Path) -> None:
    assert list(faults(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import torch\ntorch.load('x')",
        "import torch\ntorch.load('x', weights_only=False)",
        "slide.associated_images['label']",
        "eval('1')",
        "import subprocess\nsubprocess.run('x', shell=True)",
    ],
)
def test_the_check_finds_what_it_looks_for(source: str) -> None:
    assert list(faults(source))


def test_classifiers_and_models_are_json_and_safetensors() -> None:
    loads = {str(path.relative_to(PACKAGE)) for path in FILES if "safetensors" in path.read_text("utf-8")}
    assert {"gan/checkpoint.py"} <= loads
    assert "json.loads" in (PACKAGE / "cohort" / "classifier_file.py").read_text("utf-8")
