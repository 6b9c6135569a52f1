"""The delivery of one post, with all the tries it is worth."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from typing import Final, TypeVar

from novita_sdk.threads import WORKER_THREADS
from novita_sdk.wire.retry import Failure, RetryPolicy, next_delay
from novita_worker.desk.outbox import NOWHERE, Place, PostKind
from novita_worker.link.protocol import CallFailure, GatewayCalls
from novita_worker.link.spool import Spool, Spooled

__all__ = ["Delivery", "Verdict", "to_disk"]

NotedT = TypeVar("NotedT")

POLICY: Final = RetryPolicy(first_delay=0.1, max_delay=20.0, budget=600.0)
_NOT_ABOUT_IT: Final = frozenset({401, 403, *range(300, 400)})
"""Says nothing about the result: a gateway may learn of a new key late, the next process may have a new one, and what
redirects a post is not the gateway."""

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
        gateway: Where to.
        spool: Keeps results until they are acknowledged, or None.
        worker_id: Who ran the jobs, if that was an earlier process.
    """

    def __init__(self, gateway: GatewayCalls, spool: Spool | None = None, *, worker_id: str | None = None) -> None:
        self._gateway = gateway
        self._spool = spool
        self._worker_id = worker_id
        self._kept: dict[str, tuple[bytes, asyncio.Task[None]]] = {}

    def keep(self, job_id: str, chunks: Sequence[bytes], place: Place, result: bytes, *, is_stream: bool) -> None:
        """Begins to write what a job still has to post to the spool, ahead of its delivery; only where there is one.

        Args:
            job_id: The job.
            chunks: Those that are not acknowledged.
            place: Of the first of them.
            result: The result's request body.
            is_stream: Whether the result closes a generator's output.
        """
        posts = [*((PostKind.CHUNK, chunk) for chunk in chunks), (PostKind.RESULT, result)]
        task = asyncio.create_task(self._write(job_id, posts, is_stream=is_stream, place=place))
        self._kept[job_id] = (result, task)

    async def forget(self, job_id: str) -> None:
        """Drops what was kept of a job that was stopped."""
        if self._spool is not None:
            _, task = self._kept.pop(job_id, (b"", None))
            if task is not None:
                await task
            await to_disk(self._spool.remove, job_id)

    async def deliver(
        self, job_id: str, kind: PostKind, body: bytes, *, is_stream: bool, place: Place = NOWHERE
    ) -> tuple[Verdict, CallFailure | None]:
        """Posts until it is accepted, refused for good, or hopeless.

        Args:
            job_id: Whose post it is.
            kind: A progress post has one try; a result is on disk before its first.
            body: A result's request body; of progress and chunks, the JSON value.
            is_stream: Whether the result closes a generator's output.
            place: Where it belongs in a stream.
        """
        if kind is PostKind.RESULT and self._spool is not None:
            return await self._deliver_kept(self._spool, job_id, body, is_stream=is_stream, place=place)
        verdict, problem = await self._persist(job_id, kind, body, is_stream=is_stream, place=place)
        if kind is PostKind.CHUNK and self._spool is not None and job_id in self._kept:
            _, task = self._kept[job_id]
            await task
            if verdict is Verdict.DELIVERED:
                await to_disk(self._spool.mark_sent, job_id)
            else:
                self._kept.pop(job_id, None)
        return verdict, problem

    async def replay(self, spooled: Spooled, spool: Spool) -> Verdict:
        """Delivers what a worker that is gone has left.

        Args:
            spooled: What it has left.
            spool: Where it lies.
        """
        for index, (kind, body) in enumerate(spooled.posts):
            number = None if kind is PostKind.RESULT or spooled.number is None else spooled.number + index
            place = Place(spooled.take, number)
            verdict, problem = await self.deliver(spooled.job_id, kind, body, is_stream=spooled.is_stream, place=place)
            if problem is not None:
                _log.error(
                    "a result left by an earlier process, of job %s: %s",
                    spooled.job_id,
                    problem.reason,
                    extra={"job_id": spooled.job_id},
                )
                return verdict
            if kind is PostKind.CHUNK:
                await to_disk(spool.mark_recovered_sent, spooled)
        return Verdict.DELIVERED

    async def _deliver_kept(
        self, spool: Spool, job_id: str, body: bytes, *, is_stream: bool, place: Place
    ) -> tuple[Verdict, CallFailure | None]:
        kept, task = self._kept.pop(job_id, (None, None))
        if task is not None:
            await task
        if kept != body:
            await self._write(job_id, [(PostKind.RESULT, body)], is_stream=is_stream, place=place)
        verdict, problem = await self._persist(job_id, PostKind.RESULT, body, is_stream=is_stream, place=place)
        if verdict is not Verdict.LOST:
            await to_disk(spool.remove, job_id)
        return verdict, problem

    async def _write(
        self, job_id: str, posts: Sequence[tuple[PostKind, bytes]], *, is_stream: bool, place: Place
    ) -> None:
        if self._spool is not None:
            try:
                await WORKER_THREADS.run(self._spool.put, job_id, posts, is_stream=is_stream, place=place)
            except (OSError, RuntimeError) as error:  # RuntimeError: there is no thread to be had
                _log.error(
                    "the result of job %s is not on disk while it is delivered: %s",
                    job_id,
                    error,
                    extra={"job_id": job_id},
                )

    async def _persist(
        self, job_id: str, kind: PostKind, body: bytes, *, is_stream: bool, place: Place
    ) -> tuple[Verdict, CallFailure | None]:
        started = time.monotonic()
        attempt = 0
        while True:
            problem = await self._gateway.post(
                job_id, kind, body, is_stream=is_stream, place=place, worker_id=self._worker_id
            )
            if problem is None:
                return Verdict.DELIVERED, None
            if kind is PostKind.PROGRESS:
                _log.debug("progress of job %s was not delivered: %s", job_id, problem.reason)
                return Verdict.DELIVERED, None
            attempt += 1
            elapsed = time.monotonic() - started
            failure = _weigh(problem.failure)
            delay = next_delay(POLICY, failure, attempt=attempt, elapsed=elapsed, random=random.random())
            if delay is None:
                return (Verdict.REFUSED if _is_permanent(failure) else Verdict.LOST), problem
            _log.log(
                logging.WARNING if attempt == 1 else logging.DEBUG,
                "a post of job %s did not get through (%s); trying again in %.1f s",
                job_id,
                problem.reason,
                delay,
                extra={"job_id": job_id},
            )
            await asyncio.sleep(delay)


def _weigh(failure: Failure) -> Failure:
    """The failure as a delivery sees it, where that differs from other calls."""
    return replace(failure, status=503) if failure.status in _NOT_ABOUT_IT else failure


def _is_permanent(failure: Failure) -> bool:
    return next_delay(RetryPolicy(budget=None), failure, attempt=1, elapsed=0.0, random=0.0) is None


async def to_disk(note: Callable[[NotedT], object], what: NotedT) -> None:
    """Notes in the spool what the gateway knows already; without the note the next process posts it once more."""
    try:
        await WORKER_THREADS.run(note, what)
    except (OSError, RuntimeError) as error:
        _log.error("the spool can't be written, so that the next process may post a result again: %s", error)
