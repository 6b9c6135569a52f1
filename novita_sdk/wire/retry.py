"""One function decides every retry: of a client's call, of a worker's take, result, progress and ping."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["TRANSIENT_STATUSES", "Failure", "FailureKind", "RetryPolicy", "next_delay", "parse_retry_after"]

TRANSIENT_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
"""Answers that say nothing about the next try. Every other 5xx is transient too."""

UNPROCESSED_STATUSES: Final = frozenset({425, 429})
"""Answers that promise the request was not acted on, so that even a submit may be sent again."""


class FailureKind(enum.Enum):
    """What is known about a request that did not succeed."""

    UNSENT = "unsent"
    """Surely not received: no connection was made."""

    LOST = "lost"
    """Perhaps received: reset, timeout or a truncated reply."""

    GARBLED = "garbled"
    """Answered with something that is not the contract's JSON, as proxies do."""

    MISTAKEN = "mistaken"
    """Answered with the contract's JSON, but about something else."""

    OVERSIZED = "oversized"
    """Answered with more than is read; the next answer would be no smaller."""

    STATUS = "status"
    """Answered with a status of 400 or more."""


_LONGEST: Final = 86_400.0
"""Seconds; clocks overflow over what a header may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failed attempt."""

    kind: FailureKind
    status: int | None = None
    """HTTP status, where there was an answer."""
    retry_after: float | None = None
    """Seconds the answer asked to wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long and how often to try again. Delays are seconds."""

    first_delay: float = 0.1
    factor: float = 2.0
    max_delay: float = 10.0
    budget: float | None = 30.0
    """Longest time from the first attempt to the start of the last one; None has no end."""
    max_attempts: int | None = None
    """Attempts in all, the first one included; None has no end."""
    repeatable: bool = True
    """Whether a second execution does no harm. If not, only what was surely not acted on is repeated."""


def next_delay(policy: RetryPolicy, failure: Failure, *, attempt: int, elapsed: float, random: float) -> float | None:
    """Seconds to wait before the next attempt, or None to give up.

    Args:
        policy: The limits.
        failure: What happened to the last attempt.
        attempt: How many attempts were made, at least 1.
        elapsed: Seconds since the first attempt began.
        random: A number in [0, 1) that spreads the delay over its upper half.
    """
    if not _may_repeat(policy, failure):
        return None
    if policy.max_attempts is not None and attempt >= policy.max_attempts:
        return None
    # The exponent is bounded because a float power of a large attempt overflows.
    backoff = min(policy.max_delay, policy.first_delay * policy.factor ** min(attempt - 1, 64))
    delay = backoff * (0.5 + random / 2)
    if failure.retry_after is not None:
        delay = max(delay, failure.retry_after)
    if policy.budget is not None and elapsed + delay > policy.budget:
        return None
    return delay


def _may_repeat(policy: RetryPolicy, failure: Failure) -> bool:
    match failure.kind:
        case FailureKind.UNSENT:
            return True
        case FailureKind.LOST | FailureKind.GARBLED | FailureKind.MISTAKEN:
            return policy.repeatable
        case FailureKind.OVERSIZED:
            return False
        case FailureKind.STATUS:
            status = failure.status or 0
            if status in UNPROCESSED_STATUSES:
                return True
            return policy.repeatable and (status in TRANSIENT_STATUSES or status >= 500)


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks to wait (RFC 9110, 10.2.3), or None if it is absent or unreadable.

    More than a day counts as a day.

    Args:
        value: The header: a number of seconds or an HTTP date.
        now: Seconds since the epoch.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        seconds = (date - datetime.fromtimestamp(now, UTC)).total_seconds()
    return min(max(0.0, seconds), _LONGEST) if math.isfinite(seconds) else None
