"""Every byte and every value of an output, however it is packed: what a search for names has to look through."""

import base64
import gzip
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet
import zarr
from PIL import Image

_URI = re.compile(rb"data:[\w/+.-]+;base64,([A-Za-z0-9+/=]+)")


def everything(out: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of all files: as they are, decompressed, and decoded."""
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        yield f"{name} (its name)", name.encode()
        if path.is_file():
            yield from _unpacked(name, path.read_bytes())
        if path.is_dir() and path.suffix == ".zarr":
            yield from _zarr(name, zarr.open_group(path, mode="r"))


def found(secrets: tuple[str, ...], contents: bytes) -> list[str]:
    """Secrets that occur, also in other letters and as UTF-16."""
    low = contents.lower()
    return [s for s in secrets if s.lower().encode() in low or s.lower().encode("utf-16-le") in low]


def _unpacked(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    yield name, data
    for i, uri in enumerate(_URI.finditer(data)):
        yield from _unpacked(f"{name}, picture {i}", base64.b64decode(uri[1]))
    if data.startswith(b"\x1f\x8b"):
        yield f"{name}, decompressed", gzip.decompress(data)
    elif data.startswith(b"PK\3\4"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                yield from _unpacked(f"{name}/{member}", archive.read(member))
    elif data.startswith(b"PAR1"):
        table = pyarrow.parquet.read_table(io.BytesIO(data))
        yield f"{name}, decoded", repr((table.schema.metadata, table.to_pylist())).encode()
    elif data.startswith(b"\x89HDF"):
        with h5py.File(io.BytesIO(data)) as file:
            yield from _hdf5(name, file)
    elif data.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        with Image.open(io.BytesIO(data)) as image:
            yield f"{name}, decoded", np.asarray(image).tobytes() + repr((image.info, dict(image.getexif()))).encode()


def _zarr(name: str, group: "zarr.Group") -> Iterator[tuple[str, bytes]]:
    yield f"{name}, attributes", repr(dict(group.attrs)).encode()
    for key, member in group.members():
        if isinstance(member, zarr.Group):
            yield from _zarr(f"{name}/{key}", member)
        else:
            values: Any = member[...]
            yield f"{name}/{key}", np.asarray(values).tobytes() + repr(dict(member.attrs)).encode()


def _hdf5(name: str, file: "h5py.File") -> Iterator[tuple[str, bytes]]:
    members: list[tuple[str, Any]] = [("/", file)]
    file.visititems(lambda key, member: members.append((key, member)))
    for key, member in members:
        data = repr({k: np.asarray(v).tolist() for k, v in member.attrs.items()}).encode()
        if isinstance(member, h5py.Dataset):
            values = np.asarray(member[()])
            data += repr(values.tolist()).encode() if values.dtype.kind in "OSU" else values.tobytes()
        yield f"{name}/{key}", data
