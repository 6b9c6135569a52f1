"""The language between a flow and its driver.

A flow is a generator that decides what a call does. It yields steps and is sent their outcomes; it never waits, opens a
socket or reads a clock of its own. One driver runs it over `requests`, another over `aiohttp`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

from novita_sdk.wire.http import HttpRequest
from novita_sdk.wire.retry import FailureKind

__all__ = [
    "Broken",
    "Done",
    "Emit",
    "End",
    "Feed",
    "Flow",
    "Log",
    "Outcome",
    "Reply",
    "Send",
    "Sleep",
    "Step",
    "Turn",
    "Work",
    "work",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Sends one request and wants a `Reply` or a `Broken` back."""

    request: HttpRequest
    timeout: float
    """Seconds without a byte before the request counts as lost. A trickle of bytes counts as none."""
    within: float | None = None
    """Seconds for all of it, however much comes; None for no end."""
    is_parked: bool = False
    """The gateway holds the answer until something happens. Comes after a `Turn`, whose place it gives back."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Waits; its outcome is None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Turn:
    """Waits for a place among the requests that the gateway may hold; its outcome is `Done(True)` with a place."""

    seconds: float
    """Longest wait; `Done(False)` after it."""


@dataclass(frozen=True, slots=True)
class Work:
    """Calls a function that blocks, off the event loop where there is one; its outcome is `Done`."""

    function: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Log:
    """Tells the client's log; its outcome is None. Payloads and keys never stand in it."""

    level: Literal["DEBUG", "INFO", "WARNING"]
    text: str
    """With a place for each of the values, as `logging` has them."""
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a `Turn`, or what the function of a `Work` returned."""

    value: object


@dataclass(frozen=True, slots=True)
class Emit(Generic[T]):
    """Hands a value to whoever iterates; its outcome is None."""

    value: T


@dataclass(slots=True)
class End(Generic[T]):
    """The result of a flow that came to its end; a driver makes it, no flow yields it."""

    value: T


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A complete answer."""

    status: int
    headers: Mapping[str, str]
    """Keys in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """No complete answer."""

    kind: FailureKind
    """UNSENT, LOST, GARBLED or OVERSIZED."""
    reason: str
    """In words, without addresses or secrets."""
    timed_out: bool = False


Outcome: TypeAlias = Reply | Broken | Done | None

Step: TypeAlias = Send | Sleep | Turn | Work | Log

Flow: TypeAlias = Generator[Step, Outcome, T]
"""Ends with a result."""

Feed: TypeAlias = Generator[Step | Emit[T], Outcome, None]
"""Emits values on its way."""


def work(function: Callable[[], object]) -> Flow[object]:
    """Calls a function that blocks and returns what it returned."""
    outcome = yield Work(function)
    if not isinstance(outcome, Done):
        raise TypeError("a driver answered a Work with something else")
    return outcome.value
