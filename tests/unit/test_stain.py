"""Stain profiles and normalization."""

import dataclasses

import numpy as np
import pytest

from wsipipe.config import StainConfig
from wsipipe.image import lut, stain
from wsipipe.records import StainProfile

WHITE = (240.0, 240.0, 240.0)
SCANNER = ((0.65, 0.70, 0.29), (0.20, 0.93, 0.30))
H_DAB = ((0.650, 0.704, 0.286), (0.268, 0.570, 0.776))
GIVEN = StainConfig(method="given", stain_1=H_DAB[0], stain_2=H_DAB[1])


def stained(vectors: stain.Vectors, h: np.ndarray, e: np.ndarray, white: tuple = WHITE) -> np.ndarray:
    """Pixels with these concentrations, by the law of Beer and Lambert."""
    od = h[..., None] * np.array(vectors[0]) + e[..., None] * np.array(vectors[1])
    return np.clip(np.rint(np.array(white) * 10**-od), 0, 255).astype(np.uint8)


def tissue(vectors: stain.Vectors, n: int = 3, seed: int = 0, white: tuple = WHITE) -> np.ndarray:
    """Blocks in which some pixels are mostly haematoxylin, most mostly eosin."""
    rng = np.random.default_rng(seed)
    nuclear = rng.random((n, 64, 64)) < 0.25
    h = np.where(nuclear, rng.uniform(0.4, 0.9, nuclear.shape), rng.uniform(0, 0.05, nuclear.shape))
    e = np.where(nuclear, rng.uniform(0.0, 0.05, nuclear.shape), rng.uniform(0.2, 0.5, nuclear.shape))
    return stained(vectors, h, e, white)


def all_finite(profile: StainProfile) -> bool:
    values = [*profile.white, *profile.vectors[0], *profile.vectors[1], *profile.max_od]
    return bool(np.isfinite([*values, *profile.lab_mean, *profile.lab_std]).all())


def degrees(a: tuple, b: tuple) -> float:
    return float(np.degrees(np.arccos(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))))


@pytest.mark.parametrize("vectors", [SCANNER, stain.REFERENCE.vectors])
def test_macenko_finds_the_stains_that_made_the_pixels(vectors: stain.Vectors) -> None:
    profile = stain.fit_stain(tissue(vectors), WHITE, StainConfig())
    assert profile.fallback == ""
    assert degrees(profile.vectors[0], vectors[0]) < 3
    assert degrees(profile.vectors[1], vectors[1]) < 3
    assert profile.max_od[0] == pytest.approx(0.9, abs=0.06)
    assert profile.max_od[1] == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("vectors", [SCANNER, stain.REFERENCE.vectors, ((0.64, 0.72, 0.27), (0.09, 0.95, 0.28))])
@pytest.mark.parametrize("seed", [0, 1])
def test_vahadane_finds_the_stains_that_made_the_pixels(vectors: stain.Vectors, seed: int) -> None:
    profile = stain.fit_stain(tissue(vectors, seed=seed), WHITE, StainConfig(method="vahadane"))
    assert profile.fallback == ""
    assert profile.method == "vahadane"
    assert degrees(profile.vectors[0], vectors[0]) < 5
    assert degrees(profile.vectors[1], vectors[1]) < 5
    assert np.linalg.norm(profile.vectors, axis=1) == pytest.approx([1, 1])


@pytest.mark.parametrize("method", ["macenko", "vahadane"])
def test_haematoxylin_comes_first_even_where_it_is_the_lesser_stain(method: str) -> None:
    profile = stain.fit_stain(tissue(SCANNER), WHITE, StainConfig(method=method))
    assert profile.vectors[0][0] > profile.vectors[1][0]


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        (np.full((2, 64, 64, 3), 240, np.uint8), "0 stained pixels"),
        (np.zeros((0, 64, 64, 3), np.uint8), "0 stained pixels"),
        (np.full((2, 64, 64, 3), (90, 60, 140), np.uint8), "reference stain vectors"),
        (np.zeros((2, 64, 64, 3), np.uint8), "reference stain vectors"),
        (
            stained(SCANNER, np.random.default_rng(0).uniform(0.2, 1, (2, 64, 64)), np.zeros((2, 64, 64))),
            "reference stain vectors",
        ),
        (
            stained(((0.2, 0.3, 0.93), (0.9, 0.4, 0.1)), *np.random.default_rng(0).uniform(0, 0.7, (2, 2, 64, 64))),
            "degrees from the reference",
        ),
    ],
    ids=["glass", "nothing", "one colour", "black", "one stain", "other stains"],
)
@pytest.mark.parametrize("method", ["macenko", "vahadane"])
def test_an_impossible_fit_says_why_and_uses_the_reference(blocks: np.ndarray, reason: str, method: str) -> None:
    profile = stain.fit_stain(blocks, WHITE, StainConfig(method=method))
    assert reason in profile.fallback
    assert profile.vectors == stain.REFERENCE.vectors
    assert all_finite(profile)


