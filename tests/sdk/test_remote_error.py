"""Every shape in which workers send errors."""

from __future__ import annotations

import json

import pytest

from novita_sdk.flows.remote_error import RemoteError, parse_remote_error
from novita_sdk.wire.payload import JSONValue

pytestmark = pytest.mark.core

TRACEBACK = """Traceback (most recent call last):
  File "h.py", line 3, in handler
    raise ValueError("boom")
ValueError: boom"""


@pytest.mark.parametrize(
    ("error", "parsed"),
    [
        ("boom", RemoteError(message="boom")),
        (
            json.dumps(
                {
                    "error_type": "<class 'ValueError'>",
                    "error_message": "boom",
                    "error_traceback": TRACEBACK,
                    "hostname": "h",
                    "worker_id": "w",
                }
            ),
            RemoteError(type="ValueError", message="boom", traceback=TRACEBACK),
        ),
        (
            {"error_type": "<class 'my.module.Bad'>", "error_message": "", "code": "INVALID_INPUT"},
            RemoteError(type="my.module.Bad", message="", code="INVALID_INPUT"),
        ),
        ({"message": "no", "type": "Odd"}, RemoteError(type="Odd", message="no")),
        ({"reason": 7}, RemoteError(message='{"reason": 7}')),
        (
            f"handler: boom \ntraceback: {TRACEBACK}",
            RemoteError(type="ValueError", message="handler: boom", traceback=TRACEBACK),
        ),
        (
            f"handler: boom\ntraceback: {TRACEBACK}",
            RemoteError(type="ValueError", message="handler: boom", traceback=TRACEBACK),
        ),
        (TRACEBACK, RemoteError(type="ValueError", message="boom", traceback=TRACEBACK)),
        (f"it broke\n{TRACEBACK}\n", RemoteError(type="ValueError", message="it broke", traceback=TRACEBACK)),
        (
            "Traceback (most recent call last):\n ???",
            RemoteError(message="see the traceback", traceback="Traceback (most recent call last):\n ???"),
        ),
        ('"quoted"', RemoteError(message='"quoted"')),
        ("[1]", RemoteError(message="[1]")),
        ([1, "x"], RemoteError(message='[1, "x"]')),
        (True, RemoteError(message="true")),
        (None, RemoteError(message="the worker gave no reason")),
        ("", RemoteError(message="")),
    ],
)
def test_type_message_and_traceback_are_told_apart(error: JSONValue, parsed: RemoteError) -> None:
    assert parse_remote_error(error) == parsed


def test_it_reads_as_one_line() -> None:
    assert str(RemoteError(type="ValueError", message="boom")) == "ValueError: boom"
    assert str(RemoteError(message="boom")) == "boom"
