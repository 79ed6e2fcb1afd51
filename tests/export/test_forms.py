"""What a row becomes: members of a tar, values of JSON, released columns."""

import json
import math
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from humanvlm.export.forms import plain, suffix_of

from .small_artifact import picture

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_any_value_is_json(value: object) -> None:
    json.dumps(plain(value), allow_nan=False)


def test_numbers_that_are_none_become_null() -> None:
    assert plain({"a": [math.nan, math.inf, 1.5], "b": "nan"}) == {"a": [None, None, 1.5], "b": "nan"}
    assert plain(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00+00:00"


def test_suffixes_are_those_of_the_content() -> None:
    assert suffix_of(picture(1)) == "jpg"
    assert suffix_of(picture(1, "WEBP")) == "webp"
    assert suffix_of(b"none") == "bin"
