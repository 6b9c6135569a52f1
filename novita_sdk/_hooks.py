"""The events that a caller's hooks see around each request, whatever library sends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["RequestEvent", "RequestHook", "ResponseEvent", "ResponseHook"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEvent:
    """A request that is about to be sent.

    Attributes:
        verb: `GET` or `POST`.
        url: Whole URL.
        headers: What will be sent but for the API key; a hook may add to it.
        body_size: In bytes.
    """

    verb: str
    url: str
    headers: dict[str, str]
    body_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseEvent:
    """What came of a request.

    Attributes:
        request: The request.
        elapsed: Seconds from sending to the last byte, or to the failure.
        status: HTTP status; None where no answer came.
        headers: Of the answer, keys in lower case.
        body_size: In bytes.
        reason: Why no answer came.
    """

    request: RequestEvent
    elapsed: float
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body_size: int = 0
    reason: str | None = None


RequestHook: TypeAlias = Callable[[RequestEvent], None]
ResponseHook: TypeAlias = Callable[[ResponseEvent], None]
