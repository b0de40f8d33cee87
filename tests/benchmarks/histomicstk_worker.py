"""HistomicsTK's chain in its own environment; started by `histomicstk_chain`, speaks JSON lines.

Each line of stdin names an image, a file to write and the choices; the answer says the seconds of wall and CPU time
from pixels in memory to labels in memory. The steps are those of HistomicsTK's nuclei_segmentation example, with the
reference colours of its NucleiDetection tool, and stain vectors by Macenko's method instead of fixed ones.
"""

import importlib.metadata
import json
import platform
import sys
import time
import unittest.mock

# Imported at the top of packages that this chain does not use.
UNUSED = (
    "ctk_cli", "dask", "dask.distributed", "distributed", "girder_client", "large_image", "matplotlib",
    "matplotlib.colors", "matplotlib.patches", "matplotlib.path", "matplotlib.pylab", "matplotlib.pyplot", "pyvips",
    "shapely", "shapely.geometry", "shapely.geometry.polygon", "shapely.ops", "slicer_cli_web", "sqlalchemy",
)  # fmt: skip
sys.modules.update({name: unittest.mock.MagicMock() for name in UNUSED})

import histomicstk.filters.shape as htk_shape  # noqa: E402
import histomicstk.preprocessing.color_deconvolution as htk_deconvolution  # noqa: E402
import histomicstk.preprocessing.color_normalization as htk_normalization  # noqa: E402
import histomicstk.segmentation as htk_segmentation  # noqa: E402
import numpy as np  # noqa: E402
import scipy.ndimage  # noqa: E402
import skimage.filters  # noqa: E402
import skimage.io  # noqa: E402

REFERENCE_MU_LAB = (8.63234435, -0.11501964, 0.03868433)
REFERENCE_STD_LAB = (0.57506023, 0.10403329, 0.01364062)
LOCAL_MAX_SEARCH_RADIUS = 10
MIN_NUCLEUS_AREA = 80
WHITE = 255


def main() -> None:
    """Say the versions, then answer every line until there are no more."""
    packages = ("histomicstk", "numpy", "scipy", "scikit-image")
    versions = {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in packages}}
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        rgb = np.ascontiguousarray(skimage.io.imread(task["image"])[..., :3])
        wall, cpu = time.perf_counter(), time.process_time()
        labels = chain(rgb, task["threshold"], getattr(htk_shape, task["filter"]), task["sigmas"])
        seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        np.save(task["out"], labels.astype(np.int32), allow_pickle=False)
        print(json.dumps(seconds), flush=True)


def chain(rgb: np.ndarray, threshold: str, blob_filter, sigmas: list[float]) -> np.ndarray:
    """Labels (h, w) of the nuclei of an image (h, w, 3)."""
    normalized = htk_normalization.reinhard(rgb, REFERENCE_MU_LAB, REFERENCE_STD_LAB)
    vectors = htk_deconvolution.rgb_separate_stains_macenko_pca(normalized, WHITE)
    stains = htk_deconvolution.color_deconvolution(normalized, vectors, WHITE).Stains
    index = htk_deconvolution.find_stain_index(htk_deconvolution.stain_color_map["hematoxylin"], vectors)
    nuclear = stains[:, :, index].astype(float)
    level = skimage.filters.threshold_otsu(nuclear) if threshold == "otsu" else float(threshold)
    mask = scipy.ndimage.binary_fill_holes(nuclear < level)
    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    response, _ = blob_filter(nuclear, mask, *sigmas)
    labels, seeds, _ = htk_segmentation.nuclear.max_clustering(response, mask, LOCAL_MAX_SEARCH_RADIUS)
    if seeds is None:
        return np.zeros(mask.shape, np.int32)
    return htk_segmentation.label.area_open(labels, MIN_NUCLEUS_AREA)


if __name__ == "__main__":
    main()
