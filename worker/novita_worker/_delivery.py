"""Gets one post to the gateway, with all the tries it is worth."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from enum import Enum
from typing import Final
from urllib.parse import quote

from yarl import URL

from novita_sdk.wire.retry import RetryPolicy, next_delay
from novita_sdk.wire.templates import WorkerUrls
from novita_worker._link import Link, PostFailure
from novita_worker._outbox import PostKind
from novita_worker._outcome import chunk_body, progress_body

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
    """Delivers posts over a link."""

    def __init__(self, link: Link, urls: WorkerUrls) -> None:
        self._link = link
        self._result_url = _template(lambda job_id: urls.done(job_id, is_stream=False))
        self._stream_result_url = _template(lambda job_id: urls.done(job_id, is_stream=True))
        self._chunk_url = _template(urls.stream)

    async def deliver(
        self, job_id: str, kind: PostKind, body: bytes, *, is_stream: bool
    ) -> tuple[Verdict, PostFailure | None]:
        """Posts until it is accepted, refused for good, or hopeless.

        Args:
            job_id: Whose post it is.
            kind: A progress post has one try.
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
                return await self._persist(url, body, job_id)

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
