"""Colour deconvolution: optical density of haematoxylin and of the second stain (eosin, DAB) at every pixel.

References
----------
Ruifrok, Johnston, "Quantification of histochemical staining by color deconvolution", AQCH 23, 2001.
"""

import numpy as np
from numpy.typing import NDArray

from wsipipe.image import lut
from wsipipe.image.compiled import plain
from wsipipe.image.stain import reference_vectors, unmixing
from wsipipe.records import StainProfile

OD_UNIT = 0.001
"""Optical density of one grey level of the separated images."""


def separate(
    rgb: NDArray[np.uint8], profile: StainProfile, within: NDArray[np.int32] | None = None
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Split pixels into the slide's two stains; every pixel depends on itself only.

    Parameters
    ----------
    rgb : uint8, (h, w, 3)
    profile : StainProfile
    within : int32, (h, w), optional
        Labels: where they are 0 the results are left 0.

    Returns
    -------
    first, second : uint16, (h, w)
        Haematoxylin, and eosin (or what else the recipe's second vector is of): optical density in multiples of
        OD_UNIT; negative concentrations are 0.
    """
    tables = lut.weighted_tables(lut.od_table(profile.white, OD_UNIT), unmixing(profile.vectors))
    h_od, e_od = np.zeros(rgb.shape[:2], np.uint16), np.zeros(rgb.shape[:2], np.uint16)
    wanted = np.ones(rgb.shape[:2], np.int32) if within is None else within
    lut.sum_pair(plain(rgb.reshape(-1, 3)), tables, plain(wanted.reshape(-1)), h_od.reshape(-1), e_od.reshape(-1))
    return h_od, e_od


def mixed(rgb: NDArray[np.uint8], profile: StainProfile, reference_share: float) -> NDArray[np.uint16]:
    """Haematoxylin as nuclei are sought in: unmixed partly by the slide's own vectors, partly by the reference's.

    A fit that is a little off costs less this way. Given vectors are their own reference.

    Parameters
    ----------
    rgb : uint8, (h, w, 3)
    profile : StainProfile
    reference_share : float
        0 the slide's own vectors, 1 the reference's.

    Returns
    -------
    uint16, (h, w)
        Optical density in multiples of OD_UNIT.
    """
    own, reference = unmixing(profile.vectors)[:1], unmixing(reference_vectors(profile))[:1]
    weights = (1.0 - reference_share) * own + reference_share * reference
    tables = lut.weighted_tables(lut.od_table(profile.white, OD_UNIT), weights)
    out = np.empty(rgb.shape[:2], np.uint16)
    lut.sum_one(plain(rgb.reshape(-1, 3)), tables[0], out.reshape(-1))
    return out
