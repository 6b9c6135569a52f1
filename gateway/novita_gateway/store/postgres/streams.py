"""The streams of jobs: pieces come in, and are read by a cursor or by whoever asks first."""

from __future__ import annotations

from functools import partial

from novita_gateway._clock import Clock
from novita_gateway.board import commands, rules
from novita_gateway.board.commands import Event
from novita_gateway.board.limits import Limits
from novita_gateway.board.rows import Row
from novita_gateway.store.journal import FIRST_CHUNK
from novita_gateway.store.postgres import words
from novita_gateway.store.postgres.batches import Batches
from novita_gateway.store.postgres.changes import Change, Changed
from novita_gateway.store.postgres.looks import job_state
from novita_gateway.store.postgres.reads import Reads
from novita_gateway.store.postgres.tasks import Tasks, nothing
from novita_gateway.store.postgres.waiting import Waiters
from novita_gateway.store.protocol import Handover
from novita_gateway.store.streams import Place, check_gap, stream_page
from novita_sdk.models import ReadStreamResponse

__all__ = ["Streams"]


class Streams:
    """Writes and reads streams.

    Args:
        reads: Reads jobs and their pieces.
        changes: Changes rows, many at once.
        limits: Leases.
        clock: Tells when a wait is over.
        waiters: Those who wait here.
        tasks: Keeps what is taken back.
    """

    def __init__(
        self,
        reads: Reads,
        changes: Batches[Change, Changed],
        *,
        limits: Limits,
        clock: Clock,
        waiters: Waiters[str],
        tasks: Tasks,
    ) -> None:
        self._reads = reads
        self._changes = changes
        self._limits = limits
        self._clock = clock
        self._waiters = waiters
        self._tasks = tasks

    async def append(self, append: commands.Append, chunk: bytes) -> None:
        """Adds a piece.

        Raises:
            ChunkMissingError: One before it never came.
        """

        def rule(row: Row, now: int, _: int) -> list[Event]:
            is_held = rules.holds(row, append.worker_id, now=now, limits=self._limits)
            return rules.append(row, append.take, append.number) if is_held else []

        change = Change(endpoint=append.endpoint, id=append.id, rule=rule, part=FIRST_CHUNK, body=chunk)
        changed = await self._changes.call(change)
        if changed.row is not None and not changed.events and not changed.was_done:
            check_gap(changed.row, append)

    async def read(self, endpoint: str, job_id: str, wait: int, cursor: str | None) -> Handover[ReadStreamResponse]:
        """A page: of the pieces from the cursor on, or of those that nobody without one has read."""
        place = None if cursor is None else Place.parse(cursor)
        end = self._clock.now() + wait
        with self._waiters.watch(words.chunks(endpoint, job_id)) as watch:
            while True:
                row, _ = await self._reads.job(endpoint, job_id)
                if wait > 0 and not row.is_final and _is_at_end(row, place):
                    watch.seen = job_state("C", row.status, row.revision, row.takes, row.chunks)
                    if not await watch.until(end):
                        wait = 0
                    continue
                if (page := await self._page(row, place)) is not None:
                    return page

    async def _page(self, row: Row, place: Place | None) -> Handover[ReadStreamResponse] | None:
        """None where the stream was another one when its pieces were read."""
        first = _first(row, place)
        fresh, parts = await self._reads.stream(row.endpoint, row.id, first)
        if first != _first(fresh, place):
            return None
        page = stream_page(fresh, parts, first)
        if place is not None:
            page.first, page.next_cursor = first, str(Place(fresh.takes, first + len(page.stream)))
        if place is not None or not page.stream:
            return Handover(page, nothing)
        undo = partial(self._restore, fresh, first)
        is_ours = await self._tasks.shielded(self._mark_read(fresh, first, len(page.stream)), undo)
        return Handover(page, undo) if is_ours else None

    async def _mark_read(self, seen: Row, first: int, count: int) -> bool:
        """Notes that pieces were read, unless somebody else did so meanwhile."""

        def rule(row: Row, _: int, __: int) -> list[Event]:
            is_same = (row.read, row.takes) == (first, seen.takes)
            return rules.read_chunks(row, first + count) if is_same else []

        changed = await self._changes.call(Change(endpoint=seen.endpoint, id=seen.id, rule=rule))
        return bool(changed.events) or changed.was_done

    async def _restore(self, read: Row, first: int) -> None:
        def rule(row: Row, _: int, __: int) -> list[Event]:
            return rules.restore_chunks(row, first=first, retries=read.retries)

        await self._tasks.take_back(self._changes.call(Change(endpoint=read.endpoint, id=read.id, rule=rule)))


def _first(row: Row, place: Place | None) -> int:
    return row.read if place is None else place.in_stream(row)


def _is_at_end(row: Row, place: Place | None) -> bool:
    return row.read == row.chunks if place is None else place.is_at_end(row)
