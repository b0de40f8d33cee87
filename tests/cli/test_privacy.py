"""What a slide's metadata say of a patient is found in no output, no log and no error; nor are folders."""

import base64
import gzip
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import openslide
import pyarrow.parquet
import pytest
import tifffile
import zarr
from PIL import Image, PngImagePlugin
from tiffslide import TiffSlide

from tests.calls import all_said as wsipipe
from tests.leaks import everything, found
from tests.synth import tiny_slide
from wsipipe.errors import told
from wsipipe.io.readers import open_reader
from wsipipe.records import Box

ROOT = Path(__file__).parents[2]
NAME, DATE, BARCODE, FOLDER = "Erika-Mustermann", "1949-10-07", "S4711-0815-XQ", "clinic-of-dr-seltsam"
SECRETS = (NAME, DATE, BARCODE)
ALL = f"{NAME} {DATE} {BARCODE}"
TAGS = ((270, "ImageDescription"), (271, "Make"), (272, "Model"), (305, "Software"), (306, "DateTime"),
        (315, "Artist"), (316, "HostComputer"), (33432, "Copyright"), (65000, "Private"))  # fmt: skip


def planted(folder: Path) -> dict[str, Path]:
    """Small slides with a name, a date and a barcode wherever their formats have room for one."""
    rgb = np.ascontiguousarray(tiny_slide().rgb[:512, :512])
    folder.mkdir(parents=True)
    tags = [(code, "s", 0, ALL, False) for code, _ in TAGS[1:]]
    tile = {"tile": (128, 128), "photometric": "rgb", "metadata": None, "software": False}
    aperio = f"Aperio Image Library v1.0\r\n512x512 [0,0 512x512] (128x128)|AppMag = 20|MPP = 0.5|User = {NAME}|"
    aperio += f"Date = {DATE}|Barcode = {BARCODE}|Filename = {NAME}|Patient = {ALL}|Title = {ALL}"
    with tifffile.TiffWriter(folder / "aperio.svs") as tiff:
        tiff.write(rgb, description=aperio, extratags=tags, compression="jpeg", **tile)
        tiff.write(rgb[::4, ::4], description=aperio, photometric="rgb", metadata=None, software=False)
        for kind in ("label", "macro"):  # strips, as Aperio has them; their pixels spell it too
            text = f"Aperio Image Library v1.0\r\n{kind} 64x64 {ALL}"
            pixels = np.frombuffer((ALL * 400).encode()[: 64 * 64 * 3], np.uint8).reshape(64, 64, 3)
            tiff.write(pixels, description=text, photometric="rgb", metadata=None, subfiletype=1)
    ome = (
        f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Experimenter ID="E:0" '
        f'LastName="{NAME}"/><Image ID="Image:0" Name="{BARCODE}"><AcquisitionDate>{DATE}</AcquisitionDate><Pixels '
        'ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="512" SizeY="512" SizeC="3" SizeZ="1" SizeT="1" '
        'PhysicalSizeX="0.5" PhysicalSizeY="0.5"><Channel ID="Channel:0:0" SamplesPerPixel="3"/><TiffData/></Pixels>'
        "</Image></OME>"
    )
    with tifffile.TiffWriter(folder / "ome.tif") as tiff:
        tiff.write(rgb, description=ome, extratags=tags, compression="zlib", **tile)
    with tifffile.TiffWriter(folder / "strips.tif") as tiff:  # tiffslide's
        tiff.write(rgb, description=ALL, extratags=tags, photometric="rgb", metadata=None, software=False)
    text = PngImagePlugin.PngInfo()
    for key in ("Author", "Title", "Comment", "Creation Time"):
        text.add_text(key, ALL)
    Image.fromarray(rgb).save(folder / "image.png", pnginfo=text)
    exif = Image.Exif()
    for code in (270, 306, 315):
        exif[code] = ALL
    Image.fromarray(rgb).save(folder / "photo.jpg", exif=exif, comment=ALL.encode())
    return {path.stem: path for path in sorted(folder.iterdir())}


