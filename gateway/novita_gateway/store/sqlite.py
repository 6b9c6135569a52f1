"""The durable store: one SQLite file, one writer thread, many changes per commit."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from novita_gateway._clock import Clock
from novita_gateway._errors import StoreError
from novita_gateway.board.limits import Limits
from novita_gateway.board.rows import Row
from novita_gateway.store.board_store import BoardStore
from novita_gateway.store.journal import Kept, Part
from novita_gateway.store.sqlite_file import SqliteFile, WriteBatch, body_key
from novita_sdk.threads import GATEWAY_THREADS

__all__ = ["SQLiteStore", "SqliteJournal"]

CACHE: Final = 16 * 1024 * 1024
"""Bytes of payloads kept in memory, so that a job that is taken soon is not read back."""

OVERHEAD: Final = 256
"""Bytes that a payload takes beside its own, about: of very many small ones that is the most."""

QUIET: Final = 1.0
"""Seconds without a change after which the log is folded into the file, so that a copy of the file alone is whole."""

MANY: Final = 2000
"""Jobs in one batch. Who needs no answer waits then, for what makes and frees a large one holds up every thread."""

_log = logging.getLogger("novita_gateway")


class SQLiteStore(BoardStore):
    """Keeps jobs in one SQLite file. What it acknowledged survives kill -9 and power loss.

    Args:
        path: The file; made where there is none.
        limits: Leases, attempts, retention.
        clock: Tells the time.
    """

    def __init__(self, path: str | Path, *, limits: Limits | None = None, clock: Clock | None = None) -> None:
        super().__init__(SqliteJournal(Path(path).absolute()), limits=limits, clock=clock)


class SqliteJournal:
    """Collects changes while a commit runs, and writes them all with the next one.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cache = _BodyCache(CACHE)
        self._batch = WriteBatch()
        self._waiters: list[asyncio.Future[None]] = []
        self._writing: WriteBatch | None = None
        self._writing_waiters: list[asyncio.Future[None]] = []
        self._is_scheduled = False
        self._is_folded = True
        """Everything is in the file itself, or it is not worth another try."""

    async def open(self) -> Kept:
        """Opens the file and reads what is in it."""
        self._loop = asyncio.get_running_loop()
        self._file = await GATEWAY_THREADS.run(SqliteFile, self._path)
        # A queue of its own, because an executor's futures cost more than the commit itself.
        self._queue: SimpleQueue[WriteBatch | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="novita-gateway-writer", daemon=True)
        self._thread.start()
        return Kept(
            rows=await GATEWAY_THREADS.run(self._file.load), now=await GATEWAY_THREADS.run(self._file.load_time)
        )

    async def close(self) -> None:
        """Writes what is left, and closes the file."""
        try:
            await self.commit()
        finally:
            self._queue.put(None)
            await GATEWAY_THREADS.run(self._thread.join)
            await GATEWAY_THREADS.run(self._write_time)
            await GATEWAY_THREADS.run(self._file.close)

    def pass_time(self, now: int, /) -> None:
        """Keeps the board's time with the next batch, and with the last one."""
        self._batch.now = now

    def save(self, row: Row) -> None:
        """Keeps the row with the next batch."""
        self._batch.save(row)
        self._schedule()

    def drop(self, row: Row) -> None:
        """Removes the row and its payloads."""
        self._batch.rows.pop(row.seq, None)
        self._forget_bodies(row, first=Part.REQUEST)
        self._batch.dropped.add(row.seq)
        self._schedule()

    def put(self, row: Row, part: int, body: bytes) -> None:
        """Keeps a payload with the next batch."""
        self._batch.bodies.setdefault(row.seq, {})[part] = body
        self._cache.put(body_key(row.seq, part), body)
        self._schedule()

    def clear(self, row: Row) -> None:
        """Removes every payload but the request."""
        self._forget_bodies(row, first=Part.OUTPUT)
        self._batch.cleared.add(row.seq)
        self._schedule()

    def get(self, row: Row, part: int) -> bytes:
        """Reads a payload: from what is being written, from the cache, or from the file."""
        for batch in (self._batch, self._writing):
            if batch is not None and (body := batch.bodies.get(row.seq, {}).get(part)) is not None:
                return body
        key = body_key(row.seq, part)
        body = self._cache.get(key)
        if body is None:
            body = self._file.read(row.seq, part)
            if body is None:
                raise KeyError((row.id, part))
            self._cache.put(key, body)
        return body

    def put_schema(self, endpoint: str, schema: bytes) -> None:
        """Keeps the schema with the next batch."""
        self._batch.schemas[endpoint] = schema
        self._schedule()

    def get_schema(self, endpoint: str) -> bytes | None:
        """Reads the schema: from what is being written, or from the file."""
        for batch in (self._batch, self._writing):
            if batch is not None and endpoint in batch.schemas:
                return batch.schemas[endpoint]
        return self._file.read_schema(endpoint)

    def is_settled(self, row: Row) -> bool:
        """Whether no batch that is still to be written has the row."""
        return row.seq not in self._batch.rows and (self._writing is None or row.seq not in self._writing.rows)

    @property
    def is_behind(self) -> bool:
        """Whether the next batch has many jobs already."""
        return len(self._batch.rows) + len(self._batch.dropped) >= MANY

    async def commit(self) -> None:
        """Waits for the commit of the newest change."""
        if self._batch:
            self._schedule()
            waiters = self._waiters
        elif self._writing is not None:
            waiters = self._writing_waiters
        else:
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        waiters.append(waiter)
        await waiter

    def _write_time(self) -> None:
        """Writes what passed since the last batch. Where that fails, jobs are only kept longer."""
        if self._batch.now is not None:
            try:
                self._file.write_time(self._batch.now)
            except sqlite3.Error as error:
                _log.warning("cannot write to %s when it stopped: %s", self._path, error)

    def _schedule(self) -> None:
        if self._writing is None and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._start)

    def _start(self) -> None:
        self._is_scheduled = False
        if self._writing is not None or not self._batch:
            return
        self._writing, self._batch = self._batch, WriteBatch()
        self._writing_waiters, self._waiters = self._waiters, []
        self._queue.put(self._writing)

    def _write(self) -> None:
        """The writer thread: one transaction after the other; in between, when it is quiet, the log is folded."""
        while True:
            try:
                batch = self._queue.get(timeout=None if self._is_folded else QUIET)
            except Empty:
                self._fold()
                continue
            if batch is None:
                return
            error: Exception | None = None
            self._is_folded = False
            try:
                self._file.write(batch)
            except Exception as failure:  # noqa: BLE001 - who waits is told
                error = failure
            self._loop.call_soon_threadsafe(self._written, error)
            with suppress(sqlite3.Error):
                self._file.settle()

    def _fold(self) -> None:
        try:
            self._is_folded = self._file.make_whole()
        except sqlite3.Error as error:
            _log.warning("cannot fold the log into %s until the next change: %s", self._path, error)
            self._is_folded = True

    def _written(self, error: Exception | None) -> None:
        batch, waiters = self._writing, self._writing_waiters
        self._writing, self._writing_waiters = None, []
        if error is not None and batch is not None:
            _log.error("cannot write to %s: %s", self._path, error)
            self._take_up_again(batch)
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(StoreError(f"the job store could not write ({error}); ask again"))
        if self._batch and (error is None or self._waiters):
            self._schedule()

    def _take_up_again(self, failed: WriteBatch) -> None:
        """Puts what could not be written under what came since, for the next commit."""
        newer, merged = self._batch, failed
        for seq in newer.dropped | newer.cleared:
            first = Part.REQUEST if seq in newer.dropped else Part.OUTPUT
            merged.bodies[seq] = {part: body for part, body in merged.bodies.get(seq, {}).items() if part < first}
        for seq in newer.dropped:
            merged.rows.pop(seq, None)
        for seq, parts in newer.bodies.items():
            merged.bodies.setdefault(seq, {}).update(parts)
        merged.rows.update(newer.rows)
        merged.cleared |= newer.cleared
        merged.dropped |= newer.dropped
        merged.schemas.update(newer.schemas)
        merged.now = merged.now if newer.now is None else newer.now
        self._batch = merged

    def _forget_bodies(self, row: Row, *, first: int) -> None:
        pending = self._batch.bodies.pop(row.seq, {})
        kept = {part: body for part, body in pending.items() if part < first}
        if kept:
            self._batch.bodies[row.seq] = kept
        for part in (*Part, *range(len(Part), len(Part) + row.chunks)):
            if part >= first:
                self._cache.drop(body_key(row.seq, part))


class _BodyCache:
    """Keeps the payloads that were written or read last, up to a sum of their sizes.

    Args:
        limit: Bytes to keep in all, with what each takes beside its own. A body of more than an eighth is not kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._bodies: OrderedDict[int, bytes] = OrderedDict()

    def get(self, key: int) -> bytes | None:
        """The body, if it is still here."""
        return self._bodies.get(key)

    def put(self, key: int, body: bytes) -> None:
        """Keeps a body; the oldest ones go."""
        self.drop(key)
        if len(body) > self._limit // 8:
            return
        self._bodies[key] = body
        self._size += len(body) + OVERHEAD
        while self._size > self._limit:
            _, oldest = self._bodies.popitem(last=False)
            self._size -= len(oldest) + OVERHEAD

    def drop(self, key: int) -> None:
        """Lets go of a body."""
        body = self._bodies.pop(key, None)
        if body is not None:
            self._size -= len(body) + OVERHEAD
