"""The parts that both drivers share: the flows on this machine's clocks, the log, and the hooks around a request."""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

import requests
from requests.utils import select_proxy

from novita_sdk._hooks import RequestEvent, RequestHook, ResponseEvent, ResponseHook
from novita_sdk._network import certificates, environment_proxy
from novita_sdk._settings import Settings
from novita_sdk.files._in_values import Attachments
from novita_sdk.flows.call import Caller
from novita_sdk.flows.jobs import Flows
from novita_sdk.flows.poll_spacing import max_parked
from novita_sdk.flows.steps import Broken, Log, Reply, Send
from novita_sdk.tracing import span
from novita_sdk.wire.bodies import Body, BodyError, BodyTooLargeError
from novita_sdk.wire.hosts import without_password
from novita_sdk.wire.retry import FailureKind, RetryPolicy

__all__ = [
    "CONNECT_TIMEOUT",
    "UNLIMITED",
    "Observer",
    "certificates",
    "log",
    "make_flows",
    "proxy_of",
    "root_of",
    "unread",
    "via",
]

_log = logging.getLogger("novita_sdk")
_LEVELS: Final = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARNING": logging.WARNING}

_EXCERPT: Final = 64 * 1024

CONNECT_TIMEOUT = 5.0
"""Seconds to open a connection."""

UNLIMITED = 1 << 30
"""Connections of a caller's own session, which has limits of its own."""


def make_flows(settings: Settings, proxy: str | None) -> Flows:
    """The flows of a client, on the clocks of this machine, for requests that go through a proxy or through none."""
    return Flows(
        Caller(
            base_url=settings.base_url,
            proxy=None if proxy is None else without_password(proxy),
            timeout=settings.timeout,
            retry=RetryPolicy(budget=settings.retry_budget),
            clock=time.monotonic,
            wall_clock=time.time,
            random=random.random,
            new_id=_new_id,
            span=span,
            secret=settings.api_key,
        ),
        Attachments(settings),
        max_parked=max_parked(settings.max_connections),
    )


def _new_id() -> str:
    return uuid.uuid4().hex


def log(step: Log) -> None:
    """Carries out a `Log`."""
    _log.log(_LEVELS[step.level], step.text, *step.values)


def unread(status: int, headers: Mapping[str, str], body: Body | None, error: BodyError) -> Reply | Broken:
    """What came of an answer whose body is not read to its end: of a refusal the beginning says enough."""
    if status >= 300:
        return Reply(status=status, headers=headers, body=b"" if body is None else body.so_far()[:_EXCERPT])
    kind = FailureKind.OVERSIZED if isinstance(error, BodyTooLargeError) else FailureKind.GARBLED
    return Broken(kind=kind, reason=str(error))


def proxy_of(base_url: str, session: requests.Session | None = None) -> str | None:
    """The proxy that the environment names for a gateway, or the caller's own session; None for one of this machine."""
    if session is None:
        return environment_proxy(base_url)
    return select_proxy(base_url, session.merge_environment_settings(base_url, {}, None, None, None)["proxies"]) or None


def via(proxy: str | None) -> str:
    """How an error tells of a proxy."""
    return "" if proxy is None else f" through the proxy {without_password(proxy)}"


class Observer:
    """Calls the hooks of a client around each request."""

    def __init__(self, on_request: Sequence[RequestHook], on_response: Sequence[ResponseHook]) -> None:
        self._on_request = on_request
        self._on_response = on_response

    def before(self, step: Send) -> RequestEvent:
        """Tells that a request is about to be sent; the event's headers are the ones to send."""
        request = step.request
        event = RequestEvent(
            verb=request.verb,
            url=request.url,
            headers=dict(request.headers),
            body_size=len(request.body or b""),
        )
        for hook in self._on_request:
            hook(event)
        return event

    def after(self, event: RequestEvent, outcome: Reply | Broken, begin: float) -> None:
        """Tells what came of it; `begin` is what `time.perf_counter` said before."""
        elapsed = time.perf_counter() - begin
        said = outcome.reason if isinstance(outcome, Broken) else outcome.status
        _log.debug("%s %s: %s in %.1f ms", event.verb, event.url, said, elapsed * 1000)
        if not self._on_response:
            return
        if isinstance(outcome, Broken):
            response = ResponseEvent(request=event, elapsed=elapsed, reason=outcome.reason)
        else:
            response = ResponseEvent(
                request=event,
                elapsed=elapsed,
                status=outcome.status,
                headers=outcome.headers,
                body_size=len(outcome.body),
            )
        for hook in self._on_response:
            hook(response)


def root_of(error: BaseException) -> BaseException:
    """The error at the root of a library's chain; the outer ones repeat URLs and proxies in their words."""
    seen = {id(error)}
    while (inner := _inner(error)) is not None and id(inner) not in seen:
        seen.add(id(inner))
        error = inner
    return error


def _inner(error: BaseException) -> BaseException | None:
    candidates = (error.__cause__, getattr(error, "reason", None), *reversed(error.args), error.__context__)
    return next((item for item in candidates if isinstance(item, BaseException)), None)