def test_a_pale_slide_that_cannot_be_fitted_is_darkened_as_a_whole() -> None:
    amounts = np.random.default_rng(0).uniform(0.4, 1, (2, 64, 64))
    profiles = [
        stain.fit_stain(stained(SCANNER, part * amounts, np.zeros((2, 64, 64))), WHITE, StainConfig())
        for part in (0.5, 1.0)
    ]
    assert all("reference stain vectors" in profile.fallback for profile in profiles)
    (pale, pale_second), (dark, dark_second) = (profile.max_od for profile in profiles)
    assert pale == pytest.approx(0.5 * dark, rel=0.05)
    ratio = stain.REFERENCE.max_od[0] / stain.REFERENCE.max_od[1]
    assert pale / pale_second == pytest.approx(ratio)
    assert dark / dark_second == pytest.approx(ratio)


def test_given_vectors_are_kept_at_length_one_and_only_maxima_are_fitted() -> None:
    twice = StainConfig(method="given", stain_1=(1.300, 1.408, 0.572), stain_2=(0.536, 1.140, 1.552))
    profile = stain.fit_stain(tissue(H_DAB), WHITE, twice)
    assert profile.fallback == ""
    assert np.linalg.norm(profile.vectors, axis=1) == pytest.approx([1, 1])
    assert profile.vectors[0] == pytest.approx(H_DAB[0], abs=1e-3)
    assert profile.vectors[1] == pytest.approx(H_DAB[1], abs=1e-3)
    assert profile.max_od == pytest.approx((0.9, 0.5), abs=0.06)


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        (np.full((2, 64, 64, 3), 240, np.uint8), "the reference maxima stand in: only 0 stained pixels"),
        (
            stained(H_DAB, np.random.default_rng(0).uniform(0.2, 1, (2, 64, 64)), np.zeros((2, 64, 64))),
            "the reference maximum stands in: the second stain is absent",
        ),
        (
            stained(H_DAB, np.zeros((2, 64, 64)), np.random.default_rng(0).uniform(0.2, 1, (2, 64, 64))),
            "the reference maximum stands in: the first stain is absent",
        ),
    ],
    ids=["glass", "no marker", "no haematoxylin"],
)
def test_a_given_stain_that_is_absent_is_named_and_not_amplified(blocks: np.ndarray, reason: str) -> None:
    profile = stain.fit_stain(blocks, WHITE, GIVEN)
    assert reason in profile.fallback
    assert np.allclose(profile.vectors, H_DAB, atol=1e-3)
    assert min(profile.max_od) >= stain.MIN_MAX_OD
    assert np.abs(stain.normalize(blocks, profile).astype(int) - blocks).max() < 100


def test_given_stains_are_normalized_towards_themselves() -> None:
    pale, strong = (stained(H_DAB, *(np.random.default_rng(5).uniform(0, top, (2, 3, 64, 64)))) for top in (0.3, 0.9))
    profiles = [stain.fit_stain(blocks, WHITE, GIVEN) for blocks in (pale, strong)]
    after = [stain.normalize(blocks, p) for blocks, p in zip((pale, strong), profiles, strict=True)]
    assert np.abs(pale.astype(int) - strong).mean() > 40
    assert np.abs(after[0].astype(int) - after[1]).mean() < 5
    again = stain.fit_stain(after[0], WHITE, GIVEN)
    assert again.max_od == pytest.approx(stain.REFERENCE.max_od, abs=0.03)


@pytest.mark.parametrize("white", [(float("nan"), 240.0, 240.0), (0.0, 0.0, 0.0), (300.0, 240.0, 240.0)])
def test_an_implausible_white_is_replaced_and_named(white: tuple[float, float, float]) -> None:
    profile = stain.fit_stain(tissue(SCANNER), white, StainConfig())
    assert "white" in profile.fallback
    assert all_finite(profile)


