"""Colour deconvolution: optical density of haematoxylin and eosin at every pixel.

References
----------
Ruifrok, Johnston, "Quantification of histochemical staining by color deconvolution", AQCH 23, 2001.
"""

import numpy as np
from numpy.typing import NDArray

from wsipipe.image import lut
from wsipipe.image.compiled import plain
from wsipipe.image.stain import unmixing
from wsipipe.records import StainProfile

OD_UNIT = 0.001
"""Optical density of one grey level of the separated images."""


def separate(rgb: NDArray[np.uint8], profile: StainProfile) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Split pixels into haematoxylin and eosin with the slide's stain vectors; every pixel depends on itself only.

    Parameters
    ----------
    rgb : uint8, (h, w, 3)
    profile : StainProfile

    Returns
    -------
    haematoxylin, eosin : uint16, (h, w)
        Optical density in multiples of OD_UNIT; negative concentrations are 0.
    """
    tables = lut.weighted_tables(lut.od_table(profile.white, OD_UNIT), unmixing(profile.vectors))
    h_od, e_od = np.empty(rgb.shape[:2], np.uint16), np.empty(rgb.shape[:2], np.uint16)
    lut.sum_pair(plain(rgb.reshape(-1, 3)), tables, h_od.reshape(-1), e_od.reshape(-1))
    return h_od, e_od
