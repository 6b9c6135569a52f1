"""The webhooks that are to be called: each is claimed by one gateway for a while."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from novita_gateway._clock import Clock
from novita_gateway.store.postgres import words
from novita_gateway.store.postgres.connections import Connections
from novita_gateway.store.postgres.statements import NOW
from novita_gateway.store.postgres.waiting import Waiters
from novita_gateway.store.protocol import NOTICE_CLAIM, Notice
from novita_sdk.models import JobRequest

__all__ = ["Notices"]

_CLAIM: Final = f"""
WITH c AS MATERIALIZED (
    SELECT endpoint, id FROM job WHERE notify AND status >= 2 AND notice_until <= {NOW}
    ORDER BY finished LIMIT 1 FOR UPDATE SKIP LOCKED),
u AS (UPDATE job SET notice_until = {NOW} + $2::bigint FROM c WHERE job.endpoint = c.endpoint AND job.id = c.id
    RETURNING job.endpoint, job.id, job.revision)
SELECT u.*, body.body FROM u JOIN body ON body.endpoint = u.endpoint AND body.id = u.id AND body.part = 0
"""  # noqa: S608 - constants
_HOLD: Final = f"""
WITH l AS MATERIALIZED (
    SELECT job.endpoint, job.id FROM job
    JOIN unnest($3::text[], $4::text[], $5::integer[]) AS q(endpoint, id, revision) USING (endpoint, id, revision)
    WHERE notify ORDER BY job.endpoint, job.id FOR UPDATE OF job)
UPDATE job SET notice_until = {NOW} + $2::bigint FROM l WHERE job.endpoint = l.endpoint AND job.id = l.id
"""  # noqa: S608 - constants

POLL: Final = 5000
"""Milliseconds after which somebody else's claims are looked at again."""


class Notices:
    """Claims.

    Args:
        connections: For claims, which need not wait for the standby: a webhook may be called twice, and never not.
        clock: Tells when to look again.
        waiters: Is told of new ones.
        now: The time by a clock of the tests; None for the database's.
    """

    def __init__(
        self, connections: Connections, *, clock: Clock, waiters: Waiters[str], now: Callable[[], int | None]
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._waiters = waiters
        self._now = now

    async def next(self) -> Notice:
        """Waits for one, and claims it."""
        with self._waiters.watch(words.NOTICE) as watch:
            while True:
                for record in await self._connections.fetch(_CLAIM, self._now(), NOTICE_CLAIM):
                    url = JobRequest.FromString(record["body"]).webhook
                    return Notice(
                        endpoint=record["endpoint"], job_id=record["id"], revision=record["revision"], url=url
                    )
                await watch.until(self._clock.now() + POLL, is_request=False)

    async def hold(self, notices: Sequence[Notice]) -> None:
        """Keeps claims for as long again."""
        if notices:
            columns = zip(*((notice.endpoint, notice.job_id, notice.revision) for notice in notices), strict=True)
            await self._connections.fetch(_HOLD, self._now(), NOTICE_CLAIM, *columns)
