from __future__ import annotations

import pytest

from novita_cli._failures import ExitCode, exit_code_of
from novita_sdk import errors

pytestmark = pytest.mark.core

EXPECTED = {
    "INVALID_INPUT": 2,
    "UNPROCESSABLE": 2,
    "PAYLOAD_TOO_LARGE": 2,
    "UNAUTHORIZED": 3,
    "FORBIDDEN": 1,
    "NOT_FOUND": 1,
    "GONE": 1,
    "CONFLICT": 1,
    "RATE_LIMITED": 1,
    "REFUSED": 1,
    "INTERNAL": 1,
    "BAD_GATEWAY": 1,
    "UNAVAILABLE": 1,
    "GATEWAY_TIMEOUT": 1,
    "UNREACHABLE": 3,
    "REQUEST_TIMEOUT": 3,
    "SUBMIT_UNCERTAIN": 3,
    "BAD_REPLY": 1,
    "WAIT_TIMEOUT": 124,
    "STREAM_RESTARTED": 1,
    "JOB_ENDED": 1,
    "JOB_FAILED": 1,
    "JOB_CANCELLED": 4,
    "JOB_TIMED_OUT": 1,
    "OUTPUT_UNREADABLE": 1,
}


@pytest.mark.parametrize("row", errors.ERROR_TABLE, ids=lambda row: row.code)
def test_every_error_of_the_sdk_has_its_exit_code(row: errors.ErrorRow) -> None:
    assert exit_code_of(row.error) == EXPECTED[row.code]


def test_no_code_is_listed_that_the_sdk_does_not_have() -> None:
    assert set(EXPECTED) == {row.code for row in errors.ERROR_TABLE}


def test_the_codes_are_those_that_scripts_rely_on() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "UNREACHABLE": 3,
        "CANCELLED": 4,
        "WAIT_TIMED_OUT": 124,
        "INTERRUPTED": 130,
    }