def broken(folder: Path, sound: dict[str, Path]) -> list[Path]:
    """The same with their resolution, their pixels or their ends spoilt by what must not be told."""
    folder.mkdir(parents=True)
    data = {name: path.read_bytes() for name, path in sound.items()}
    made = {
        "resolution.svs": data["aperio"].replace(b"MPP = 0.5", b"MPP = XQ "),
        "half.svs": data["aperio"][: len(data["aperio"]) // 2],
        "xml.tif": data["ome"].replace(b'SizeX="512"', b'SizeX="S47"').replace(b"<Pixels", b"<Pixel "),
        "head.tif": data["strips"][:300],
        "half.png": data["image"][:400],
        "half.jpg": data["photo"][:500],
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in made]


def leaked(out: Path) -> list[tuple[str, list[str]]]:
    """Where something of a patient, or a folder, is found in an output; failures.csv has the path by contract."""
    places = []
    for name, content in everything(out):
        secrets = (DATE, BARCODE) if name == "failures.csv" else (*SECRETS, FOLDER)
        if found(secrets, content):
            places.append((name, found(secrets, content)))
    return places


def test_nothing_of_the_patient_and_no_folder_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(self: object) -> None:
        raise AssertionError("a label or macro image was opened")

    for kind in (openslide.AbstractSlide, openslide.OpenSlide, TiffSlide):
        monkeypatch.setattr(kind, "associated_images", property(opened), raising=False)
        monkeypatch.setattr(kind, "get_thumbnail", opened, raising=False)
    sound = planted(tmp_path / FOLDER / NAME / "sound")
    bad = broken(tmp_path / FOLDER / NAME / "bad", sound)
    out = tmp_path / "out"
    said = wsipipe(capsys, "segment", *sound.values(), *bad, "-o", out, "--recipe", "toy", "--mpp", "0.5")
    said += wsipipe(capsys, "segment", *bad, "-o", tmp_path / "out-2", "--recipe", "toy")
    said += wsipipe(capsys, "proportions", out) + wsipipe(capsys, "doctor", out)
    said += wsipipe(capsys, "label", out, "--model", "default") + wsipipe(capsys, "report", out)
    for path in (*sound.values(), *bad):
        said += wsipipe(capsys, "info", path, "--json") + wsipipe(capsys, "info", path)
    finished = {path.parent.name for path in out.glob("*/cells.csv")}
    assert set(sound) <= finished, said
    assert {"half"} & {
        json.loads(path.read_text()).get("slide_id") for path in out.glob("*/run.json")
    } or "half" in said
    assert not found((*SECRETS, FOLDER), said.encode())
    assert not leaked(out) + leaked(tmp_path / "out-2")


EXPORTS = (["csv"], ["parquet"], ["geojson", "--gz"], ["anndata", "--no-embedding"], ["masks"])
NO_LABELS = """
import openslide, tiffslide
def opened(self):
    print("a label or macro image was opened", flush=True)
    raise AssertionError("a label or macro image was opened")
for kind in (openslide.AbstractSlide, openslide.OpenSlide, tiffslide.TiffSlide):
    kind.associated_images = property(opened)
    kind.get_thumbnail = opened
"""


def program(folder: Path, *arguments: object) -> str:
    """Everything that a call and its worker processes print, one by one with the interpreters' own words."""
    paths = os.pathsep.join((str(folder), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-m", "wsipipe.cli.main", *map(str, arguments)], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": paths}, check=False,
    )  # fmt: skip
    assert "opened" not in done.stdout + done.stderr.replace("cannot be opened", "")
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "with_bad", [pytest.param(False, marks=pytest.mark.slow), True], ids=["sound", "with bad slides"]
)
@pytest.mark.parametrize("kind", ["run", "batch"])
def test_the_whole_way_to_every_form_of_export(tmp_path: Path, capsys, kind: str, with_bad: bool) -> None:
    """In processes of their own, as users start them: log.txt, run.json and what workers print are searched too."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(NO_LABELS)
    folder = tmp_path / FOLDER / NAME / "slides"
    sound = planted(folder)
    for name in ("image", "photo", "strips"):  # slide formats only
        sound.pop(name).unlink()
    if with_bad:
        broken_of = planted(tmp_path / FOLDER / NAME / "spare")
        for path in broken(tmp_path / FOLDER / NAME / "bad", broken_of):
            path.rename(folder / f"bad-{path.name}")
    out = tmp_path / "out"
    what = [folder] if kind == "batch" else sorted(folder.iterdir())
    site = tmp_path / "site"
    said = program(site, kind, *what, "-o", out, "--recipe", "toy", "--workers", "2", *(["--train"] * (kind == "run")))
    assert set(sound) <= {path.parent.name for path in out.glob("*/cells.csv")}, said
    assert (out / "failures.csv").is_file() == with_bad
    assert all((out / name / "log.txt").is_file() for name in sound) == (kind == "batch")
    for form in EXPORTS:
        said += wsipipe(capsys, "export", out, "--to", *form)
    region = ["--region", "10,10,200,200", "--slides", folder]
    said += wsipipe(capsys, "export", out, "--to", "overlay", *region, "--only", "aperio", "-o", out / "overlays")
    said += wsipipe(capsys, "doctor", out)
    assert {".parquet", ".gz", ".h5ad", ".png", ".csv", ".html"} <= {path.suffix for path in out.rglob("*")}
    assert len(list(everything(out))) > 200
    assert not found((*SECRETS, FOLDER), said.encode()), said
    assert not leaked(out)
    assert "Traceback" not in said


def test_the_search_finds_what_is_hidden_in_any_of_them(tmp_path: Path) -> None:
    """Else the tests above would find nothing in nothing."""
    text = f"... {BARCODE} ..."
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("x", data=np.frombuffer(text.encode() * 50, np.uint8))
    group.create_group("deep").attrs["note"] = text
    (tmp_path / "b.gz").write_bytes(gzip.compress(text.encode()))
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside", text * 9)
    pyarrow.parquet.write_table(pyarrow.table({"a": [text] * 9}), tmp_path / "d.parquet", compression="zstd")
    with h5py.File(tmp_path / "e.h5ad", "w") as file:
        file.create_dataset("x", data=np.frombuffer(text.encode() * 9, np.uint8), compression="gzip")
        file.create_group("g").attrs["note"] = text
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", text, zip=True)
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG", pnginfo=info)
    (tmp_path / "f.html").write_text(
        f"<img src='data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}'>"
    )
    (tmp_path / "g.txt").write_bytes(text.lower().encode("utf-16-le"))
    places = [name for name, secrets in leaked(tmp_path) if secrets == [BARCODE]]
    for place in ("a.zarr/x", "a.zarr/deep, attributes", "b.gz, decompressed", "c.zip/inside", "d.parquet, decoded",
                  "e.h5ad/x", "e.h5ad/g", "f.html, picture 0, decoded", "g.txt"):  # fmt: skip
        assert place in places, place


def test_a_label_image_is_never_among_the_pixels_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its strips are made unreadable: whoever decoded them would raise."""
    path = planted(tmp_path / "slides")["aperio"]
    with tifffile.TiffFile(path) as tiff:
        pages = [page for page in tiff.pages if not page.is_tiled]
        spans = [(o, n) for page in pages for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
    read = []
    real = tifffile.FileHandle.seek

    def seek(self: tifffile.FileHandle, offset: int, whence: int = 0) -> int:
        read.append(offset)
        return real(self, offset, whence)

    monkeypatch.setattr(tifffile.FileHandle, "seek", seek)
    reader = open_reader(path)
    reader.read(0, Box(0, 0, 512, 512))
    reader.close()
    assert read
    assert not [offset for offset in read for begin, count in spans if begin <= offset < begin + count]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            ValueError(f"could not convert string to float: '{NAME}'"),
            "ValueError: could not convert string to float: ...",
        ),
        (OSError(2, "No such file", f"/data/{FOLDER}/a.svs"), "OSError: [Errno 2] No such file: ..."),
        (RuntimeError(f"cannot open /data/{FOLDER}/{NAME}/a.svs\nnow"), "RuntimeError: cannot open a.svs now"),
        (RuntimeError(rf"cannot open C:\{FOLDER}\a.svs"), "RuntimeError: cannot open a.svs"),
        (KeyError(NAME), "KeyError: ..."),
        (MemoryError(), "MemoryError"),
        (RuntimeError("1/2 of it and 3 / 4"), "RuntimeError: 1/2 of it and 3 / 4"),
    ],
)
def test_what_libraries_say_is_told_without_folders_and_quotations(error: Exception, text: str) -> None:
    told_text = told(error)
    assert told_text == text.replace("OSError", type(error).__name__)
