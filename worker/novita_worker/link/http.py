"""The worker's calls over HTTP, with the headers that the published workers send."""

from __future__ import annotations

import asyncio
import io
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final, assert_never
from urllib.parse import quote

import aiohttp
from google.protobuf.message import Message
from yarl import URL

from novita_sdk._network import certificates, environment_proxy
from novita_sdk._sockets import Sockets
from novita_sdk.models import EndpointSchema, JobResult, StreamChunk
from novita_sdk.rpc import Method, WorkerServiceMethods
from novita_sdk.wire import states
from novita_sdk.wire.codec import encode
from novita_sdk.wire.headers import REQUEST_ID_HEADER, USER_AGENT
from novita_sdk.wire.refusals import read_refusal
from novita_sdk.wire.retry import Failure, FailureKind, parse_retry_after
from novita_sdk.wire.worker_urls import WorkerUrls
from novita_worker._environment import Environment
from novita_worker.desk.outbox import NOWHERE, Place, PostKind
from novita_worker.link.deadlines import Patience
from novita_worker.link.protocol import EMPTY, CallFailure, TakeReply
from novita_worker.link.replies import read_jobs, read_stops, says_no_jobs

__all__ = ["HttpCalls"]

TAKE_TIMEOUT: Final = 120.0
"""Longest silence of a parked take, in seconds. The published workers hang up after 90."""
POST_TIMEOUT: Final = 60.0
SLOWEST: Final = 16 * 1024
"""Bytes a second that a post may be slow, beside its timeout."""
PROGRESS_TIMEOUT: Final = 5.0
"""A result waits no longer than this for the progress before it."""
CONNECT_TIMEOUT: Final = 10.0
LONGEST_WAIT: Final = 120.0
"""Seconds that a Retry-After counts for: no gateway may put a worker to sleep for a day."""
LARGE_BODY: Final = 2**20
"""Bodies from this size on are written piecewise, so that they don't hold up the loop."""
LARGEST_JOB: Final = 32 * 2**20
"""Bytes that a reply to a take may have for each job that was asked for, unpacked."""
LARGEST_TAKE: Final = 256 * 2**20
LARGEST_REPLY: Final = 2**20
"""Bytes of any other reply."""

_POST_HEADERS: Final = {"Content-Type": "application/x-www-form-urlencoded", "charset": "utf-8"}
"""The body is JSON all the same, as observed."""
_MARK: Final = "JOB-ID"
NO_JOBS: Final = 400
"""The platform answers this where others answer 204."""


class _PostUrls:
    """The URLs of one worker's posts; most differ in nothing but the job, so none of those is built from its parts."""

    def __init__(self, urls: WorkerUrls) -> None:
        self._urls = urls
        self._result = _template(lambda job_id: urls.done(job_id, is_stream=False))
        self._stream_result = _template(lambda job_id: urls.done(job_id, is_stream=True))

    def result(self, job_id: str, *, is_stream: bool = False, take: int | None = None) -> URL:
        if take is not None:
            return URL(self._urls.done(job_id, is_stream=is_stream, take=take), encoded=True)
        return self._stream_result(job_id) if is_stream else self._result(job_id)

    def chunk(self, job_id: str, place: Place) -> URL:
        return URL(self._urls.stream(job_id, take=place.take, number=place.number), encoded=True)


