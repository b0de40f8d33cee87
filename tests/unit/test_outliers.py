import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wsipipe.cohort.outliers import LEAST_SLIDES, USUAL_SHARE, angles, outliers


def test_a_slide_far_from_the_median_is_named_with_its_value() -> None:
    shares = np.array([0.10, 0.11, 0.09, 0.12, 0.10, 0.08, 0.11, 0.10, 0.62])
    found = outliers({"share of c2": shares})
    assert found[:8] == [()] * 8
    assert found[8] == ("share of c2 0.62, median 0.1",)


def test_rare_classes_are_compared_as_angles() -> None:
    shares = np.array([0.0, 0.001, 0.002, 0.004, 0.006, 0.01, 0.015, 0.02, 0.03, 0.08, 0.5])
    name = "c2"
    plain = outliers({name: 100 * shares})
    angular = outliers({name: 100 * shares}, {name: angles(shares)}, {name: " %"})
    assert plain[9]
    assert angular[:10] == [()] * 10
    assert angular[10] == ("c2 50 %, median 1 %",)
    assert outliers({"x": np.array([5000.0] * 9 + [18_060.0])})[-1] == ("x 18,060, median 5,000",)


def test_one_odd_slide_among_equal_ones_is_found() -> None:
    assert outliers({"x": np.array([1.0] * 19 + [2.0])})[-1] == ("x 2, median 1",)


def test_a_class_that_one_kind_of_slides_has_makes_none_of_them_an_outlier() -> None:
    rng = np.random.default_rng(0)
    shares = np.concatenate([rng.uniform(0, 0.01, 30), rng.uniform(0.1, 0.7, 20)])
    assert not any(outliers({"c2": shares}, {"c2": angles(shares)}))
    odd = np.array([*rng.normal(0.3, 0.02, 45), *[0.9] * 5])
    assert [i for i, found in enumerate(outliers({"c2": odd}, {"c2": angles(odd)})) if found] == [*range(45, 50)]


def test_missing_values_are_no_outliers_and_few_slides_say_nothing() -> None:
    values = np.array([1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 1.0, 1.0, np.nan])
    assert outliers({"x": values}) == [()] * 9
    assert outliers({"x": np.array([1.0, 2.0, 1000.0])}) == [()] * 3
    assert outliers({}) == []


@given(st.lists(st.floats(-1e6, 1e6), min_size=LEAST_SLIDES, max_size=40), st.floats(1e-3, 1e3))
def test_at_most_a_fifth_are_outliers_and_none_of_equal_ones(values: list[float], constant: float) -> None:
    column = np.array(values)
    assert sum(bool(found) for found in outliers({"x": column})) <= np.ceil((1 - USUAL_SHARE) * len(column))
    assert outliers({"x": np.full(12, constant)}) == [()] * 12
