"""One function decides every retry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novita_sdk.wire.retry import Failure, FailureKind, RetryPolicy, next_delay, parse_retry_after

pytestmark = pytest.mark.core

failures = st.builds(
    Failure,
    kind=st.sampled_from(FailureKind),
    status=st.none() | st.integers(400, 599),
    retry_after=st.none() | st.floats(0, 100),
)
policies = st.builds(
    RetryPolicy,
    first_delay=st.floats(0.001, 1),
    factor=st.floats(1, 4),
    max_delay=st.floats(1, 60),
    budget=st.none() | st.floats(0, 600),
    max_attempts=st.none() | st.integers(1, 10),
    repeatable=st.booleans(),
)
randoms = st.floats(0, 1, exclude_max=True)


@given(policies, failures, st.integers(1, 10**6), st.floats(0, 10**6), randoms)
def test_no_retry_leaves_the_policy(
    policy: RetryPolicy, failure: Failure, attempt: int, elapsed: float, random: float
) -> None:
    delay = next_delay(policy, failure, attempt=attempt, elapsed=elapsed, random=random)
    if delay is None:
        return
    assert delay >= (failure.retry_after or 0)
    assert delay <= max(policy.max_delay, failure.retry_after or 0)
    assert policy.budget is None or elapsed + delay <= policy.budget
    assert policy.max_attempts is None or attempt < policy.max_attempts


@given(randoms)
def test_delays_grow_up_to_the_cap_and_jitter_within_their_upper_half(random: float) -> None:
    policy = RetryPolicy(first_delay=1, factor=2, max_delay=8, budget=None)
    for attempt, full in enumerate([1, 2, 4, 8, 8, 8], start=1):
        delay = next_delay(policy, Failure(kind=FailureKind.UNSENT), attempt=attempt, elapsed=0, random=random)
        assert delay is not None
        assert full / 2 <= delay <= full


@pytest.mark.parametrize(
    ("kind", "status", "read", "submit"),
    [
        (FailureKind.UNSENT, None, True, True),
        (FailureKind.LOST, None, True, False),
        (FailureKind.GARBLED, None, True, False),
        (FailureKind.STATUS, 408, True, False),
        (FailureKind.STATUS, 425, True, True),
        (FailureKind.STATUS, 429, True, True),
        (FailureKind.STATUS, 500, True, False),
        (FailureKind.STATUS, 502, True, False),
        (FailureKind.STATUS, 503, True, False),
        (FailureKind.STATUS, 400, False, False),
        (FailureKind.STATUS, 401, False, False),
        (FailureKind.STATUS, 404, False, False),
        (FailureKind.STATUS, 413, False, False),
    ],
)
def test_what_is_sent_again(kind: FailureKind, status: int | None, read: bool, submit: bool) -> None:
    failure = Failure(kind=kind, status=status)
    for repeatable, expected in ((True, read), (False, submit)):
        policy = RetryPolicy(repeatable=repeatable)
        assert (next_delay(policy, failure, attempt=1, elapsed=0, random=0) is not None) is expected


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("1.5", 1.5),
        ("-4", 0.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("1e300", 86_400.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 86_400.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=100.0) == seconds
