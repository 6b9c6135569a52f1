"""JSON payloads keep every value, and refuse what JSON can't hold with the path to it."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import math
import uuid
from decimal import Decimal
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novita_sdk.wire import payload
from novita_sdk.wire.payload import PayloadError, dump

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
        ({"s": 1j}, r"input\.s is of type complex"),
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


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    when: datetime.date


PLAIN = {
    "moment": (datetime.datetime(2024, 1, 2, 3, 4, 5, 6, datetime.UTC), b'"2024-01-02T03:04:05.000006+00:00"'),
    "time": (datetime.time(3, 4), b'"03:04:00"'),
    "decimal": (Decimal("1.10000000000000000001"), b'"1.10000000000000000001"'),
    "uuid": (uuid.UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
    "enum": (Colour.RED, b'"red"'),
    "path": (PurePosixPath("a/b"), b'"a/b"'),
    "dataclass": (Point(1, datetime.date(2024, 1, 2)), b'{"x":1,"when":"2024-01-02"}'),
    "set": ({10, 9, 1}, b"[1,9,10]"),
    "mixed set": (frozenset({"b", 1, "a"}), b'["a","b",1]'),
    "mapping": (MappingProxyType({"a": {2}}), b'{"a":[2]}'),
    "keys": ({Colour.RED: 1, datetime.date(2024, 1, 2): 2}, b'{"red":1,"2024-01-02":2}'),
}


@pytest.mark.parametrize("kind", PLAIN)
def test_what_json_hasnt_is_written_as_what_it_has(kind: str) -> None:
    value, text = PLAIN[kind]
    assert dump(value) == text
    assert dump({"deep": [value, 2**70, 0.1]}) == b'{"deep":[' + text + b",1180591620717411303424,0.1]}"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": {1: 1, Colour.RED: [datetime.timedelta(1)]}}, r"input\.a\.red\[0\] is of type timedelta"),
        ({Colour.RED: 1, "red": 2}, "two of its keys are the same"),
        ({(1, 2): {3}}, r"has the key \(1, 2\), a tuple"),
        ({"a": {1 + 2j}}, r"input\.a\[0\] is of type complex"),
        ([Decimal(1), float("nan")], r"input\[1\] is nan"),
        ({"a": {1}, "b": b"x"}, r"input\.b is bytes"),
    ],
)
def test_what_stays_refused_is_named(value: object, message: str) -> None:
    with pytest.raises(PayloadError, match=message):
        dump(value)


def test_values_of_numpy_are_exact() -> None:
    numpy = pytest.importorskip("numpy")
    values = {
        "scalars": [numpy.float32(0.1), numpy.int64(2**62), numpy.bool_(True), numpy.uint64(2**64 - 1)],
        "array": numpy.arange(4, dtype="f4").reshape(2, 2) / 10,
        "moments": numpy.array(["2024-01-01T00:00:00.000000001"], dtype="M8[ns]"),
    }
    written = json.loads(dump(values))
    assert written["scalars"] == [0.10000000149011612, 2**62, True, 2**64 - 1]
    assert numpy.array_equal(numpy.array(written["array"], dtype="f4"), values["array"])
    assert written["moments"] == ["2024-01-01T00:00:00.000000001"]
    assert dump({numpy.int64(1): 2}) == b'{"1":2}'
    for refused in (numpy.longdouble(1) / 3, numpy.complex128(1j), numpy.timedelta64(1, "ns"), numpy.float32("nan")):
        with pytest.raises(PayloadError, match=r"input\.a is"):
            dump({"a": refused})
