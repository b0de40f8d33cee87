"""Labels in bfloat16, where the processor has it, beside pure float32: on real cells, by the model that ships."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

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


@pytest.mark.parametrize("name", ["consep/{}/train_10.png", "monuseg/{}/TCGA-21-5786-01Z-00-DX1.png"])
def test_labels_are_those_of_float32(
    real_file: Callable[[str], Path], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, masks = real_file(name.format("images")), real_file(name.format("masks"))
    settings = Settings(tmp_path, load_recipe("he-40x"), mpp=0.25, nuclei=masks)
    with Pool(1) as pool:
        store = segment_slide(image, OutputFolder(tmp_path).slide("s"), settings, pool, Quiet())
    model, about = load_model("default"), describe_store(store, nearest_in(store), np.arange(len(store)))
    for described in (None, about):
        classes = []
        for number in (torch.float32, torch.bfloat16):
            monkeypatch.setattr(asking, "fast_dtype", lambda *_, number=number, **__: number)
            classes.append(label(model, store.patches, device="cpu", threads=1, described=described)[0])
        assert (classes[0] == classes[1]).mean() >= AGREE
