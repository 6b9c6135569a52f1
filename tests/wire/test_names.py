"""Names that can't stand in a URL path are refused before any request."""

from __future__ import annotations

import pytest

from novita_sdk.wire.names import InvalidNameError, check_endpoint, check_job_id

pytestmark = pytest.mark.core


@pytest.mark.parametrize("name", ["ep", "abc123-my-app", "a.b_c~d", "job:1"])
def test_good_names_come_back(name: str) -> None:
    assert check_endpoint(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a b", "a?b", "a#b", "a%2fb", "a\n", "é", "x" * 256])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidNameError, match="endpoint name"):
        check_endpoint(name)


@pytest.mark.parametrize("name", [None, 7, b"ep"])
def test_only_strings_are_names(name: object) -> None:
    with pytest.raises(InvalidNameError, match="job id must be a string"):
        check_job_id(name)
