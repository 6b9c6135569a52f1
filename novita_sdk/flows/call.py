"""One call: headers, attempts, what a failure means, and whether to try again."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

from google.protobuf.message import Message

from novita_sdk import errors
from novita_sdk._version import __version__
from novita_sdk.flows import errors_of
from novita_sdk.flows.errors_of import Subject
from novita_sdk.flows.steps import Broken, Flow, Outcome, Reply, Send, Sleep
from novita_sdk.models import GetHealthRequest
from novita_sdk.rpc import JobsServiceMethods, Method
from novita_sdk.wire.codec import WireError
from novita_sdk.wire.http import HttpRequest, build_request, parse_response
from novita_sdk.wire.payload import PayloadError, load
from novita_sdk.wire.retry import Failure, FailureKind, RetryPolicy, next_delay, parse_retry_after

__all__ = ["LONG_POLL_HEADER", "USER_AGENT", "Caller", "Problem"]

T = TypeVar("T")
RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)

USER_AGENT: Final = f"novita-gpus/{__version__}"

LONG_POLL_HEADER: Final = "novita-long-poll"
"""On every reply of a gateway that offers `status?wait=`: the longest wait in milliseconds. Such a gateway recognises
`Idempotency-Key` too."""

_LONGEST_PARK: Final = 3600.0
_LONGEST_TIMEOUT: Final = 86_400.0
"""Seconds; sockets and clocks overflow over what a gateway, or `float("inf")`, may name."""

_log = logging.getLogger("novita_sdk")


@dataclass(frozen=True, slots=True)
class Problem:
    """An attempt that brought nothing: what the retry decision needs, and the error if it is the last."""

    failure: Failure
    reason: str
    """In few words."""
    error: errors.NovitaError


@dataclass(slots=True, kw_only=True)
class Caller:
    """Makes the flows of single calls. Shared by all threads of a client.

    Attributes:
        base_url: Without a trailing slash.
        timeout: Seconds without a byte before one request counts as lost.
        retry: Limits of the retries of one call; `repeatable` is decided per call.
        clock: Monotonic seconds.
        wall_clock: Seconds since the epoch.
        random: Numbers in [0, 1).
        long_poll: Seconds the gateway offers to hold a status request; 0 for a gateway that doesn't, None while no
            gateway answered yet.
    """

    base_url: str
    timeout: float
    retry: RetryPolicy
    clock: Callable[[], float]
    wall_clock: Callable[[], float]
    random: Callable[[], float]
    long_poll: float | None = field(default=None, init=False)

    def call(
        self,
        method: Method[RequestT, ResponseT],
        request: RequestT,
        *,
        action: str,
        repeatable: bool | None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> Flow[ResponseT]:
        """Calls a method and tries again as the policy says.

        Args:
            method: From the method table.
            request: Its message.
            action: What an error says could not be done.
            repeatable: Whether a second execution does no harm; None if it does none where the gateway recognises the
                idempotency key of the first.
            timeout: Seconds; None for the client's own.
            retry: Limits; None for the client's own.
        """
        http = self.build(method, request)
        return (
            yield from self.exchange(
                http,
                lambda body: parse_response(method, body),
                subject=self.subject(action, request),
                repeatable=repeatable,
                timeout=timeout,
                retry=retry,
            )
        )

    def exchange(
        self,
        request: HttpRequest,
        parse: Callable[[bytes], T],
        *,
        subject: Subject,
        repeatable: bool | None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> Flow[T]:
        """Sends a request until an answer parses or the policy gives up; arguments as in `call`."""
        if timeout is not None and not timeout > 0:
            raise errors.InvalidInputError(f"timeout must be positive, not {timeout!r}. Nothing was sent.")
        policy = retry or self.retry
        begin = self.clock()
        attempt = 0
        while True:
            attempt += 1
            result = yield from self.attempt(request, parse, subject=subject, timeout=timeout)
            if not isinstance(result, Problem):
                return result
            decide = partial(
                next_delay,
                failure=result.failure,
                attempt=attempt,
                elapsed=self.clock() - begin,
                random=self.random(),
            )
            delay = decide(replace(policy, repeatable=bool(repeatable)))
            if delay is None and repeatable is None:
                delay = decide(replace(policy, repeatable=True))
                if delay is not None:
                    repeatable = yield from self._recognises_keys(subject.endpoint, policy)
                    delay = delay if repeatable else None
            if delay is None:
                raise result.error
            _log.log(
                logging.INFO if attempt == 1 else logging.DEBUG,
                "could not %s (%s); trying again in %.1f s",
                subject.action,
                result.reason,
                delay,
            )
            yield Sleep(delay)

    def attempt(
        self,
        request: HttpRequest,
        parse: Callable[[bytes], T],
        *,
        subject: Subject,
        timeout: float | None = None,
        is_parked: bool = False,
    ) -> Flow[T | Problem]:
        """Sends a request once. Parse errors that mean a bad answer are `WireError` and `PayloadError`."""
        request_id = uuid.uuid4().hex
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "X-Request-ID": request_id,
            **request.headers,
        }
        send = Send(
            request=replace(request, headers=headers),
            timeout=min(self.timeout if timeout is None else timeout, _LONGEST_TIMEOUT),
            is_parked=is_parked,
        )
        outcome = yield send
        return self._judge(outcome, parse, replace(subject, request_id=request_id))

    def build(self, method: Method[RequestT, ResponseT], request: RequestT) -> HttpRequest:
        """Makes the HTTP request of a call.

        Raises:
            InvalidInputError: The message can't travel.
        """
        try:
            return build_request(method, request, self.base_url)
        except WireError as error:
            raise errors.InvalidInputError(f"Could not build the request: {error}.") from None

    def subject(self, action: str, request: Message | None = None) -> Subject:
        """What the errors of a call are about."""
        return Subject(
            action=action,
            base_url=self.base_url,
            endpoint=getattr(request, "endpoint", ""),
            job_id=getattr(request, "id", None),
        )

    def _recognises_keys(self, endpoint: str, retry: RetryPolicy) -> Flow[bool]:
        try:
            return (yield from self.recognises_keys(endpoint, retry))
        except errors.NovitaError:
            return False

    def _judge(self, outcome: Outcome, parse: Callable[[bytes], T], subject: Subject) -> T | Problem:
        if isinstance(outcome, Broken):
            return Problem(Failure(kind=outcome.kind), outcome.reason, errors_of.broken(outcome, subject))
        if not isinstance(outcome, Reply):
            raise TypeError("a driver answered a Send with something else")
        offered = _offered_seconds(outcome.headers)
        if offered is not None:
            self.long_poll = offered
        subject = replace(subject, request_id=outcome.headers.get("x-request-id") or subject.request_id)
        if not 200 <= outcome.status < 300:
            retry_after = parse_retry_after(outcome.headers.get("retry-after"), self.wall_clock())
            failure = Failure(kind=FailureKind.STATUS, status=outcome.status, retry_after=retry_after)
            return Problem(failure, f"HTTP {outcome.status}", errors_of.refused(outcome, subject, retry_after))
        try:
            if not outcome.body:
                # No answer of the API is empty; one that was cut off in its headers looks like this.
                raise WireError("it is empty")
            value = parse(outcome.body)
        except (WireError, PayloadError) as reason:
            error = errors_of.garbled(outcome, subject, str(reason))
            return Problem(Failure(kind=FailureKind.GARBLED), "a garbled answer", error)
        if offered is None:
            # Only an answer of the gateway itself tells that it offers nothing; a proxy's page may hide one that does.
            self.long_poll = 0.0
        return value

    def recognises_keys(self, endpoint: str, retry: RetryPolicy) -> Flow[bool]:
        """Whether the gateway does; one that was not heard of yet is asked for its health, which costs the least."""
        if self.long_poll is None:
            request = GetHealthRequest(endpoint=endpoint)
            yield from self.exchange(
                self.build(JobsServiceMethods.GET_HEALTH, request),
                load,
                subject=self.subject(f"read the health of endpoint {endpoint}", request),
                repeatable=True,
                retry=retry,
            )
        return bool(self.long_poll)


def _offered_seconds(headers: Mapping[str, str]) -> float | None:
    value = headers.get(LONG_POLL_HEADER, "")
    return min(float(value) / 1000, _LONGEST_PARK) if value.isascii() and value.isdecimal() else None
