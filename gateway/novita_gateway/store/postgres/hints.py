"""Hints: what one gateway tells the others, so that those who wait there look at once.

They go out after the commit and outside of every transaction, because a NOTIFY in one makes all that write queue up at
its commit. Many go in one message. A hint that is lost costs a second: then everybody looks anyhow.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from novita_gateway._errors import GatewayError
from novita_gateway.store.postgres.connections import Connections, connect

__all__ = ["Hints"]

MESSAGE: Final = 7900
"""Bytes; PostgreSQL takes 7,999."""
BEAT: Final = 10.0
"""Seconds between two looks at whether the listening connection still lives."""
PAUSE: Final = 0.5
"""Seconds before it is made anew."""
PATIENCE: Final = 2.0
"""Seconds for which a message is tried again; after that everybody has looked by themselves."""

_SEND: Final = "SELECT pg_notify($1, m) FROM unnest($2::text[]) AS m"

_log = logging.getLogger("novita_gateway")


class Hints:
    """Sends words, and hears those of the other gateways.

    Args:
        dsn: Where to listen.
        settings: Of the listening session.
        connections: For sending.
        channel: A name that the gateways of a store share.
        hear: Is called with the words of another gateway.
        missed: Is called when some may have been missed.
    """

    def __init__(
        self,
        dsn: str,
        settings: Mapping[str, str],
        connections: Connections,
        *,
        channel: str,
        hear: Callable[[Iterable[str]], object],
        missed: Callable[[], object],
    ) -> None:
        self._dsn = dsn
        self._settings = settings
        self._connections = connections
        self._channel = channel
        self._hear = hear
        self._missed = missed
        self._own = secrets.token_hex(4)
        self._words: dict[str, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_sending = False

    async def open(self) -> None:
        """Returns when it listens; from then on it does so again whenever it is cut off."""
        listening = asyncio.Event()
        self._spawn(self._listen(listening))
        await listening.wait()

    async def close(self) -> None:
        """Listens no more; what is not sent yet is found by the others' looks."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.sleep(0)  # in which the socket is closed

    def tell(self, words: Iterable[str]) -> None:
        """Sends words, with whatever else is to be sent by then."""
        self._words.update(dict.fromkeys(words))
        if self._words and not self._is_sending:
            self._is_sending = True
            self._spawn(self._send())

    async def _send(self) -> None:
        try:
            while self._words:
                messages, self._words = list(_packed(self._own, self._words)), {}
                await self._connections.fetch(_SEND, self._channel, messages, patience=PATIENCE)
        except GatewayError as error:
            _log.warning("other gateways were told nothing for a moment, and look by themselves: %s", error)
        finally:
            self._is_sending = False

    async def _listen(self, listening: asyncio.Event) -> None:
        while True:
            connection = None
            try:
                connection = await connect(self._dsn, self._settings)
                await connection.add_listener(self._channel, self._heard)
                listening.set()
                self._missed()
                while True:
                    await asyncio.sleep(BEAT)
                    async with asyncio.timeout(BEAT):
                        await connection.execute("SELECT 1")
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it was, it listens again
                listening.set()  # a gateway starts without, and finds by looking
                _log.warning(
                    "hears no other gateway for a moment, and looks by itself: %s", error or type(error).__name__
                )
            finally:
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(PAUSE)

    def _heard(self, _connection: object, _pid: int, _channel: str, message: object) -> None:
        sender, *words = str(message).split(" ")
        if sender != self._own:
            self._hear(words)

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _packed(sender: str, words: Iterable[str]) -> Iterable[str]:
    message = sender
    for word in words:
        if len(message) + 1 + len(word) > MESSAGE:
            yield message
            message = sender
        message += f" {word}"
    yield message
