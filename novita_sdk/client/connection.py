"""The drivers of a client, made when something is first sent: one for threads and forks, one for an event loop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    """The driver of an `AsyncClient`. Arguments as of `Connection`."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession | None) -> None:
        self._settings = settings
        self._session = session
        self._driver: AsyncDriver | None = None

    def open(self) -> AsyncDriver:
        """What sends: loaded at the first call, and anew on another event loop once the first is closed.

        Raises:
            RuntimeError: The client works on another event loop.
        """
        import asyncio

        driver, loop = self._driver, asyncio.get_running_loop()
        if driver is not None and driver.loop is loop:
            return driver
        if driver is not None and not driver.loop.is_closed():
            raise RuntimeError("This client works on another event loop; make one for each loop.")
        from novita_sdk.drivers.aio import AsyncDriver

        self._driver = AsyncDriver(self._settings, self._session)
        return self._driver

    async def close(self) -> None:
        """Closes what was opened. A later `open` makes another."""
        driver, self._driver = self._driver, None
        if driver is not None:
            await driver.close()
