"""Labels in bfloat16, where the processor has it, beside pure float32: on real cells, by the model that ships."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wsipipe.config import Settings, load_recipe
from wsipipe.describing import describe_store, nearest_in
from wsipipe.gan import asking
from wsipipe.gan.label import label
from wsipipe.io.output import OutputFolder
from wsipipe.labelling import load_model
from wsipipe.parallel import Pool
from wsipipe.progress import Quiet
from wsipipe.segmenting import segment_slide

AGREE = 0.995


IMAGES = ("consep/{}/train_10.png", "monuseg/{}/TCGA-21-5786-01Z-00-DX1.png", "monuseg/{}/TCGA-50-5931-01Z-00-DX1.png")


def test_labels_are_those_of_float32(
    real_file: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, settings = load_model("default"), Settings(tmp_path, load_recipe("he-40x"), mpp=0.25)
    same: list[list[NDArray[np.bool_]]] = [[], []]
    for number, name in enumerate(IMAGES):
        given = dataclasses.replace(settings, nuclei=real_file(name.format("masks")))
        with Pool(1) as pool:
            folder = OutputFolder(tmp_path).slide(f"s{number}")
            store = segment_slide(real_file(name.format("images")), folder, given, pool, Quiet())
        about = describe_store(store, nearest_in(store), np.arange(len(store)))
        for found, described in zip(same, (None, about), strict=True):
            classes = []
            for dtype in (torch.float32, torch.bfloat16):
                monkeypatch.setattr(asking, "fast_dtype", lambda *_, dtype=dtype, **__: dtype)
                classes.append(label(model, store.patches, device="cpu", threads=1, described=described)[0])
            found.append(classes[0] == classes[1])
    for found in same:
        assert np.concatenate(found).mean() >= AGREE
