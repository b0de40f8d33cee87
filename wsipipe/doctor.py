"""Checks: does everything work on this machine, and is a finished output whole."""

import csv
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from wsipipe.config import Settings, load_recipe, packed_recipes
from wsipipe.errors import ModelError, StoreError, WsipipeError
from wsipipe.export.tables import look_fields, share_fields
from wsipipe.gan.checkpoint import Model, load
from wsipipe.gan.device import describe_device
from wsipipe.image.synthetic import make_slide
from wsipipe.io.output import OutputFolder, SlideFolder
from wsipipe.io.pyramid_writer import write_pyramid
from wsipipe.io.store import CellStore
from wsipipe.parallel import Pool, cpu_count
from wsipipe.progress import Quiet
from wsipipe.segmenting import segment_slide
from wsipipe.tables import class_names, slide_row, table_faults
from wsipipe.units import counted
from wsipipe.versions import versions

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
    """Every slide of an output: every byte of its store, its labels and its tables are as they were written."""
    out = OutputFolder(path)
    folders = out.slides()
    if not folders:
        yield Check("output", "FAIL", f"{path.name} holds no slide: run `wsipipe run` into it first")
        return
    model: Model | None = None
    if out.model.is_file():
        try:
            model = load(out.model)
            yield Check("model", "PASS", model.hash)
        except ModelError as error:
            yield Check("model", "FAIL", str(error))
    else:
        yield Check("model", "WARN", "no labels yet: run `wsipipe run` or `wsipipe label`")
    for folder in folders:
        yield _tried(folder.slide_id, partial(_whole, folder, model.hash if model else ""))
    if model is not None:
        yield _tried("classes.toml", lambda: ", ".join(c.name for c in class_names(out, model)))
    if model is not None or not out.model.is_file():
        yield _proportions(out, model)


def _whole(folder: SlideFolder, model_hash: str) -> str:
    """Read every byte of a slide's store, which checks its checksums, and compare its tables with their digests."""
    if not folder.store.is_dir():
        raise StoreError(f"not finished ({folder.facts().get('state', 'unknown')})", "run the same command again")
    store = CellStore(folder.store)
    n_cells = sum(len(cells) for _, cells in store.chunks())
    if model_hash and len(store.labels(model_hash).classes) != n_cells:
        raise StoreError("has other labels than cells", "run `wsipipe label` again")
    for name in store.images():
        store.array(name)[...]
    if folder.facts().get("fingerprint") != store.attributes["identity"]["fingerprint"]:
        raise StoreError("run.json is missing, damaged or of another slide", "run the slide again")
    faults = table_faults(folder) if model_hash else []
    if model_hash and not folder.tables[2].is_file():
        faults.append(f"{folder.tables[2].name} missing")
    if faults:
        raise StoreError(", ".join(faults), "run `wsipipe proportions`, which writes the tables again")
    return f"{n_cells} cells, checksums good"


def _proportions(out: OutputFolder, model: Model | None) -> Check:
    """Compare the cohort's tables with what the stores say."""
    finished = out.finished()
    missing = [path for path in (out.proportions, out.expected) if not path.is_file()]
    if missing:
        return _missing(missing[0])
    try:
        rows = _by_slide(out.proportions)
        for slide_id, row in _by_slide(out.expected).items():
            rows.setdefault(slide_id, {}).update(row)
        looks = _looks(out.profiles)
        wrong = [
            folder.slide_id
            for folder in finished
            if not _agrees(rows.get(folder.slide_id), looks.get(folder.slide_id, []), folder, model)
        ]
    except (OSError, ValueError, KeyError, WsipipeError) as error:
        return Check(out.proportions.name, "FAIL", f"cannot be compared ({' '.join(str(error).split())})")
    if wrong and model is not None and model.config.describe and not out.profiles.is_file():
        return _missing(out.profiles)
    if wrong or len(rows) != len(finished):
        said = f"; wrong: {', '.join(wrong)}" if wrong else ""
        text = f"{counted(len(rows), 'row')} for {counted(len(finished), 'finished slide')}{said}"
        return Check(out.proportions.name, "FAIL", f"{text}: run `wsipipe proportions`")
    return Check(out.proportions.name, "PASS", f"{counted(len(rows), 'row')}, as in the stores")


def _missing(table: Path) -> Check:
    return Check(table.name, "FAIL", "missing: run `wsipipe proportions`, which writes it again")


def _by_slide(table: Path) -> dict[str, dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        return {row["slide_id"]: row for row in csv.DictReader(file)}


def _looks(table: Path) -> dict[str, list[list[str]]]:
    """Of each slide in profiles.csv, the fields between class and model; nothing where there is no such table."""
    found: dict[str, list[list[str]]] = {}
    if table.is_file():
        with table.open(encoding="utf-8", newline="") as file:
            for slide_id, _, *fields in list(csv.reader(file))[1:]:
                found.setdefault(slide_id, []).append(fields[:-1])
    return found


def _agrees(written: dict[str, str] | None, looks: list[list[str]], folder: SlideFolder, model: Model | None) -> bool:
    if written is None:
        return False
    row = slide_row(CellStore(folder.store), model)
    counts = [int(value) for name, value in written.items() if name.startswith("n_") and name != "n_cells"]
    expected = [value for name, value in written.items() if name.startswith("e_") and value]
    found = (int(written["n_cells"]), counts, written["model"], expected, looks)
    own = [look_fields(look) for look in row.profile]
    return found == (row.n_cells, list(row.counts), row.model, share_fields(row.expected), own)


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
        return Check(name, "FAIL", str(error).removeprefix(f"{name}: "))
    except Exception as error:  # noqa: BLE001 - a doctor reports whatever is broken, and goes on
        return Check(name, "FAIL", f"{type(error).__name__}: {' '.join(str(error).split())}")
