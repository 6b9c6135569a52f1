"""The sender that calls the webhooks of final jobs."""

from __future__ import annotations

import asyncio
import base64
import logging
import random
import secrets
import time
from contextlib import suppress
from typing import Final

import aiohttp

from novita_gateway._errors import BadRequestError, JobNotFoundError, StoreError
from novita_gateway._logs import BoundedLog
from novita_gateway.store.protocol import NOTICE_CLAIM, Notice, Store
from novita_gateway.webhooks.addresses import PublicResolver, check_webhook
from novita_sdk.webhooks import sign
from novita_sdk.wire import codec
from novita_sdk.wire.retry import Failure, FailureKind, RetryPolicy, next_delay, parse_retry_after

__all__ = ["RETRIES", "WebhookSender", "new_secret"]

RETRIES: Final = RetryPolicy(first_delay=1.0, factor=3.0, max_delay=60.0, budget=900.0)
"""A receiver may be away for a quarter of an hour."""

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_AT_ONCE: Final = 16

_log = logging.getLogger("novita_gateway")


def new_secret() -> str:
    """Makes a signing secret with 256 bits of randomness."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class WebhookSender:
    """Delivers a store's notices, each at least once.

    Args:
        store: Says what is to be delivered.
        secret: Signs.
        allow_private: Whether private addresses may be called.
        retries: How often and how long to try.

    Raises:
        ValueError: The secret is not one.
    """

    def __init__(self, store: Store, *, secret: str, allow_private: bool, retries: RetryPolicy = RETRIES) -> None:
        sign(b"", message_id="", secret=secret, timestamp=0)  # raises now what it would at the first webhook
        self._store = store
        self._secret = secret
        self._allow_private = allow_private
        self._retries = retries
        self._held: set[Notice] = set()
        """What this gateway has claimed and is still to deliver."""
        self._log = BoundedLog()
        self._random = random.Random()  # of its own, so that who seeds the process's sees no other draw

    def check(self, url: str) -> None:
        """Raises BadRequestError for a URL that would not be called."""
        check_webhook(url, allow_private=self._allow_private)

    async def run(self) -> None:
        """Delivers until it is cancelled; what is not delivered then is the next process's work."""
        slots = asyncio.Semaphore(_AT_ONCE)
        connector = aiohttp.TCPConnector(resolver=None if self._allow_private else PublicResolver())
        async with (
            aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._hold())
            while True:
                await slots.acquire()
                notice = await self._next_notice()
                self._held.add(notice)
                group.create_task(self._deliver(session, notice, slots))

    async def _hold(self) -> None:
        """Keeps the claims of what is still to be delivered, so that no other gateway calls it meanwhile."""
        while True:
            await asyncio.sleep(NOTICE_CLAIM / 3000)
            with suppress(StoreError):  # a claim that ends is another gateway's, and the call comes twice
                await self._store.hold_notices(tuple(self._held))

    async def _next_notice(self) -> Notice:
        while True:
            try:
                return await self._store.next_notice()
            except StoreError:
                await asyncio.sleep(1)

    async def _deliver(self, session: aiohttp.ClientSession, notice: Notice, slots: asyncio.Semaphore) -> None:
        """Begins with a slot, and waits for another try without one: a receiver that is away holds up no other."""
        try:
            await self._deliver_held(session, notice, slots)
        finally:
            self._held.discard(notice)

    async def _deliver_held(self, session: aiohttp.ClientSession, notice: Notice, slots: asyncio.Semaphore) -> None:
        attempt, begin = 1, time.monotonic()
        while True:
            try:
                failure = await self._try(session, notice)
            finally:
                slots.release()
            if failure is None:
                return
            elapsed = time.monotonic() - begin
            delay = next_delay(self._retries, failure, attempt=attempt, elapsed=elapsed, random=self._random.random())
            extra = {
                "endpoint": notice.endpoint,
                "job_id": notice.job_id,
                "attempt": attempt,
                "status": failure.status,
            }
            if delay is None:
                _log.warning("webhook of job %s was given up", notice.job_id, extra=extra)
                await self._store.mark_notified(notice.endpoint, notice.job_id, notice.revision)
                return
            kind = "webhooks that failed and are called again"
            self._log.info(kind, "webhook of job %s failed, again in %.1f s", notice.job_id, delay, extra=extra)
            attempt += 1
            await asyncio.sleep(delay)
            await slots.acquire()

    async def _try(self, session: aiohttp.ClientSession, notice: Notice) -> Failure | None:
        """One call; None when there is nothing left to do. The body is read anew, for it may be large."""
        try:
            status = await self._store.status(notice.endpoint, notice.job_id)
        except JobNotFoundError:
            return None
        except StoreError:
            return Failure(kind=FailureKind.LOST)
        if status.revision != notice.revision:
            return None  # it was retried, and its next final state is the next notice
        failure = await self._post(session, notice, codec.encode(status))
        if failure is None:
            await self._store.mark_notified(notice.endpoint, notice.job_id, notice.revision)
        return failure

    async def _post(self, session: aiohttp.ClientSession, notice: Notice, body: bytes) -> Failure | None:
        message_id = f"{notice.job_id}-{notice.revision}"
        headers = sign(body, message_id=message_id, secret=self._secret, timestamp=int(time.time()))
        headers["Content-Type"] = "application/json"
        try:
            self.check(notice.url)
            async with session.post(notice.url, data=body, headers=headers, allow_redirects=False) as response:
                if response.status < 300:
                    return None
                retry_after = parse_retry_after(response.headers.get("Retry-After"), time.time())
                # Not by its status: a receiver that is being deployed may answer anything for a while.
                return Failure(kind=FailureKind.GARBLED, status=response.status, retry_after=retry_after)
        except (BadRequestError, ValueError):
            # Stored by a gateway that allowed it, or a name that can't be looked up.
            return Failure(kind=FailureKind.STATUS, status=400)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return Failure(kind=FailureKind.LOST)
