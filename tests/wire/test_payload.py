"""JSON payloads keep every value, and refuse what JSON can't hold with the path to it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novita_sdk.wire import payload

pytestmark = pytest.mark.core

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


def exact(value: Any) -> str:
    """A form in which 1 and 1.0, and objects of another key order, differ."""
    return json.dumps(value)


@given(json_values)
def test_every_json_value_survives_exactly(value: Any) -> None:
    assert exact(payload.load(payload.dump(value))) == exact(value)


def test_text_goes_out_as_utf8_without_spaces() -> None:
    assert payload.dump({"u": "é☃", "n": [1, 2.0]}) == '{"u":"é☃","n":[1,2.0]}'.encode()


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_two_hundred_levels_are_fine_and_a_hundred_thousand_are_refused() -> None:
    assert payload.load(payload.dump(nested(200))) == nested(200)
    with pytest.raises(payload.PayloadError, match="nested too deeply"):
        payload.dump(nested(100_000))
    with pytest.raises(payload.PayloadError, match="nested too deeply"):
        payload.load(b"[" * 100_000 + b"]" * 100_000)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {"b c": math.nan}]}, r'input\.a\[1\]\["b c"\] is nan; JSON has no NaN or Infinity'),
        ({"a": -math.inf}, r"input\.a is -inf"),
        ({"image": b"\x89PNG"}, r"input\.image is bytes; encode it"),
        ([{"x": "\ud800"}], r"input\[0\]\.x holds a lone surrogate"),
        ({"k\udfff": 1}, r"input has the key 'k\\udfff', which holds a lone surrogate"),
        ({("a",): 1}, r"input has the key \('a',\), a tuple"),
        ({"s": {1}}, r"input\.s is of type set"),
        ({"o": object()}, r"input\.o is of type object"),
        ({"n": 10**5000}, r"input\.n is of type int"),
    ],
)
def test_an_error_names_the_path_to_the_bad_value(value: Any, message: str) -> None:
    with pytest.raises(payload.PayloadError, match=message):
        payload.dump(value)


def test_a_cycle_is_named() -> None:
    value: dict[str, Any] = {}
    value["self"] = [value]
    with pytest.raises(payload.PayloadError, match=r"output\.self\[0\] refers back"):
        payload.dump(value, "output")


def test_the_same_object_twice_is_no_cycle() -> None:
    shared = {"a": 1}
    with pytest.raises(payload.PayloadError, match=r"input\.z is bytes"):
        payload.dump({"x": shared, "y": shared, "z": b""})


def test_a_payload_over_the_limit_is_refused_with_size_and_limit() -> None:
    payload.check_size(b"x" * payload.MAX_PAYLOAD, "input")
    with pytest.raises(payload.PayloadTooLargeError, match=r"input is 4,194,305 bytes .* limit is 4,194,304") as caught:
        payload.check_size(b"x" * (payload.MAX_PAYLOAD + 1), "input")
    assert (caught.value.size, caught.value.limit) == (4194305, 4194304)


@pytest.mark.parametrize("data", [b"", b"<html>", b"{", b"\xff"])
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(payload.PayloadError, match="not JSON"):
        payload.load(data)
