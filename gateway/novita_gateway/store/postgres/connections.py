"""Connections to the database: a few, each for one piece of work at a time, and what becomes of work that is cut off.

A statement is never cancelled: a wait for the standby that is cancelled has committed, and others see what may yet be
lost. Its connection is ended instead. Whether the work took effect is not known then; it is done again, in a form that
finds what it did, and what it answers stands behind a further commit that waited for the standby.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from novita_gateway._errors import StoreError, UnavailableError

if TYPE_CHECKING:
    import asyncpg

__all__ = ["BusyError", "Connections", "Work", "connect", "is_lost"]

ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)

WAITING: Final = 256
"""Pieces of work that may wait for a connection."""
CONNECT: Final = 5.0
"""Seconds in which a connection must be there."""
ANSWER: Final = 15.0
"""Seconds in which the database must have answered."""
CLOSE: Final = 3.0
"""Seconds that work may go on when the gateway stops."""
PATIENCE: Final = 20.0
"""Seconds in which work that was cut off is begun again."""
PAUSES: Final = (0.05, 0.3)
"""Seconds before that, drawn from between."""
BARRIER: Final = "SELECT pg_logical_emit_message(true, 'novita', 'barrier')"
"""Writes to the log and to no table, so that its commit waits for the standby as any other."""

_log = logging.getLogger("novita_gateway")


class BusyError(UnavailableError):
    """Too much waits for the database already."""

    code = "STORE_BUSY"
    headers = MappingProxyType({"Retry-After": "1"})

    def __init__(self, message: str) -> None:
        super().__init__(f"the job store is busy: {message}; ask again")


class Work(Protocol[ResultT_co]):
    """Something to do with a connection; `is_again` where an earlier try may have done it."""

    def __call__(self, connection: asyncpg.Connection[Any], is_again: bool, /) -> Awaitable[ResultT_co]:  # noqa: FBT001 - as Work
        """Does it."""
        ...


class Connections:
    """A few connections to one database.

    Args:
        dsn: Where it is, as libpq has it.
        size: Connections at most. They are made when they are needed.
        settings: Of each session, by name.
        on_loss: Called when one was lost.
    """

    def __init__(
        self, dsn: str, *, size: int, settings: Mapping[str, str], on_loss: Callable[[], object] | None = None
    ) -> None:
        self._dsn = dsn
        self._size = size
        self._settings = settings
        self._on_loss = on_loss
        self._idle: list[asyncpg.Connection[Any]] = []
        self._count = 0
        self._line: deque[asyncio.Future[None]] = deque()
        self._doubted: set[object] = set()
        self._busy: set[Any] = set()
        self._is_free = asyncio.Event()
        self._is_closed = False

    async def run(self, work: Work[ResultT], *, patience: float = PATIENCE) -> ResultT:
        """Does a piece of work, again if the connection is lost on the way.

        Raises:
            BusyError: Too much waits already.
            StoreError: It could not be done in time, or the database refused it.
        """
        import asyncpg

        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        is_doubtful = False
        while True:
            connection = None
            try:
                connection = await self._acquire()
                result = await self._answer(connection, work(connection, is_doubtful))
                if is_doubtful or connection in self._doubted:
                    await self._answer(connection, connection.execute(BARRIER))
                self._release(connection)
            except asyncpg.PostgresError as error:
                if not is_lost(error):
                    self._end(connection)
                    _log.error("the database refused a statement: %s", error, exc_info=error)
                    raise StoreError(f"the job store refused the call ({error}); ask again") from error
                failure: BaseException = error
            except (
                OSError,
                asyncpg.InterfaceError,
                asyncpg.InternalClientError,
            ) as error:  # a TimeoutError is an OSError
                failure = error
            except BaseException:
                self._end(connection)
                raise
            else:
                return result
            if connection is not None:
                is_doubtful = is_doubtful or not _is_undone(failure)
            self._lose(connection, failure)
            if self._is_closed or loop.time() > deadline:
                raise StoreError(f"the job store did not answer ({_words(failure)}); ask again") from failure
            await asyncio.sleep(random.uniform(*PAUSES))

    async def fetch(
        self, statement: str, *parameters: object, patience: float = PATIENCE
    ) -> Sequence[Mapping[str, Any]]:
        """The records of one statement that does no harm if it is done twice.

        Raises:
            BusyError: Too much waits already.
            StoreError: It could not be done in time, or the database refused it.
        """

        async def work(connection: asyncpg.Connection[Any], _: bool, /) -> Sequence[Mapping[str, Any]]:  # noqa: FBT001 - as Work
            records: Sequence[Mapping[str, Any]] = await connection.fetch(statement, *parameters)
            return records

        return await self.run(work, patience=patience)

    async def close(self) -> None:
        """Ends all connections. Work that is on its way may end first, for a while; what is left is cut off."""
        self._is_closed = True
        while self._line:
            waiter = self._line.popleft()
            if not waiter.done():
                waiter.set_result(None)
        idle, self._idle = self._idle, []
        for connection in idle:
            self._count -= 1
            await _close(connection)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE):
                while self._count:
                    self._is_free.clear()
                    await self._is_free.wait()
        for connection in self._busy:
            connection.terminate()
        await asyncio.sleep(0)  # in which sockets are closed

    async def _answer(self, connection: asyncpg.Connection[Any], work: Awaitable[ResultT]) -> ResultT:
        """The result, unless it takes too long: then the connection is ended, which ends the work."""
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=ANSWER)
        except asyncio.CancelledError:
            connection.terminate()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # it is known: the connection was ended
            raise
        if not done:
            connection.terminate()
            await asyncio.wait({task})
        if not done and (task.cancelled() or task.exception() is not None):
            raise TimeoutError(f"no answer within {ANSWER:g} seconds")
        return task.result()

    async def _acquire(self) -> asyncpg.Connection[Any]:
        while not self._idle and self._count >= self._size:
            if len(self._line) >= WAITING:
                raise BusyError(f"{WAITING} statements wait for one of {self._size} connections")
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._line.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled():  # it had been called already
                    self._call_next()
                raise
        if self._is_closed:
            raise StoreError("the gateway stops; ask another one")
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                self._busy.add(connection)
                return connection
            self._count -= 1
        self._count += 1
        try:
            connection = await connect(self._dsn, self._settings)
        except BaseException:
            self._leave(None)
            raise
        self._busy.add(connection)
        connection.add_log_listener(self._doubt)
        return connection

    def _doubt(self, connection: asyncpg.Connection[Any], message: asyncpg.PostgresLogMessage) -> None:
        """A warning may say that the wait for the standby was cancelled; in whatever language, so each counts."""
        if message.severity_en == "WARNING":
            _log.warning("the database warns: %s", message.message)
            self._doubted.add(connection)

    def _release(self, connection: asyncpg.Connection[Any]) -> None:
        if self._is_closed:
            self._end(connection)
            return
        self._doubted.discard(connection)
        self._busy.discard(connection)
        self._idle.append(connection)
        self._call_next()

    def _end(self, connection: asyncpg.Connection[Any] | None) -> None:
        if connection is not None:
            connection.terminate()
            self._leave(connection)

    def _leave(self, connection: asyncpg.Connection[Any] | None) -> None:
        """There is room for another one."""
        self._doubted.discard(connection)
        self._busy.discard(connection)
        self._count -= 1
        self._is_free.set()
        self._call_next()

    def _lose(self, connection: asyncpg.Connection[Any] | None, error: BaseException) -> None:
        self._end(connection)
        if _is_undone(error):
            return
        _log.warning("a connection to the database was lost: %s", _words(error))
        if self._on_loss is not None:
            self._on_loss()

    def _call_next(self) -> None:
        while self._line:
            waiter = self._line.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


async def connect(dsn: str, settings: Mapping[str, str]) -> asyncpg.Connection[Any]:
    """A connection to the server that takes writes, with these settings.

    They are set by a statement, and not with the connection, where a pooler may refuse them.
    """
    import asyncpg

    connection: asyncpg.Connection[Any] = await asyncpg.connect(
        dsn, timeout=CONNECT, target_session_attrs="read-write", command_timeout=None
    )
    try:
        async with asyncio.timeout(CONNECT):
            await connection.execute(
                "SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS s(name, value)",
                list(settings),
                list(settings.values()),
            )
    except BaseException:
        connection.terminate()
        raise
    return connection


def is_lost(error: Exception) -> bool:
    """Whether an error of the server means that another try, over another connection, may do better."""
    import asyncpg

    return isinstance(
        error,
        (
            asyncpg.PostgresConnectionError,
            asyncpg.OperatorInterventionError,
            asyncpg.CannotConnectNowError,
            asyncpg.ReadOnlySQLTransactionError,
            asyncpg.TooManyConnectionsError,
            asyncpg.DeadlockDetectedError,
            asyncpg.SerializationError,
            asyncpg.UniqueViolationError,
        ),
    )


def _is_undone(error: BaseException) -> bool:
    """Whether the server says that it did nothing of the work, and goes on."""
    import asyncpg

    return isinstance(error, (asyncpg.DeadlockDetectedError, asyncpg.SerializationError))


def _words(error: BaseException) -> str:
    return f"{error or type(error).__name__}"


async def _close(connection: asyncpg.Connection[Any]) -> None:
    try:
        async with asyncio.timeout(CONNECT):
            await connection.close()
    except Exception:  # noqa: BLE001 - it is ended in any case
        connection.terminate()
