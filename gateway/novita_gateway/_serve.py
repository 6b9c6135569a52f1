"""Running a gateway where there is no event loop: in a thread, or as a program."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from novita_gateway._garbage import collecting_in_short
from novita_gateway._gateway import Gateway
from novita_gateway.http.open_files import raise_limit

__all__ = ["serve_forever", "serve_in_thread"]


def serve_forever(
    make_gateway: Callable[[], Gateway] = Gateway, *, on_start: Callable[[Gateway], None] | None = None
) -> None:
    """Runs a gateway in the main thread until SIGINT (Ctrl-C) or SIGTERM, then closes it in good order.

    The process's limit of open files is raised, as far as that is allowed: every caller that waits has one.

    Args:
        make_gateway: Makes the gateway.
        on_start: Called once it listens, to say where.

    Raises:
        OSError: The port is taken, or the host is not one of this machine.
        StoreError: The job store can't be opened.
        ValueError: The host is not loopback and a key is missing.
    """

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()

        def stop(*_: object) -> None:
            loop.call_soon_threadsafe(stopped.set)

        # signal.signal, not add_signal_handler, which Windows lacks.
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            async with make_gateway() as gateway:
                if on_start is not None:
                    on_start(gateway)
                await stopped.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    raise_limit()
    with collecting_in_short():
        asyncio.run(serve())


@contextmanager
def serve_in_thread(make_gateway: Callable[[], Gateway] = Gateway) -> Iterator[Gateway]:
    """Runs a gateway on an event loop in a thread of its own, for synchronous callers.

    Args:
        make_gateway: Makes the gateway, in that thread.

    Raises:
        Exception: Whatever making or starting the gateway raises.
    """
    started: list[Gateway] = []
    failed: list[BaseException] = []
    ready = threading.Event()
    stop: list[Callable[[], object]] = []

    async def serve() -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(stopped.set))
        async with make_gateway() as gateway:
            started.append(gateway)
            ready.set()
            await stopped.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="novita-gateway", daemon=True)
    thread.start()
    ready.wait()
    try:
        if started:
            yield started[0]
    finally:
        if started and not failed:
            stop[0]()
        thread.join()
        if failed:
            raise failed[0]
