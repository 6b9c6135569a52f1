"""The worker's HTTP calls, as observed on the published workers."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from functools import cache
from typing import Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from novita_sdk.wire.headers import REQUEST_ID_HEADER, USER_AGENT
from novita_sdk.wire.payload import PayloadError, load
from novita_sdk.wire.retry import Failure, FailureKind, parse_retry_after
from novita_sdk.wire.worker_urls import WorkerUrls
from novita_worker._environment import Environment
from novita_worker.desk.actions import TakenJob
from novita_worker.desk.outbox import PostKind
from novita_worker.handlers.outcome import chunk_body, progress_body
from novita_worker.link.deadlines import Patience
from novita_worker.link.protocol import EMPTY, PostFailure, TakeReply

__all__ = ["Link"]

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
NO_LIMIT: Final = 1e15
"""A time limit in milliseconds that is none."""
LARGE_BODY: Final = 2**20
"""Bodies from this size on are written piecewise, so that they don't hold up the loop."""
_EXCERPT: Final = 200

_POST_HEADERS: Final = {"Content-Type": "application/x-www-form-urlencoded", "charset": "utf-8"}
"""The body is JSON all the same, as observed."""
_MARK: Final = "JOB-ID"
NO_JOBS: Final = 400
"""The platform answers this where others answer 204."""


class _PostUrls:
    """The URLs of one worker's posts; they differ in nothing but the job, so none is built from its parts twice."""

    def __init__(self, urls: WorkerUrls) -> None:
        self.result = _template(lambda job_id: urls.done(job_id, is_stream=False))
        self.stream_result = _template(lambda job_id: urls.done(job_id, is_stream=True))
        self.chunk = _template(urls.stream)


