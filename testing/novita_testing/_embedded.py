"""A gateway and a worker around one handler, in threads of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from typing import Final, Unpack

from novita_gateway import Clock, Faults, Gateway, Limits, MemoryStore, serve_in_thread
from novita_sdk import Client, Endpoint
from novita_sdk._environment import set_variables
from novita_testing._heartbeat import LoopHeartbeat
from novita_testing._options import WorkerOptions
from novita_worker._config import parse_config
from novita_worker._environment import read_environment
from novita_worker._worker import Worker
from novita_worker.handlers.spec import Handler, inspect_handler
from novita_worker.link.http import Link

__all__ = ["embedded"]

LIMITS: Final = Limits(lease=3_600_000)
"""A test that moves the clock leaves no time for pings, so that a lease that ends must be asked for."""


@contextmanager
def embedded(
    handler: Handler,
    *,
    endpoint: str = "test",
    limits: Limits | None = None,
    clock: Clock | None = None,
    faults: Faults | None = None,
    **worker: Unpack[WorkerOptions],
) -> Iterator[Endpoint]:
    """Serves a handler on a gateway of its own, and gives an endpoint to call it through.

    Everything is real but for the deployment: HTTP over loopback, the queue, leases and pings, files, the worker's
    loop. The environment stays as it is: the handler finds its gateway's file store through its context, which a thread
    of its own lacks unless it runs in `contextvars.copy_context()`.

    Args:
        handler: As for `novita_worker.start`.
        endpoint: The endpoint's name.
        limits: Leases, attempts, retention; left out, leases are an hour.
        clock: The gateway's time; a `ManualClock` is moved by the test. Pings come in real time, so a clock that is
            moved by a whole lease at once ends the lease.
        faults: What the gateway does wrong on purpose.
        **worker: Further fields of `novita_worker.WorkerConfig`: `concurrency`, `return_aggregate_stream`, …

    Raises:
        ConfigError: The handler can't be called with a job, or a field makes no sense.
    """
    config = parse_config({"handler": handler, **worker})
    spec = inspect_handler(config.handler)
    store = MemoryStore(limits=limits or LIMITS, clock=clock)
    with serve_in_thread(lambda: Gateway(store=store, faults=faults)) as gateway:
        variables = gateway.worker_env(endpoint)
        environment = read_environment(variables)

        def make_worker() -> Worker:
            set_variables(variables)
            # Two pings may be lost before a lease is.
            heartbeat = LoopHeartbeat(environment, interval=store.lease / 3000)
            return Worker(config, spec, environment, Link(environment), heartbeat)

        client = Client(api_key=gateway.api_key, base_url=gateway.url)
        with _serving(make_worker), client:
            yield client.endpoint(endpoint)


@contextmanager
def _serving(make: Callable[[], Worker]) -> Iterator[None]:
    """Makes a worker and runs it in a thread, in a copy of the caller's context."""
    made: Future[Worker] = Future()

    def serve() -> None:
        try:
            worker = make()
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            made.set_exception(error)
        else:
            made.set_result(worker)
            worker.run()

    thread = threading.Thread(target=copy_context().run, args=(serve,), name="novita-embedded-worker", daemon=True)
    thread.start()
    worker = made.result()
    try:
        yield
    finally:
        worker.shutdown()
        thread.join()
