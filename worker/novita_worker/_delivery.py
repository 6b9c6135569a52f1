"""Gets one post to the gateway, with all the tries it is worth."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final
from urllib.parse import quote

from yarl import URL

from novita_sdk.wire.retry import RetryPolicy, next_delay
from novita_sdk.wire.templates import WorkerUrls
from novita_worker._link import Link, PostFailure
from novita_worker._outbox import PostKind
from novita_worker._outcome import chunk_body, progress_body
from novita_worker._spool import Spool, Spooled

__all__ = ["Delivery", "Verdict"]

POLICY: Final = RetryPolicy(first_delay=0.1, max_delay=20.0, budget=600.0)
PROGRESS_TIMEOUT: Final = 5.0
"""Progress is not tried twice, and a result waits no longer than this for the progress before it."""

_MARK: Final = "JOB-ID"
_log: Final = logging.getLogger("novita_worker")


class Verdict(Enum):
    """How a delivery ended."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    """The gateway will never accept it."""
    LOST = "lost"
    """All tries failed."""


class Delivery:
    """Delivers the posts of one worker.

    Args:
        link: The gateway.
        urls: The worker's routes.
        spool: Keeps results until they are acknowledged, or None.
    """

    def __init__(self, link: Link, urls: WorkerUrls, spool: Spool | None = None) -> None:
        self._link = link
        self._spool = spool
        self._kept: dict[str, tuple[bytes, asyncio.Task[None]]] = {}
        self._result_url = _template(lambda job_id: urls.done(job_id, is_stream=False))
        self._stream_result_url = _template(lambda job_id: urls.done(job_id, is_stream=True))
        self._chunk_url = _template(urls.stream)

    def keep(self, job_id: str, chunks: Sequence[bytes], result: bytes, *, is_stream: bool) -> None:
        """Begins to write what a job still has to post to the spool, ahead of its delivery."""
        if self._spool is not None:
            posts = [*((PostKind.CHUNK, chunk) for chunk in chunks), (PostKind.RESULT, result)]
            task = asyncio.create_task(self._write(job_id, posts, is_stream=is_stream))
            self._kept[job_id] = (result, task)

    async def forget(self, job_id: str) -> None:
        """Drops what was kept of a job that was stopped."""
        if self._spool is not None:
            _, task = self._kept.pop(job_id, (b"", None))
            if task is not None:
                await task
            await asyncio.to_thread(self._spool.remove, job_id)

    async def deliver(
        self, job_id: str, kind: PostKind, body: bytes, *, is_stream: bool
    ) -> tuple[Verdict, PostFailure | None]:
        """Posts until it is accepted, refused for good, or hopeless.

        Args:
            job_id: Whose post it is.
            kind: A progress post has one try; a result is on disk before its first.
            body: A result's request body; of progress and chunks, the JSON value.
            is_stream: Whether the result closes a generator's output.
        """
        match kind:
            case PostKind.PROGRESS:
                url = self._result_url(job_id)
                failure = await self._link.post(url, progress_body(body), job_id, timeout=PROGRESS_TIMEOUT)
                if failure is not None:
                    _log.debug("progress of job %s was not delivered: %s", job_id, failure.reason)
                return Verdict.DELIVERED, None
            case PostKind.CHUNK:
                return await self._persist(self._chunk_url(job_id), chunk_body(body), job_id)
            case PostKind.RESULT:
                url = self._stream_result_url(job_id) if is_stream else self._result_url(job_id)
                if self._spool is None:
                    return await self._persist(url, body, job_id)
                return await self._deliver_kept(self._spool, url, job_id, body, is_stream=is_stream)

    async def replay(self, spooled: Spooled) -> Verdict:
        """Delivers what a worker that is gone has left."""
        for kind, body in spooled.posts:
            verdict, problem = await self.deliver(spooled.job_id, kind, body, is_stream=spooled.is_stream)
            if problem is not None:
                _log.error("a result left by an earlier process, of job %s: %s", spooled.job_id, problem.reason)
                return verdict
        return Verdict.DELIVERED

    async def _deliver_kept(
        self, spool: Spool, url: URL, job_id: str, body: bytes, *, is_stream: bool
    ) -> tuple[Verdict, PostFailure | None]:
        kept, task = self._kept.pop(job_id, (None, None))
        if task is not None:
            await task
        if kept != body:
            await self._write(job_id, [(PostKind.RESULT, body)], is_stream=is_stream)
        verdict, problem = await self._persist(url, body, job_id)
        if verdict is not Verdict.LOST:
            await asyncio.to_thread(spool.remove, job_id)
        return verdict, problem

    async def _write(self, job_id: str, posts: Sequence[tuple[PostKind, bytes]], *, is_stream: bool) -> None:
        if self._spool is not None:
            try:
                await asyncio.to_thread(self._spool.put, job_id, posts, is_stream=is_stream)
            except OSError as error:
                _log.error("the result of job %s is not on disk while it is delivered: %s", job_id, error)

    async def _persist(self, url: URL, body: bytes, job_id: str) -> tuple[Verdict, PostFailure | None]:
        started = time.monotonic()
        attempt = 0
        while True:
            problem = await self._link.post(url, body, job_id)
            if problem is None:
                return Verdict.DELIVERED, None
            attempt += 1
            elapsed = time.monotonic() - started
            delay = next_delay(POLICY, problem.failure, attempt=attempt, elapsed=elapsed, random=random.random())
            if delay is None:
                return (Verdict.REFUSED if _is_permanent(problem) else Verdict.LOST), problem
            _log.log(
                logging.WARNING if attempt == 1 else logging.DEBUG,
                "a post of job %s did not get through (%s); trying again in %.1f s",
                job_id,
                problem.reason,
                delay,
            )
            await asyncio.sleep(delay)


def _template(make: Callable[[str], str]) -> Callable[[str], URL]:
    """Makes URLs that differ in nothing but the job's id without building each from its parts."""
    template = make(_MARK)
    return lambda job_id: URL(template.replace(_MARK, quote(job_id, safe="")), encoded=True)


def _is_permanent(problem: PostFailure) -> bool:
    return next_delay(RetryPolicy(budget=None), problem.failure, attempt=1, elapsed=0.0, random=0.0) is None
