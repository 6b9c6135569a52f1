"""The SQLite file: the statements that read and write it. Everything here blocks."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Final

from novita_gateway._errors import StoreError
from novita_gateway.board.rows import Row
from novita_gateway.store.sqlite_migrations import APPLICATION, COLUMNS, TABLES, VERSION, migrate

__all__ = ["SqliteFile", "WriteBatch", "body_key"]

_log = logging.getLogger("novita_gateway")

_PART_BITS: Final = 24
_SIZES: Final = (256, 64, 16, 4, 1)
"""Rows of one INSERT. Many rows in one statement let the writer thread give up the interpreter once for all of them."""

_NAMES: Final = tuple(column.name for column in COLUMNS)
_BOOLS: Final = tuple(place for place, column in enumerate(COLUMNS) if column.is_bool)
_SHARED: Final = tuple(map(_NAMES.index, ("endpoint", "status", "worker_id", "ttl")))
"""Places of columns in which very many rows have the same few values, each of which is kept once."""
_values = attrgetter(*_NAMES)

LOG_SIZE: Final = 4 * 1024 * 1024
"""Bytes written to the log, about, after which it is folded into the file even while there is more to write."""
_PAGES: Final = 3 * 4096
"""Bytes that a transaction writes beside its payloads, about."""
_LACKING: Final = -1
"""Key of a row in the table `body`, where payloads have none below 0: the file lacks what its log has."""
_MARK: Final = f"INSERT OR REPLACE INTO body (key, body) VALUES ({_LACKING}, x'')"  # noqa: S608 - constants
_UNMARK: Final = f"DELETE FROM body WHERE key = {_LACKING}"  # noqa: S608 - constants


def body_key(seq: int, part: int) -> int:
    """The key of a payload in the table `body`."""
    return (seq << _PART_BITS) | part


@dataclass(slots=True)
class WriteBatch:
    """Changes that are written in one transaction: first the removals, then the rest."""

    rows: dict[int, tuple[object, ...]] = field(default_factory=dict)
    """Records, by `seq`: the row may change while another thread writes."""
    bodies: dict[int, dict[int, bytes]] = field(default_factory=dict)
    """By `seq` and part."""
    cleared: set[int] = field(default_factory=set)
    """Jobs that lose every payload but the request."""
    dropped: set[int] = field(default_factory=set)
    schemas: dict[str, bytes] = field(default_factory=dict)
    """By endpoint."""
    now: int | None = None
    """The board's time. It goes with the rest: alone it is no reason to write."""

    def save(self, row: Row) -> None:
        """Takes the row in as it is now."""
        self.rows[row.seq] = _values(row)

    def __bool__(self) -> bool:
        return bool(self.rows or self.bodies or self.cleared or self.dropped or self.schemas)


