"""Labels from the nodes that were kept."""

import numpy as np
from numpy.typing import NDArray

from wsipipe.image.compiled import compiled
from wsipipe.image.tree_judge import AT, AT_LEVEL, KEEP, KIND


@compiled
def paint(images: NDArray[np.uint8], events: tuple[NDArray[np.int32], ...]) -> tuple[NDArray[np.int32], int]:
    """Label the kept nodes 1..n, from the largest node to the smallest and from the first image to the last.

    Returns
    -------
    labels : int32, (h, w)
    n : int
    """
    width, size = images.shape[2], images.shape[1] * images.shape[2]
    labels = np.zeros(size, np.int32)
    tree_of, floor = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    stack = np.empty(size, np.int32)
    n = 0
    for k in range(images.shape[0]):
        flat = images[k].reshape(-1)
        for i in range(events[k].shape[0] - 1, -1, -1):
            seed, level, kind = events[k][i, AT], events[k][i, AT_LEVEL], events[k][i, KIND]
            if labels[seed] != 0 or tree_of[seed] != k or level < floor[seed]:
                continue
            n += kind == KEEP
            stack[0], height = seed, 1
            while height > 0:
                height -= 1
                pixel = stack[height]
                if labels[pixel] != 0 or tree_of[pixel] != k:
                    continue
                if kind == KEEP:
                    labels[pixel] = n
                else:
                    tree_of[pixel], floor[pixel] = k + 1, level
                for step in (-1, 1, -width, width):
                    other = pixel + step
                    if labels[other] == 0 and tree_of[other] == k and flat[other] >= level:
                        stack[height] = other
                        height += 1
    return labels.reshape(images.shape[1:]), n
