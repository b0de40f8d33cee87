"""Separation into haematoxylin and eosin."""

import dataclasses

import numpy as np

from wsipipe.image.deconvolve import OD_UNIT, mixed, separate
from wsipipe.image.stain import REFERENCE, unmixing


def test_concentrations_come_back() -> None:
    h, e = np.meshgrid(np.linspace(0, 0.8, 9), np.linspace(0, 0.5, 6))
    od = h[..., None] * np.array(REFERENCE.vectors[0]) + e[..., None] * np.array(REFERENCE.vectors[1])
    rgb = np.rint(240 * 10**-od).astype(np.uint8)
    h_od, e_od = separate(rgb, REFERENCE)
    assert h_od.dtype == e_od.dtype == np.uint16
    assert np.abs(h_od * OD_UNIT - h).max() < 0.02
    assert np.abs(e_od * OD_UNIT - e).max() < 0.02


def test_it_is_the_matrix_formula_to_one_unit_and_never_negative() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (50, 40, 3)).astype(np.uint8)
    profile = dataclasses.replace(REFERENCE, white=(250.0, 240.0, 245.0))
    od = np.maximum(np.log10(np.array(profile.white) / np.maximum(rgb, 1)), 0)
    expected = np.maximum(od @ unmixing(profile.vectors).T, 0)
    for found, want in zip(separate(rgb, profile), np.moveaxis(expected, -1, 0), strict=True):
        assert np.abs(found * OD_UNIT - want).max() < 2.5 * OD_UNIT


def test_views_and_locked_arrays_give_the_same_pixels() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (50, 40, 3)).astype(np.uint8)
    rgb.setflags(write=False)
    whole = separate(rgb, REFERENCE)[0]
    assert (separate(rgb[3:20, 5:33], REFERENCE)[0] == whole[3:20, 5:33]).all()
    assert (separate(rgb[:, :, :][::-1], REFERENCE)[0] == whole[::-1]).all()


def test_mixed_haematoxylin_lies_between_that_of_the_slide_and_of_the_reference() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (50, 40, 3)).astype(np.uint8)
    profile = dataclasses.replace(REFERENCE, vectors=((0.65, 0.70, 0.29), (0.20, 0.93, 0.30)))
    own = mixed(rgb, profile, 0.0)
    assert (own == separate(rgb, profile)[0]).all()
    assert (mixed(rgb, profile, 1.0) == separate(rgb, REFERENCE)[0]).all()
    half = mixed(rgb, profile, 0.5).astype(int)
    positive = (own > 0) & (separate(rgb, REFERENCE)[0] > 0)
    assert np.abs(2 * half - own - separate(rgb, REFERENCE)[0])[positive].max() <= 3


def test_given_vectors_separate_dab_from_haematoxylin() -> None:
    vectors = ((0.6504, 0.7044, 0.2862), (0.2682, 0.5703, 0.7764))
    h, dab = np.meshgrid(np.linspace(0, 0.8, 9), np.linspace(0, 0.9, 6))
    od = h[..., None] * np.array(vectors[0]) + dab[..., None] * np.array(vectors[1])
    rgb = np.rint(240 * 10**-od).astype(np.uint8)
    profile = dataclasses.replace(REFERENCE, method="given", vectors=vectors)
    first, second = separate(rgb, profile)
    assert np.abs(first * OD_UNIT - h).max() < 0.03
    assert np.abs(second * OD_UNIT - dab).max() < 0.03
    assert (mixed(rgb, profile, 0.45) == first).all()  # no share of a reference that knows no DAB