class HttpCalls:
    """A gateway over HTTP."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._session: aiohttp.ClientSession
        self._patience: Patience
        self._sockets: Sockets
        urls = environment.urls
        stop_url = urls.stop()
        self._stop_url = URL(stop_url, encoded=True) if stop_url else None
        schema_url = urls.schema()
        self._schema_url = URL(schema_url, encoded=True) if schema_url else None
        self._take_url = cache(lambda count, busy: URL(urls.take(count=count, busy=busy), encoded=True))
        self._post_urls = cache(lambda worker_id: _PostUrls(environment.urls_of(worker_id)))
        # A session that trusts the environment would search it at every request.
        self._proxy = cache(lambda scheme, authority: environment_proxy(f"{scheme}://{authority}"))
        self._take_is_answered = False

    @property
    def take_is_answered(self) -> bool:
        """Whether the reply of the take in flight has begun to arrive, so that hanging up could lose a job."""
        return self._take_is_answered

    @property
    def has_stop_route(self) -> bool:
        """Whether the take URL has a sibling to ask for stop orders."""
        return self._stop_url is not None

    async def open(self) -> None:
        """Makes the session."""
        self._patience = Patience()
        self._sockets = Sockets()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=75, ssl=self._tls(), socket_factory=self._sockets.make
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT),
            headers={
                "Authorization": self._environment.authorization,
                "Content-Type": "application/json",
                "User-Agent": USER_AGENT,
                "Accept-Encoding": "gzip, deflate",
            },
        )

    async def close(self) -> None:
        """Closes all connections."""
        self._patience.close()
        await self._session.close()
        await self._sockets.cut_off()

    async def take(self, *, count: int, busy: bool) -> TakeReply | CallFailure:
        """Asks for jobs and waits as long as the gateway parks the request."""
        try:
            method = WorkerServiceMethods.TAKE_JOB if count == 1 else WorkerServiceMethods.TAKE_JOBS
            limit = min(LARGEST_TAKE, count * LARGEST_JOB)
            reply = await self._send(method, self._take_url(count, busy), TAKE_TIMEOUT, limit=limit, is_take=True)
        finally:
            self._take_is_answered = False
        if isinstance(reply, bytes):
            return read_jobs(reply)
        if reply.failure.status == NO_JOBS:
            return EMPTY if says_no_jobs(reply.said) else TakeReply(remark=reply.reason)
        return replace(reply, reason=f"{reply.reason}{self._advice(reply.failure.status)}")

    async def stops(self) -> list[str] | CallFailure:
        """Asks which jobs are to be stopped and waits as long as the gateway parks the request."""
        if self._stop_url is None:
            return []
        reply = await self._send(WorkerServiceMethods.WATCH_STOPS, self._stop_url, TAKE_TIMEOUT)
        return reply if isinstance(reply, CallFailure) else read_stops(reply)

    async def publish(self, schema: EndpointSchema) -> CallFailure | None:
        """Tells the types of the handler; see `GatewayCalls.publish`."""
        if self._schema_url is None:
            return None
        reply = await self._send(WorkerServiceMethods.PUBLISH_SCHEMA, self._schema_url, POST_TIMEOUT, encode(schema))
        return reply if isinstance(reply, CallFailure) else None

    async def post(
        self,
        job_id: str,
        kind: PostKind,
        body: bytes,
        *,
        is_stream: bool = False,
        place: Place = NOWHERE,
        worker_id: str | None = None,
    ) -> CallFailure | None:
        """Posts what a job has to say; see `GatewayCalls.post`."""
        urls = self._post_urls(worker_id or self._environment.worker_id)
        timeout = POST_TIMEOUT + len(body) / SLOWEST
        method: Method[Message, Message] = WorkerServiceMethods.FINISH_JOB
        match kind:
            case PostKind.RESULT:
                url = urls.result(job_id, is_stream=is_stream, take=place.take)
            case PostKind.PROGRESS:
                report = JobResult(output=body, status=states.IN_PROGRESS)
                url, body, timeout = urls.result(job_id), encode(report), PROGRESS_TIMEOUT
            case PostKind.CHUNK:
                method = WorkerServiceMethods.STREAM_JOB
                url, body = urls.chunk(job_id, place), encode(StreamChunk(output=body))
            case _:
                assert_never(kind)
        reply = await self._send(method, url, timeout, body, {**_POST_HEADERS, REQUEST_ID_HEADER: job_id})
        return reply if isinstance(reply, CallFailure) else None

    async def _send(
        self,
        method: Method[Message, Message],
        url: URL,
        timeout: float,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        limit: int = LARGEST_REPLY,
        is_take: bool = False,
    ) -> bytes | CallFailure:
        """Makes one call; gives the body of a good answer, if it is within the limit in bytes."""
        self._patience.begin(timeout)
        try:
            async with self._session.request(
                method.verb,
                url,
                data=body if body is None or len(body) < LARGE_BODY else io.BytesIO(body),
                headers=headers,
                allow_redirects=method.verb == "GET",
                proxy=self._proxy(url.scheme, url.raw_authority),
            ) as response:
                self._take_is_answered |= is_take
                text = await _read(response, limit)
                if response.status >= 300:
                    return self._refusal(response, text)
                return text if len(text) <= limit else _too_large(limit)
        except asyncio.CancelledError:
            if not self._patience.is_over():
                raise
            return CallFailure(failure=Failure(kind=FailureKind.LOST), reason=f"no answer in {timeout:.0f} s")
        except Exception as error:  # noqa: BLE001  whatever it is, it must not strand a job
            return _failure(error)
        finally:
            self._patience.end()

    def _tls(self) -> ssl.SSLContext | bool:
        """What vouches for the gateway, where the environment names it and there is a gateway that needs it."""
        found = certificates()
        if not found or not any(url.startswith("https:") for url in self._environment.templates.values()):
            return True
        is_folder = Path(found).is_dir()
        return ssl.create_default_context(cafile=None if is_folder else found, capath=found if is_folder else None)

    def _refusal(self, response: aiohttp.ClientResponse, body: bytes) -> CallFailure:
        retry_after = parse_retry_after(response.headers.get("Retry-After"), time.time())
        key = self._environment.authorization.removeprefix("Bearer ")
        said = str(read_refusal(body, secrets=(key,)))
        return CallFailure(
            failure=Failure(
                kind=FailureKind.STATUS,
                status=response.status,
                retry_after=None if retry_after is None else min(retry_after, LONGEST_WAIT),
            ),
            reason=f"HTTP {response.status} {said}".strip(),
            said=said,
        )

    def _advice(self, status: int | None) -> str:
        """What to look at where a take is refused for good."""
        prefix = self._environment.prefix
        match status:
            case 401 | 403:
                return f"; look at {prefix}_AI_API_KEY, which is what the worker showed"
            case 404 | 405:
                return f"; look at {prefix}_WEBHOOK_GET_JOB, which names the place"
            case _:
                return ""


def _template(make: Callable[[str], str]) -> Callable[[str], URL]:
    template = make(_MARK)
    return lambda job_id: URL(template.replace(_MARK, quote(job_id, safe="")), encoded=True)


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body, of which no more is unpacked than a little over the limit."""
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            response.close()
            break
    return b"".join(pieces) if len(pieces) != 1 else pieces[0]


def _too_large(limit: int) -> CallFailure:
    failure = Failure(kind=FailureKind.GARBLED)
    return CallFailure(failure=failure, reason=f"the reply is larger than {limit:,} bytes, and was not read")


def _failure(error: Exception) -> CallFailure:
    unsent = isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))
    kind = FailureKind.UNSENT if unsent else FailureKind.LOST
    reason = "timed out" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
    return CallFailure(failure=Failure(kind=kind), reason=reason)
