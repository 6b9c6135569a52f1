"""The drivers of a client, made when something is first sent: one for threads and forks, others for event loops."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    import aiohttp
    import requests

    from novita_sdk._settings import Settings
    from novita_sdk.drivers.aio import AsyncDriver
    from novita_sdk.drivers.sync import SyncDriver

__all__ = ["AsyncConnection", "Connection"]


class Connection:
    """The driver of a `Client`. Safe for any number of threads.

    Args:
        settings: The client's.
        session: The caller's own session, or None.
    """

    def __init__(self, settings: Settings, session: requests.Session | None) -> None:
        self._settings = settings
        self._session = session
        self._driver: SyncDriver | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        # Settings alone, the key among them; a copy opens connections of its own.
        return Connection, (self._settings, self._session)

    def open(self) -> SyncDriver:
        """What sends: loaded at the first call, and anew in a forked child."""
        driver = self._driver
        if driver is not None and not driver.is_inherited:
            return driver
        if driver is not None:
            self._lock = threading.Lock()
        from novita_sdk.drivers.sync import SyncDriver

        with self._lock:
            if self._driver is None or self._driver.is_inherited:
                self._driver = SyncDriver(self._settings, self._session)
            return self._driver

    def close(self) -> None:
        """Closes what was opened. A later `open` makes another."""
        with self._lock:
            driver, self._driver = self._driver, None
        if driver is not None:
            driver.close()


class AsyncConnection:
    """The drivers of an `AsyncClient`, one for each event loop that it is used on. Arguments as of `Connection`."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession | None) -> None:
        self._settings = settings
        self._session = session
        self._drivers: dict[asyncio.AbstractEventLoop, AsyncDriver] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        if self._session is not None:
            raise TypeError(
                "This client can't be pickled or copied: it sends over an aiohttp session of your own, which belongs "
                "to one event loop. Make a client, with a session, where it is needed."
            )
        return AsyncConnection, (self._settings, None)

    def open(self) -> AsyncDriver:
        """What sends on the running event loop: loaded at the first call.

        Raises:
            RuntimeError: No event loop runs here; or the client has a session of the caller's own, and that works on
                another.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        driver = self._drivers.get(loop)
        if driver is not None:
            return driver
        from novita_sdk.drivers.aio import AsyncDriver

        with self._lock:
            for other in [loop for loop in self._drivers if loop.is_closed()]:
                self._drivers.pop(other).abandon()
            if self._session is not None and self._drivers:
                raise RuntimeError(
                    "This client works on another event loop: it sends over an aiohttp session of your own, which "
                    "belongs to one. Make a client, with a session, for each loop; or leave the session out, and one "
                    "client serves all loops."
                )
            self._drivers[loop] = driver = AsyncDriver(self._settings, self._session)
        return driver

    async def close(self) -> None:
        """Closes what was opened, on every event loop. A later `open` makes another."""
        import asyncio

        with self._lock:
            drivers, self._drivers = list(self._drivers.values()), {}
        here = asyncio.get_running_loop()
        for driver in drivers:
            if driver.loop is here:
                await driver.close()
            elif driver.loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(driver.close(), driver.loop))
            else:
                driver.abandon()