@pytest.mark.parametrize("method", ["macenko", "vahadane", "reinhard"])
def test_normalization_brings_two_scanners_together(method: str) -> None:
    config = StainConfig(method=method)
    one, other = tissue(SCANNER), tissue(stain.REFERENCE.vectors)
    profiles = [stain.fit_stain(blocks, WHITE, config) for blocks in (one, other)]
    before = np.abs(one.astype(int) - other).mean()
    after = np.abs(stain.normalize(one, profiles[0]).astype(int) - stain.normalize(other, profiles[1])).mean()
    assert after < before / 2


@pytest.mark.parametrize("method", ["macenko", "vahadane", "given", "reinhard"])
def test_a_slide_with_the_reference_stain_hardly_changes(method: str) -> None:
    rgb = tissue(stain.REFERENCE.vectors)
    profile = dataclasses.replace(stain.REFERENCE, method=method)
    assert np.abs(stain.normalize(rgb, profile).astype(int) - rgb).max() <= 2


def test_reinhard_gives_the_reference_its_statistics() -> None:
    rgb = tissue(SCANNER)
    profile = stain.fit_stain(rgb, WHITE, StainConfig(method="reinhard", min_od=0.0))
    again = stain.fit_stain(stain.normalize(rgb, profile), WHITE, StainConfig(method="reinhard", min_od=0.0))
    assert again.lab_mean == pytest.approx(stain.REFERENCE.lab_mean, abs=0.02)
    assert again.lab_std == pytest.approx(stain.REFERENCE.lab_std, rel=0.15)


def test_reinhard_agrees_with_the_formula_in_floating_point() -> None:
    rgb = np.random.default_rng(1).integers(40, 250, (500, 3)).astype(np.uint8)
    profile = dataclasses.replace(
        stain.REFERENCE, method="reinhard", lab_mean=(3.6, -0.1, 0.02), lab_std=(0.3, 0.06, 0.01)
    )
    lab = np.log10(rgb @ stain.RGB_TO_LMS.T) @ stain.LOG_LMS_TO_LAB.T
    lab = (lab - profile.lab_mean) / profile.lab_std * stain.REFERENCE.lab_std + stain.REFERENCE.lab_mean
    expected = 10 ** (lab @ np.linalg.inv(stain.LOG_LMS_TO_LAB).T) @ np.linalg.inv(stain.RGB_TO_LMS).T
    assert np.abs(stain.normalize(rgb, profile) - np.clip(expected, 0, 255)).max() < 1.5


def test_macenko_agrees_with_the_formula_in_floating_point() -> None:
    rgb = np.random.default_rng(2).integers(1, 256, (500, 3)).astype(np.uint8)
    profile = dataclasses.replace(stain.REFERENCE, white=(250.0, 245.0, 248.0), vectors=SCANNER, max_od=(1.2, 0.6))
    od = np.maximum(np.log10(np.array(profile.white) / rgb), 0)
    stains = od @ stain.unmixing(SCANNER).T * (np.array(stain.REFERENCE.max_od) / profile.max_od)
    expected = np.array(stain.REFERENCE.white) * 10 ** -(stains @ np.array(stain.REFERENCE.vectors))
    assert np.abs(stain.normalize(rgb, profile) - np.clip(expected, 0, 240)).max() < 1.0


@pytest.mark.parametrize("method", ["macenko", "vahadane", "given", "reinhard", "none"])
def test_every_pixel_depends_on_itself_only(method: str) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (37, 53, 3)).astype(np.uint8)
    profile = dataclasses.replace(stain.REFERENCE, method=method, vectors=SCANNER, lab_mean=(3.5, -0.1, 0.01))
    whole = stain.normalize(rgb, profile)
    assert whole.dtype == np.uint8
    assert whole is not rgb
    assert (stain.normalize(rgb[5:30, 7::2], profile) == whole[5:30, 7::2]).all()
    assert (stain.normalize(rgb.reshape(-1, 3), profile) == whole.reshape(-1, 3)).all()
    assert (stain.normalize(rgb[::-1], profile) == whole[::-1]).all()


def test_no_pixels() -> None:
    assert stain.normalize(np.zeros((0, 32, 32, 3), np.uint8), stain.REFERENCE).shape == (0, 32, 32, 3)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="macenko, vahadane, given, reinhard or none"):
        stain.normalize(np.zeros((1, 3), np.uint8), dataclasses.replace(stain.REFERENCE, method="hsv"))


def test_od_table_is_the_definition_of_optical_density() -> None:
    table = lut.od_table((240.0, 250.0, 255.0), 0.001)
    assert table[0, 24] == 1000
    assert table[1, 25] == 1000
    assert table[2, 255] == 0
    assert table[0, 250] == 0
    assert table[0, 0] == table[0, 1]
