"""JSON taken apart without building its values."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novita_sdk.wire.codec import WireError, decode
from novita_sdk.wire.json_scan import split
from novita_sdk.wire.payload import PayloadError, load

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(st.text(), VALUES, max_size=6) | st.lists(VALUES, max_size=6),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_the_parts_are_those_of_json(value: object, indent: int | None, is_ascii: bool) -> None:
    found = split(json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass"))
    parts = found.items() if isinstance(found, dict) else enumerate(found)
    wanted = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]  # a list
    assert [(key, repr(json.loads(part))) for key, part in parts] == [(key, repr(item)) for key, item in wanted]


BAD = [b"", b"7", b"<html>", b'{"a":1', b'{"a":[1,2}', b'{"a" 1}', b'{"a":1 2}', b"[1 2]", b"{} x"]
WORSE = [b'{"a":"b', b'{"a":garbage}', b"[,]", b"[1}"]


@pytest.mark.parametrize("data", BAD + WORSE)
def test_what_is_no_container_or_does_not_end_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        split(data)


def test_a_server_takes_nothing_that_it_can_not_read() -> None:
    from novita_sdk.models import JobStatus

    body = b'{"id":"j","status":"COMPLETED","output":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(WireError, match="nested too deeply"):
        decode(JobStatus, body)
    with pytest.raises(WireError, match="nested too deeply"):
        decode(JobStatus, body, lenient=True)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b"[" * 9999 + b"]" * 9999,
            r"nested too deeply for Python's json: 9,999 levels, at byte 9,998 \(it\[0\]\[0\]\[0\]\[0\]…",
        ),
        (b'[{"a\\"b": [0, "x,y", -' + b"1" * 4400 + b"]}]", r'it\[0\].a\\"b\[2\] is an integer of 4,400 digits'),
        (b"1" * 4400, "it is an integer of 4,400 digits, at byte 0"),
        (b"[1,]", "it is not JSON: "),
        (b"\xff", "it is not JSON: "),
    ],
    ids=["deep", "large", "alone", "broken", "no text"],
)
def test_what_can_not_be_read_is_told_with_its_place(data: bytes, said: str) -> None:
    with pytest.raises(PayloadError, match=said) as raised:
        load(data, "it")
    assert len(str(raised.value)) < 400