class Link:
    """A gateway over HTTP."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._session: aiohttp.ClientSession
        self._patience: Patience
        urls = environment.urls
        stop_url = urls.stop()
        self._stop_url = URL(stop_url, encoded=True) if stop_url else None
        schema_url = urls.schema()
        self._schema_url = URL(schema_url, encoded=True) if schema_url else None
        self._take_url = cache(lambda count, busy: URL(urls.take(count=count, busy=busy), encoded=True))
        self._post_urls = cache(lambda worker_id: _PostUrls(environment.urls_of(worker_id)))
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
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=75),
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

    async def take(self, *, count: int, busy: bool) -> TakeReply | PostFailure:
        """Asks for jobs and waits as long as the gateway parks the request."""
        try:
            reply = await self._send("GET", self._take_url(count, busy), TAKE_TIMEOUT, is_take=True)
        finally:
            self._take_is_answered = False
        if isinstance(reply, PostFailure):
            return EMPTY if reply.failure.status == NO_JOBS else reply
        return _parse_jobs(reply) if reply.strip() else EMPTY

    async def stops(self) -> list[str] | PostFailure:
        """Asks which jobs are to be stopped and waits as long as the gateway parks the request."""
        if self._stop_url is None:
            return []
        reply = await self._send("GET", self._stop_url, TAKE_TIMEOUT)
        if isinstance(reply, PostFailure):
            return reply
        return _parse_stops(reply) if reply.strip() else []

    async def publish(self, schema: bytes) -> PostFailure | None:
        """Tells the types of the handler; see `Gateway.publish`."""
        if self._schema_url is None:
            return None
        reply = await self._send("POST", self._schema_url, POST_TIMEOUT, schema)
        return reply if isinstance(reply, PostFailure) else None

    async def post(
        self, job_id: str, kind: PostKind, body: bytes, *, is_stream: bool = False, worker_id: str | None = None
    ) -> PostFailure | None:
        """Posts what a job has to say; see `Gateway.post`."""
        urls = self._post_urls(worker_id or self._environment.worker_id)
        timeout = POST_TIMEOUT + len(body) / SLOWEST
        match kind:
            case PostKind.RESULT:
                url = urls.stream_result(job_id) if is_stream else urls.result(job_id)
            case PostKind.PROGRESS:
                url, body, timeout = urls.result(job_id), progress_body(body), PROGRESS_TIMEOUT
            case PostKind.CHUNK:
                url, body = urls.chunk(job_id), chunk_body(body)
        reply = await self._send("POST", url, timeout, body, {**_POST_HEADERS, REQUEST_ID_HEADER: job_id})
        return reply if isinstance(reply, PostFailure) else None

    async def _send(
        self,
        verb: str,
        url: URL,
        timeout: float,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        is_take: bool = False,
    ) -> bytes | PostFailure:
        """Makes one call; gives the body of a good answer."""
        self._patience.begin(timeout)
        try:
            async with self._session.request(
                verb,
                url,
                data=body if body is None or len(body) < LARGE_BODY else io.BytesIO(body),
                headers=headers,
                allow_redirects=verb == "GET",
            ) as response:
                self._take_is_answered |= is_take
                text = await response.read()
                return text if response.status < 300 else _refusal(response, text)
        except asyncio.CancelledError:
            if not self._patience.is_over():
                raise
            return PostFailure(failure=Failure(kind=FailureKind.LOST), reason=f"no answer in {timeout:.0f} s")
        except Exception as error:  # noqa: BLE001  whatever it is, it must not strand a job
            return _failure(error)
        finally:
            self._patience.end()


def _template(make: Callable[[str], str]) -> Callable[[str], URL]:
    template = make(_MARK)
    return lambda job_id: URL(template.replace(_MARK, quote(job_id, safe="")), encoded=True)


def _parse_jobs(body: bytes) -> TakeReply | PostFailure:
    """Reads one job or a list of them; either shape may come from either route."""
    try:
        value = load(body)
    except PayloadError as error:
        return PostFailure(
            failure=Failure(kind=FailureKind.GARBLED),
            reason=f"the reply to a take is not JSON: {error}",
        )
    jobs: list[TakenJob] = []
    broken: list[tuple[str | None, str]] = []
    for item in value if isinstance(value, list) else [value]:
        job_id = item.get("id") if isinstance(item, dict) else None
        if not isinstance(job_id, str) or not job_id:
            broken.append((None, "it has no id"))
        elif not job_id.isprintable():
            broken.append((None, "its id is not text"))
        elif "input" not in item:
            broken.append((job_id, "it has no input"))
        else:
            jobs.append(TakenJob(job_id, item, _timeout(item)))
    return TakeReply(jobs=tuple(jobs), broken=tuple(broken))


def _parse_stops(body: bytes) -> list[str] | PostFailure:
    """Reads the ids; what stands between them and is none is no reason to let the others run on."""
    try:
        value = load(body)
    except PayloadError as error:
        return PostFailure(failure=Failure(kind=FailureKind.GARBLED), reason=str(error))
    ids = value.get("jobsToStop", []) if isinstance(value, dict) else None
    if not isinstance(ids, list):
        return PostFailure(failure=Failure(kind=FailureKind.GARBLED), reason="the reply holds no list of jobs to stop")
    return [job_id for job_id in ids if isinstance(job_id, str)]


def _timeout(job: dict[str, object]) -> float | None:
    """The job's own limit in seconds; on the wire it is in milliseconds."""
    policy = job.get("policy")
    limit = policy.get("executionTimeout") if isinstance(policy, dict) else None
    if isinstance(limit, bool) or not isinstance(limit, (int, float)):
        return None
    return limit / 1000 if 0 < limit < NO_LIMIT else None


def _refusal(response: aiohttp.ClientResponse, body: bytes) -> PostFailure:
    retry_after = parse_retry_after(response.headers.get("Retry-After"), time.time())
    excerpt = " ".join(body[:_EXCERPT].decode(errors="replace").split())
    return PostFailure(
        failure=Failure(
            kind=FailureKind.STATUS,
            status=response.status,
            retry_after=None if retry_after is None else min(retry_after, LONGEST_WAIT),
        ),
        reason=f"HTTP {response.status} {excerpt}".strip(),
    )


def _failure(error: Exception) -> PostFailure:
    unsent = isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))
    kind = FailureKind.UNSENT if unsent else FailureKind.LOST
    reason = "timed out" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
    return PostFailure(failure=Failure(kind=kind), reason=reason)
