"""Checks: does everything work on this machine, and is a finished output whole."""

import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsipipe.config import Settings, load_recipe, packed_recipes
from wsipipe.errors import StoreError, WsipipeError
from wsipipe.gan.checkpoint import load
from wsipipe.gan.device import describe_device
from wsipipe.image.synthetic import make_slide
from wsipipe.io.output import OutputFolder, SlideFolder
from wsipipe.io.pyramid_writer import write_pyramid
from wsipipe.io.store import CellStore
from wsipipe.parallel import Pool, cpu_count
from wsipipe.progress import Quiet
from wsipipe.segmenting import segment_slide, versions

_LEAST_FREE_GB = 2.0


@dataclass(frozen=True)
class Check:
    """One line of the doctor: verdict is PASS, WARN or FAIL."""

    name: str
    verdict: str
    text: str


def check_installation() -> Iterator[Check]:
    """Versions, recipes, and a small slide through reading, segmenting and storing."""
    yield Check("python", "PASS" if sys.version_info >= (3, 11) else "FAIL", platform.python_version())
    yield _tried("packages", lambda: ", ".join(f"{name} {number}" for name, number in versions().items()))
    yield _tried("recipes", lambda: ", ".join(load_recipe(name).name for name in packed_recipes()))
    yield Check("cpus", "PASS", f"{cpu_count()} usable")
    yield _tried("networks", describe_device)
    yield _free_space(Path(tempfile.gettempdir()))
    yield _tried("slide to cells", _small_slide)


def check_output(path: Path) -> Iterator[Check]:
    """Every slide of an output: store, labels and tables there, and of one length."""
    out = OutputFolder(path)
    folders = out.slides()
    if not folders:
        yield Check("output", "FAIL", f"{path.name} holds no slide: run `wsipipe run` into it first")
        return
    if out.model.is_file():
        model = _tried("model", lambda: load(out.model).hash)
        yield model
        model_hash = model.text if model.verdict == "PASS" else ""
    else:
        model_hash = ""
        yield Check("model", "WARN", "no labels yet: run `wsipipe run` or `wsipipe label`")
    for folder in folders:
        yield _tried(folder.slide_id, lambda folder=folder: _whole(folder, model_hash))  # type: ignore[misc]
    rows = out.proportions.read_text("utf-8").count("\n") - 1 if out.proportions.is_file() else 0
    verdict = "PASS" if rows == len(out.finished()) else "FAIL"
    yield Check("proportions.csv", verdict, f"{rows} rows for {len(out.finished())} finished slides")


def _whole(folder: SlideFolder, model_hash: str) -> str:
    """Read every byte of a slide's store, which checks its checksums, and count its tables' rows."""
    if not folder.store.is_dir():
        raise StoreError(f"not finished ({folder.facts().get('state', 'unknown')})", "run the same command again")
    store = CellStore(folder.store)
    n_cells = sum(len(cells) for _, cells in store.chunks())
    if model_hash and len(store.labels(model_hash).classes) != n_cells:
        raise StoreError("has other labels than cells", "run `wsipipe label` again")
    for table, extra in zip(folder.tables[:1], (1,), strict=True):
        lines = _count_lines(table)
        if model_hash and lines != n_cells + extra:
            raise StoreError(f"{table.name} has {lines} lines for {n_cells} cells", "run `wsipipe proportions`")
    missing = [table.name for table in folder.tables if model_hash and not table.is_file()]
    if missing:
        raise StoreError(f"{', '.join(missing)} missing", "run `wsipipe proportions`")
    return f"{n_cells} cells, checksums good"


def _count_lines(path: Path) -> int:
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _free_space(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free / 1e9
    return Check("temporary space", "PASS" if free >= _LEAST_FREE_GB else "WARN", f"{free:.1f} GB free")


def _small_slide() -> str:
    """Draw, write, read and segment a slide of known truth."""
    truth = make_slide(768, 512, 0.5, seed=1)
    with tempfile.TemporaryDirectory() as folder, Pool(workers=1) as pool:
        path = Path(folder) / "doctor.tiff"
        write_pyramid(path, truth.rgb, truth.mpp)
        settings = Settings(out=Path(folder) / "out")
        store = segment_slide(path, OutputFolder(settings.out).slide("doctor"), settings, pool, Quiet())
        cells = store.rows(0, len(store), patches=False)
    distance = np.hypot(cells.x_px[:, None] - truth.x_px, cells.y_px[:, None] - truth.y_px)
    found = int((distance.min(axis=0) < 6).sum()) if len(cells) else 0
    if found < 0.5 * len(truth.x_px):
        raise StoreError(f"only {found} of {len(truth.x_px)} nuclei found", "reinstall wsipipe and its requirements")
    return f"{found} of {len(truth.x_px)} nuclei of a drawn slide found, read by {store.attributes['slide']['reader']}"


def _tried(name: str, action: Callable[[], str]) -> Check:
    try:
        return Check(name, "PASS", action())
    except WsipipeError as error:
        return Check(name, "FAIL", str(error))
    except Exception as error:  # noqa: BLE001 - a doctor reports whatever is broken, and goes on
        return Check(name, "FAIL", f"{type(error).__name__}: {' '.join(str(error).split())}")
