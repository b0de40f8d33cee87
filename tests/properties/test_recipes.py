"""Recipes: whatever is wrong with one is said at once; what is right comes back as it was."""

import dataclasses
import json
import math
import tomllib

import numpy as np
import pytest
import tomli_w
from hypothesis import assume, given
from hypothesis import strategies as st

from wsipipe.config import Recipe, config_hash, differences, load_recipe, packed_recipes, parse_recipe
from wsipipe.errors import RecipeError

STAGES = [f.name for f in dataclasses.fields(Recipe) if f.name != "name"]
NUMBERS = [
    (stage, f.name, f.metadata["low"], f.metadata["high"])
    for stage in STAGES
    for f in dataclasses.fields(type(getattr(Recipe(), stage)))
    if "low" in f.metadata
]


def test_a_recipe_that_notepad_saved_is_read(tmp_path):
    path = tmp_path / "own.toml"
    path.write_bytes(b"\xef\xbb\xbf[working]\r\nmpp = 0.25\r\n")
    assert load_recipe(str(path)).working.mpp == 0.25


@pytest.mark.parametrize("name", packed_recipes())
def test_every_packed_recipe_loads_and_round_trips(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert parse_recipe(recipe.to_dict()) == recipe
    assert load_recipe(str(packed_recipes()[name])) == recipe


def test_the_paper_is_the_published_configuration():
    paper = load_recipe("paper")
    gan = paper.gan
    assert (gan.classes, gan.noise_dim, gan.channels, gan.batch, gan.critic_steps) == (5, 32, 128, 10, 5)
    assert (gan.learning_rate, gan.beta1, gan.beta2) == (1e-4, 0.5, 0.9)
    assert (gan.lambda_gradient, gan.lambda_info, gan.lambda_real, gan.augment) == (10, 1, 0, "flips")
    assert paper.stain.method == "reinhard"
    assert paper.patches.surroundings is False


@given(st.sampled_from(NUMBERS), st.booleans(), st.floats(1.01, 10))
def test_values_out_of_range_are_named(limits, below, factor):
    stage, name, low, high = limits
    default = getattr(getattr(Recipe(), stage), name)
    value = type(default)(math.floor(low - 1) if below else math.ceil(high * factor + 1))
    with pytest.raises(RecipeError, match=rf"{stage}\.{name} must be between"):
        parse_recipe({stage: {name: value}})


@given(st.sampled_from(NUMBERS), st.one_of(st.text(), st.booleans(), st.none(), st.just([1]), st.just(float("nan"))))
def test_values_of_a_wrong_type_are_named(limits, value):
    stage, name, _, _ = limits
    with pytest.raises(RecipeError, match=rf"{stage}\.{name} must be"):
        parse_recipe({stage: {name: value}})


def test_kinds_and_limits_are_said_in_plain_words():
    data = {"working": {"mpp": "0.5"}, "gan": {"classes": True}, "tiling": {"tile_px": 10}}
    with pytest.raises(RecipeError) as caught:
        parse_recipe(data)
    assert caught.value.what == (
        "working.mpp must be a number, not '0.5'; tiling.tile_px must be between 128 and 1048576, not 10; "
        "gan.classes must be a whole number, not true"
    )


@given(st.sets(st.sampled_from([f"{stage}.{name}" for stage, name, _, _ in NUMBERS]), min_size=2, max_size=6))
def test_all_faults_come_in_one_error(faults):
    data: dict[str, dict[str, object]] = {"nonsense": {}}
    for fault in faults:
        stage, name = fault.split(".")
        data.setdefault(stage, {})[name] = "wrong"
    with pytest.raises(RecipeError) as caught:
        parse_recipe(data)
    assert "unknown key nonsense" in str(caught.value)
    assert all(fault in str(caught.value) for fault in faults)


@pytest.mark.parametrize("data", [{"gan": 3}, {"gan": [1]}, {"name": 4}, {"patches": {"surroundings": 1}}])
def test_tables_and_scalars_are_not_confused(data):
    with pytest.raises(RecipeError):
        parse_recipe(data)


VECTORS = st.lists(st.floats(0.02, 10), min_size=3, max_size=3)


@given(VECTORS, VECTORS)
def test_stain_vectors_come_back_or_are_the_same_stain(one, other):
    data = {"stain": {"method": "given", "stain_1": one, "stain_2": other}}
    sine = np.linalg.norm(np.cross(one, other)) / np.linalg.norm(one) / np.linalg.norm(other)
    assume(abs(sine - 0.1) > 1e-6)
    if sine < 0.1:
        with pytest.raises(RecipeError, match=r"stain_1 and stain\.stain_2 are the same stain"):
            parse_recipe(data)
        return
    recipe = parse_recipe(data)
    assert recipe.stain.stain_1 == tuple(one)
    assert json.loads(json.dumps(recipe.to_dict())) == recipe.to_dict()
    assert parse_recipe(tomllib.loads(tomli_w.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize(
    "vector", [3, "he", [1, 2], [1, 2, 3, 4], [1, 2, -1], [0, 0, 0], [1, 2, True], [1, 2, 11], [1, 2, math.nan], {}]
)
def test_what_is_no_stain_vector_is_named_with_all_other_faults(vector):
    with pytest.raises(RecipeError) as caught:
        parse_recipe({"stain": {"stain_1": [1, "x", 2], "stain_2": vector, "method": "hsv"}})
    assert "stain.stain_1 must be three numbers" in str(caught.value)
    assert "stain.stain_2 must be three numbers" in str(caught.value)
    assert "stain.method must be one of" in str(caught.value)


def test_tiling_and_training_change_no_store():
    recipe = Recipe()
    other = parse_recipe({"tiling": {"tile_px": 256}, "gan": {"classes": 9}, "proportions": {"min_cells": 1}})
    assert config_hash(recipe.segment_dict()) == config_hash(other.segment_dict())
    finer = parse_recipe({"working": {"mpp": 0.25}})
    assert config_hash(recipe.segment_dict()) != config_hash(finer.segment_dict())
    assert differences(recipe.segment_dict(), finer.segment_dict()) == ["working.mpp was 0.5, is 0.25"]
