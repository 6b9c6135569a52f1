"""One call: headers, attempts, what a failure means, and whether to try again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Literal, Protocol, TypeVar, assert_never

from google.protobuf.message import Message

from novita_sdk import errors
from novita_sdk.flows import errors_of
from novita_sdk.flows.errors_of import Subject
from novita_sdk.flows.identity import WrongJobError, check_job, job_named_in
from novita_sdk.flows.steps import Broken, Done, Flow, Log, Outcome, Reply, Send, Sleep
from novita_sdk.flows.timeouts import check_timeout
from novita_sdk.models import GetHealthRequest
from novita_sdk.rpc import JobsServiceMethods, Method
from novita_sdk.wire.bodies import ACCEPT_ENCODING
from novita_sdk.wire.codec import WireError
from novita_sdk.wire.headers import LONG_POLL_HEADER, REQUEST_ID_HEADER, USER_AGENT
from novita_sdk.wire.http import HttpRequest, build_request, parse_response
from novita_sdk.wire.payload import PayloadError, load
from novita_sdk.wire.retry import Failure, FailureKind, RetryPolicy, next_delay, parse_retry_after

__all__ = ["Caller", "Problem", "SpanMaker"]

T = TypeVar("T")
RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)

_LONG_POLL: Final = LONG_POLL_HEADER.lower()
_REQUEST_ID: Final = REQUEST_ID_HEADER.lower()
"""As the keys of a `Reply` are spelled."""

_LONGEST_PARK: Final = 3600.0
_LONGEST_TIMEOUT: Final = 86_400.0
"""Seconds; sockets and clocks overflow over what a gateway, or `float("inf")`, may name."""


class SpanMaker(Protocol):
    """Records spans as `novita_sdk.tracing.span` does."""

    def __call__(
        self,
        name: str,
        kind: Literal["PRODUCER", "CLIENT"],
        attributes: Mapping[str, str],
        *,
        parent: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Mapping[str, str]]:
        """Records what happens inside, and gives the headers that name it."""


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
        new_id: Names that nobody else gives, for requests and submits.
        span: Records submits and waits.
        secret: The API key, which no error repeats although an answer may.
        proxy: The one that requests go through, without its password; None for none.
        long_poll: Seconds the gateway offers to hold a status request; 0 for a gateway that doesn't, None while no
            gateway answered yet.
    """

    base_url: str
    timeout: float
    retry: RetryPolicy
    clock: Callable[[], float]
    wall_clock: Callable[[], float]
    random: Callable[[], float]
    new_id: Callable[[], str]
    span: SpanMaker
    secret: str = field(default="", repr=False)
    proxy: str | None = None
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
        job_id = getattr(request, "id", "")

        def parse(body: bytes) -> ResponseT:
            response = parse_response(method, body)
            if job_id:
                check_job(job_named_in(response), job_id)
            return response

        return (
            yield from self.exchange(
                http,
                parse,
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
        if timeout is not None:
            check_timeout(timeout, least="positive")
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
            yield Log(
                "INFO" if attempt == 1 else "DEBUG",
                "could not %s (%s); trying again in %.1f s",
                (subject.action, result.reason, delay),
            )
            yield Sleep(delay)

    def attempt(
        self,
        request: HttpRequest,
        parse: Callable[[bytes], T],
        *,
        subject: Subject,
        timeout: float | None = None,
        within: float | None = None,
        is_parked: bool = False,
    ) -> Flow[T | Problem]:
        """Sends a request once; timeouts are those of `Send`.

        Parse errors that mean a bad answer are `WireError` and `PayloadError`.
        """
        request_id = self.new_id()
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": ACCEPT_ENCODING,
            "User-Agent": USER_AGENT,
            REQUEST_ID_HEADER: request_id,
            **request.headers,
        }
        send = Send(
            request=replace(request, headers=headers),
            timeout=min(self.timeout if timeout is None else timeout, _LONGEST_TIMEOUT),
            within=None if within is None else min(within, _LONGEST_TIMEOUT),
            is_parked=is_parked,
        )
        outcome = yield send
        return self._judge(outcome, parse, replace(subject, request_id=request_id, proxy=self.proxy))

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
        match outcome:
            case Broken():
                return Problem(Failure(kind=outcome.kind), outcome.reason, errors_of.broken(outcome, subject))
            case Reply():
                return self._read(outcome, parse, subject)
            case Done() | None:
                raise TypeError("a driver answered a Send with something else")
            case _:
                assert_never(outcome)

    def _read(self, reply: Reply, parse: Callable[[bytes], T], subject: Subject) -> T | Problem:
        offered = _offered_seconds(reply.headers)
        if offered is not None:
            self.long_poll = offered
        subject = replace(subject, request_id=reply.headers.get(_REQUEST_ID) or subject.request_id)
        if not 200 <= reply.status < 300:
            retry_after = parse_retry_after(reply.headers.get("retry-after"), self.wall_clock())
            failure = Failure(kind=FailureKind.STATUS, status=reply.status, retry_after=retry_after)
            return Problem(
                failure, f"HTTP {reply.status}", errors_of.refused(reply, subject, retry_after, secret=self.secret)
            )
        try:
            if not reply.body:
                # No answer of the API is empty; one that was cut off in its headers looks like this.
                raise WireError("it is empty")
            value = parse(reply.body)
        except (WireError, PayloadError) as reason:
            error = errors_of.garbled(reply, subject, str(reason), secret=self.secret)
            if isinstance(reason, WrongJobError):
                return Problem(Failure(kind=FailureKind.MISTAKEN), "an answer about another job", error)
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
    value = headers.get(_LONG_POLL, "")
    return min(float(value) / 1000, _LONGEST_PARK) if value.isascii() and value.isdecimal() else None
