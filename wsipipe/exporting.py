"""`wsipipe export`: the cells of a finished slide in the form that another program reads."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsipipe.errors import StoreError, UsageError
from wsipipe.export.classes import CellClass
from wsipipe.export.geojson import cells_geojson, tissue_geojson
from wsipipe.export.masks import fits_png, write_mask_png
from wsipipe.export.ome_zarr import Overview, write_label_zarr
from wsipipe.export.overlay import write_overlay
from wsipipe.export.tables import cells_csv
from wsipipe.gan.checkpoint import Model
from wsipipe.gan.device import pick_device
from wsipipe.gan.embed import embed
from wsipipe.image.label_image import label_image, paint_labels
from wsipipe.io.output import SlideFolder
from wsipipe.io.pyramid import make_grid
from wsipipe.io.slide import open_slide
from wsipipe.io.slide_files import find_slide, slide_files
from wsipipe.io.store import CellStore
from wsipipe.parallel import cpu_count
from wsipipe.records import Box, Labels
from wsipipe.stored import has_given_nuclei, labelled_chunks, slide_info
from wsipipe.within import CellsWithin

OVERLAY_MAX_PX = 1 << 27
"""Pixels of the largest region that an overlay shows: 400 MB."""


@dataclass(frozen=True)
class ExportOptions:
    """What may be asked for besides the form.

    Attributes
    ----------
    folder : Path or None
        Write `<slide_id>.<ext>` there; beside each store when None.
    only : tuple of str
        Slides to export, by slide_id; all when empty.
    regions : tuple of Box
        Parts of level 0 that overlays show.
    slides : tuple of Path
        Slide files, or folders of them, that overlays are drawn on.
    compress : bool
        GeoJSON as .geojson.gz.
    embedding : bool
        AnnData with what the networks see, where there is a model.
    device, workers
        Where that is computed.
    """

    folder: Path | None = None
    only: tuple[str, ...] = ()
    regions: tuple[Box, ...] = ()
    slides: tuple[Path, ...] = ()
    compress: bool = False
    embedding: bool = True
    device: str = "auto"
    workers: int | None = None


@dataclass(frozen=True)
class Exported:
    """A finished slide on its way out."""

    folder: SlideFolder
    store: CellStore
    model: Model | None
    classes: tuple[CellClass, ...]
    options: ExportOptions

    @property
    def labels(self) -> Labels | None:
        """Of all its cells; None for a slide without labels."""
        return self.store.labels(self.model.hash) if self.model else None

    @property
    def names(self) -> list[str]:
        """Of the classes."""
        return [c.name for c in self.classes]

    def target(self, extension: str, stem: str = "cells", suffix: str = "") -> Path:
        """`cells.<ext>` beside the store, or `<slide_id>.<ext>` in the folder that was asked for."""
        if self.options.folder is None:
            return self.folder.path / f"{stem}{extension}"
        return self.options.folder / f"{self.folder.slide_id}{suffix}{extension}"


def write_export(kind: str, slide: Exported) -> list[Path]:
    """Write the cells of a slide in one of the forms of EXPORTS; returns what was written.

    Raises
    ------
    UsageError
        If something that the form needs was not given, or cannot be.
    StoreError
        If its file is needed and not found.
    """
    return EXPORTS[kind](slide)


def _csv(slide: Exported) -> list[Path]:
    path = slide.target(".csv")
    cells_csv(path, labelled_chunks(slide.store, slide.labels), slide.names)
    return [path]


def _parquet(slide: Exported) -> list[Path]:
    from wsipipe.export.parquet import cells_parquet  # noqa: PLC0415 - slow to load, and no other form needs it

    path = slide.target(".parquet")
    cells_parquet(path, labelled_chunks(slide.store, slide.labels), slide_info(slide.store), slide.names)
    return [path]


def _geojson(slide: Exported) -> list[Path]:
    """The cells, and the outline of the tissue beside them."""
    extension = ".geojson.gz" if slide.options.compress else ".geojson"
    cells, tissue = slide.target(extension), slide.target(extension, "tissue", "-tissue")
    info, store = slide_info(slide.store), slide.store
    given = has_given_nuclei(store)
    cells_geojson(cells, labelled_chunks(store, slide.labels), info, slide.classes, given=given)
    tissue_geojson(tissue, np.asarray(store.array("tissue")[:]), store.attributes["overview_downsample"], info)
    return [cells, tissue]


def _anndata(slide: Exported) -> list[Path]:
    from wsipipe.export.h5ad import cells_h5ad  # noqa: PLC0415 - slow to load, and no other form needs it

    path, model, options = slide.target(".h5ad"), slide.model, slide.options
    embedding = None
    if model is not None and options.embedding:
        device, threads = pick_device(options.device), options.workers or cpu_count()
        embedding = embed(model, slide.store.patches, device=device, threads=threads)
    chunks = labelled_chunks(slide.store, slide.labels)
    cells_h5ad(path, chunks, len(slide.store), slide_info(slide.store), slide.classes, embedding)
    return [path]


def _masks(slide: Exported) -> list[Path]:
    """A PNG where one can hold them all, else OME-Zarr."""
    info, labels = slide_info(slide.store), slide.labels
    if fits_png(len(slide.store), info.width_px, info.height_px):
        path = slide.target(".png", "masks")
        cells = (chunk.cells for chunk in labelled_chunks(slide.store, None))
        write_mask_png(path, label_image(cells, info.width_px, info.height_px))
        return [path]
    path = slide.target(".ome.zarr", "masks")
    overview = Overview(np.asarray(slide.store.array("overview")[:]), slide.store.attributes["overview_downsample"])
    draw = _drawer(CellsWithin(slide.store, None))
    write_label_zarr(path, draw, info, overview, slide.classes, labels.classes if labels else None)
    return [path]


def _drawer(within: CellsWithin) -> Callable[[Box], NDArray[np.uint32] | None]:
    def draw(box: Box) -> NDArray[np.uint32] | None:
        chunk, ids = within.touching(box)
        if not len(ids):
            return None
        labels = np.zeros((box.height, box.width), np.uint32)
        paint_labels(labels, chunk.cells, ids, (box.x, box.y))
        return labels

    return draw


def _overlay(slide: Exported) -> list[Path]:
    """One picture a region."""
    info, options = slide_info(slide.store), slide.options
    if not options.regions:
        raise UsageError("is needed for overlays", "give x,y,w,h in level-0 pixels", "--region")
    for box in options.regions:
        _check_region(box, info.width_px, info.height_px, info.slide_id)
    root = slide.folder.path.parent
    found, _ = find_slide(info, slide_files([*options.slides, root, root.resolve().parent]))
    if found is None:
        raise StoreError("its slide file was not found", "name the file or its folder with --slides", info.slide_id)
    within, paths = CellsWithin(slide.store, slide.labels), []
    with open_slide(found, slide_id=info.slide_id, mpp=info.mpp) as opened:
        grid = make_grid(info.levels[:1], info.mpp, info.mpp)
        for box in options.regions:
            paths.append(slide.target(".png", "overlay-{}-{}-{}-{}".format(*box), "-{}-{}-{}-{}".format(*box)))
            cells, _ = within.touching(box)
            write_overlay(paths[-1], opened.read(grid, box).rgb, box, cells, slide.classes)
    return paths


def _check_region(box: Box, width_px: int, height_px: int, slide_id: str) -> None:
    name = "--region {},{},{},{}".format(*box)
    if box.right > width_px or box.bottom > height_px:
        raise UsageError(f"reaches beyond {slide_id}, which is {width_px} x {height_px} px", "move or shrink it", name)
    if box.width * box.height > OVERLAY_MAX_PX:
        raise UsageError(f"has more than {OVERLAY_MAX_PX} px", "give several smaller ones", name)


EXPORTS: dict[str, Callable[[Exported], list[Path]]] = {
    "csv": _csv,
    "parquet": _parquet,
    "geojson": _geojson,
    "anndata": _anndata,
    "masks": _masks,
    "overlay": _overlay,
}
"""What writes each form."""
