import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsipipe.io import json_stream
from wsipipe.io.json_stream import FeatureStream

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.dictionaries(st.text(max_size=4).filter(lambda key: key != "features"), VALUES, max_size=3)


class Trickle(io.StringIO):
    """Gives at most a few characters a read, as if chunks were that small."""

    def read(self, size: int | None = -1, /) -> str:
        return super().read(7)


def streamed(text: str) -> tuple[list[Any], dict[str, Any]]:
    stream = FeatureStream(Trickle(text))
    return list(stream), stream.members


@given(st.lists(VALUES, max_size=4), MEMBERS, MEMBERS, st.sampled_from([None, 1]))
def test_any_collection_comes_back_whole(features: list, before: dict, after: dict, indent: int | None) -> None:
    document = {**before, "features": features, **{k: v for k, v in after.items() if k not in before}}
    found, members = streamed(json.dumps(document, indent=indent))
    assert found == features
    assert members == {k: v for k, v in document.items() if k != "features"}


@given(st.lists(VALUES, max_size=4))
def test_a_bare_list_comes_back_whole(features: list) -> None:
    assert streamed(json.dumps(features)) == (features, {})


def test_one_object_is_one_feature() -> None:
    point = {"type": "Point", "coordinates": [1, 2.5]}
    assert streamed(json.dumps(point))[0] == [point]


@pytest.mark.parametrize(
    "text",
    ["", "  ", "3", "{", "[", '[{"a":1}', '[{"a":1},]', '[{"a":1} {"b":2}]', "[] []", '{"features":[1}', '{"a" 1}',
     "{a:1}", '{"features":[1],}', '{"features":[1]'],
)  # fmt: skip
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        streamed(text)


def test_memory_holds_one_feature_not_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK", 1000)
    text = json.dumps([{"n": i, "pad": "x" * 100} for i in range(1000)])
    stream = FeatureStream(io.StringIO(text))
    for i, feature in enumerate(stream):
        assert feature["n"] == i
        assert len(stream._text) < 4000