class SqliteFile:
    """One database file, opened for one gateway.

    What is written stands in the log (`FILE-wal`) until it is folded into the file. So that a copy of the file alone is
    known for one, the file says in a row that it lacks something, and the log takes that row away: whoever has both, as
    a backup by SQLite and the next gateway after a kill have, does not see it.

    Args:
        path: The file; made where there is none, readable for its owner alone, because inputs may hold secrets.

    Raises:
        StoreError: Another gateway has it open, a newer one wrote it, or it is not a gateway's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch(mode=0o600)
        # A lock of its own file goes with the process, and leaves the database free for a second, reading connection.
        self._lock = sqlite3.connect(f"{path}.lock", timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            self._lock.close()
            raise StoreError(f"another gateway has {path} open; stop it, or give this one a file of its own") from None
        self._writer = self._connect()
        try:
            self._prepare(self._check())
        except BaseException as error:
            self._writer.close()
            self._lock.close()
            match error:
                case StoreError():
                    raise StoreError(f"{path} {error}") from error.__cause__
                case sqlite3.Error():
                    raise StoreError(f"{path} {_not_ours(error)}") from None
            raise
        self._reader = self._connect()
        found = self._writer.execute("SELECT 1 FROM body WHERE key = ?", (_LACKING,)).fetchone()
        self.lacks_log: Final = found is not None
        """Whether it is a copy that was made without the log, so that the newest changes are missing."""
        if self.lacks_log:
            _log.warning(
                "%s was copied from a running gateway without its log, %s-wal: the newest jobs may be missing. Stop"
                " that gateway and copy again, or make the copy with: sqlite3 ORIGINAL '.backup COPY'",
                path,
                path.name,
            )
        self._is_marked = False
        """The file itself has the row."""
        self._is_mark_seen = self.lacks_log
        """And the log has not taken it away."""
        self._unfolded = 0

    def load_time(self) -> int | None:
        """The board's time when it was written last; None where nothing was."""
        (now,) = self._writer.execute("SELECT max(now) FROM clock").fetchone()
        if now is None:  # a file of before version 2
            latest = "max(created, coalesce(taken, created), coalesce(finished, created))"
            (now,) = self._writer.execute(f"SELECT max({latest}) FROM job").fetchone()  # noqa: S608 - constants
        return None if now is None else int(now)

    def load(self) -> list[Row]:
        """Reads every row."""
        known: dict[object, object] = {}
        rows = []
        for record in self._writer.execute(f"SELECT {_listed(_NAMES)} FROM job ORDER BY seq"):  # noqa: S608 - constants
            values = list(record)
            for place in _BOOLS:
                values[place] = None if values[place] is None else values[place] != 0
            for place in _SHARED:
                values[place] = known.setdefault(values[place], values[place])
            rows.append(Row(*values))
        return rows

    def read(self, seq: int, part: int) -> bytes | None:
        """Reads a payload that was written, on the reading connection; raises StoreError where the disk fails."""
        return self._read("SELECT body FROM body WHERE key = ?", body_key(seq, part))

    def read_schema(self, endpoint: str) -> bytes | None:
        """Reads a schema that was written, on the reading connection; raises StoreError where the disk fails."""
        return self._read("SELECT body FROM schema WHERE endpoint = ?", endpoint)

    def bodies(self) -> Iterator[tuple[int, int, bytes]]:
        """Reads every payload, with the `seq` of its row and its part, on the reading connection."""
        for key, body in self._reader.execute("SELECT key, body FROM body WHERE key >= 0 ORDER BY key"):
            yield key >> _PART_BITS, key & ((1 << _PART_BITS) - 1), body

    def schemas(self) -> Iterator[tuple[str, bytes]]:
        """Reads every schema, with its endpoint, on the reading connection."""
        yield from self._reader.execute("SELECT endpoint, body FROM schema")

    def write(self, batch: WriteBatch) -> None:
        """Writes a batch; it is durable when this returns."""
        execute = self._writer.execute
        is_first = not self._is_marked
        execute("BEGIN IMMEDIATE")
        try:
            if is_first:
                execute(_MARK)
            elif self._is_mark_seen:
                execute(_UNMARK)
            for seq in batch.cleared:
                execute("DELETE FROM body WHERE key > ? AND key < ?", (body_key(seq, 0), body_key(seq + 1, 0)))
            for seq in batch.dropped:
                execute("DELETE FROM body WHERE key >= ? AND key < ?", (body_key(seq, 0), body_key(seq + 1, 0)))
                execute("DELETE FROM job WHERE seq = ?", (seq,))
            self._insert("job", list(batch.rows.values()))
            bodies = [
                (body_key(seq, part), body) for seq, parts in batch.bodies.items() for part, body in parts.items()
            ]
            self._insert("body", bodies)
            self._insert("schema", list(batch.schemas.items()))
            if batch.now is not None:
                self.write_time(batch.now)
            execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                execute("ROLLBACK")
            raise
        self._is_mark_seen = is_first
        self._unfolded += _PAGES + sum(len(body) for _, body in bodies)
        if is_first or self._unfolded > LOG_SIZE:
            with suppress(sqlite3.Error):  # the batch is durable, and the next one tries again
                self._mark()

    def settle(self) -> None:
        """Ends what a write leaves to be done when those who wait for it were told.

        Raises:
            sqlite3.Error: The disk fails; the next write makes up for it.
        """
        if self._is_mark_seen:
            self._writer.execute(_UNMARK)
            self._is_mark_seen = False

    def make_whole(self) -> bool:
        """Folds the log into the file, so that a copy of the file alone has everything; waits for nobody.

        Returns:
            Whether it has; not, while somebody else reads what was there before.

        Raises:
            sqlite3.Error: The disk fails.
        """
        self.settle()
        if not self._fold():
            return False
        self._is_marked = False
        return True

    def write_time(self, now: int) -> None:
        """Writes the board's time, in the transaction that is open or in one of its own."""
        self._insert("clock", [(1, now)])

    def close(self) -> None:
        """Closes the file, and folds the log into it."""
        with suppress(sqlite3.Error):
            self.settle()
        self._reader.close()
        self._writer.close()
        self._lock.close()

    def _mark(self) -> None:
        """Folds the log into the file, and with it the row that says that the file lacks what comes from now on."""
        if not self._is_mark_seen:
            self._writer.execute(_MARK)
            self._is_mark_seen = True
        self._is_marked = self._fold()  # unless a reader is in the way; then the next write tries again

    def _fold(self) -> bool:
        _, written, folded = self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._unfolded = 0
        return bool(written == folded)

    def _read(self, query: str, key: int | str) -> bytes | None:
        try:
            record = self._reader.execute(query, (key,)).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"the job store could not read ({error}); ask again") from None
        return None if record is None else bytes(record[0])

    def _insert(self, table: str, records: Sequence[tuple[object, ...]]) -> None:
        start = 0
        for size in _SIZES:
            while len(records) - start >= size:
                chunk = records[start : start + size]
                self._writer.execute(_insert_statement(table, size), _flat(chunk))
                start += size

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=1.0, isolation_level=None, check_same_thread=False)

    def _check(self) -> int:
        """The file's version, 0 for a new one; looks before anything is written whether the file is one of ours."""
        (application,) = self._writer.execute("PRAGMA application_id").fetchone()
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        (tables,) = self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (application, version, tables) == (0, 0, 0):
            return 0
        if application != APPLICATION:
            raise StoreError(_not_ours("it belongs to another program"))
        if version < 1:
            raise StoreError(_not_ours(f"it has version {version}"))
        if version > VERSION:
            raise StoreError(
                f"is of a newer gateway: it has version {version}, and this one reads versions up to {VERSION};"
                " update novita-gpus, or name another file"
            )
        return int(version)

    def _prepare(self, version: int) -> None:
        execute = self._writer.execute
        execute("PRAGMA journal_mode = WAL")
        # Every commit is followed by an fsync of the log; SQLite syncs the folder when it makes the log.
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA wal_autocheckpoint = 0")  # it would fold the log and take the row away that says so
        execute("PRAGMA fullfsync = ON")  # on macOS a plain fsync leaves the data in the drive's cache
        migrate(self._writer, version)


def _not_ours(reason: object) -> str:
    return f"is not a job store of this gateway ({reason}); name another file"


@cache
def _insert_statement(table: str, size: int) -> str:
    names = TABLES[table]
    record = f"({', '.join('?' * len(names))})"
    return f"INSERT OR REPLACE INTO {table} ({_listed(names)}) VALUES {', '.join([record] * size)}"  # noqa: S608 - constants


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _flat(records: Iterable[tuple[object, ...]]) -> list[object]:
    return [value for record in records for value in record]
