"""What a slide's metadata say of a patient is found in no output, no log and no error; nor are folders."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image, PngImagePlugin
from tiffslide import TiffSlide

from tests.synth import tiny_slide
from wsipipe.cli.main import main
from wsipipe.errors import told
from wsipipe.io.readers import open_reader
from wsipipe.records import Box

NAME, DATE, BARCODE, FOLDER = "Erika-Mustermann", "1949-10-07", "S4711-0815-XQ", "clinic-of-dr-seltsam"
SECRETS = (NAME, DATE, BARCODE)
ALL = f"{NAME} {DATE} {BARCODE}"
TAGS = ((270, "ImageDescription"), (271, "Make"), (272, "Model"), (305, "Software"), (306, "DateTime"),
        (315, "Artist"), (316, "HostComputer"), (33432, "Copyright"), (65000, "Private"))  # fmt: skip


def wsipipe(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Everything that a call prints."""
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return out + err


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
        for kind in ("label", "macro"):  # strips, as Aperio has them
            text = f"Aperio Image Library v1.0\r\n{kind} 64x64 {ALL}"
            tiff.write(rgb[:64, :64], description=text, photometric="rgb", metadata=None, subfiletype=1)
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


def texts(out: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(out.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(out)), path.read_bytes()


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
    assert not [secret for secret in (*SECRETS, FOLDER) if secret in said]
    for folder in (out, tmp_path / "out-2"):
        for name, content in texts(folder):
            if name != "failures.csv":  # its contract is the path as given
                assert not [secret for secret in (*SECRETS, FOLDER) if secret.encode() in content], name
            assert not [secret for secret in (DATE, BARCODE) if secret.encode() in content], name


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
