"""A gateway and a worker around one handler, in threads of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from novita_gateway import Clock, Faults, Gateway, Limits, MemoryStore, serve_in_thread
from novita_sdk import Client, Endpoint
from novita_worker._config import parse_config
from novita_worker._environment import read_environment
from novita_worker._handler import Handler, inspect_handler
from novita_worker._link import Link
from novita_worker._worker import Worker

__all__ = ["embedded"]

LIMITS: Final = Limits(lease=3_600_000)
"""The worker is a thread, so it can't be lost; a lease that ends must be asked for."""


@contextmanager
def embedded(
    handler: Handler,
    *,
    endpoint: str = "test",
    limits: Limits = LIMITS,
    clock: Clock | None = None,
    faults: Faults | None = None,
    **worker: Any,
) -> Iterator[Endpoint]:
    """Serves a handler on a gateway of its own, and gives an endpoint to call it through.

    Everything is real but for the deployment: HTTP over loopback, the queue, leases, the worker's loop. There is no
    heartbeat, so a lease lasts as long as `limits` say.

    Args:
        handler: As for `novita_worker.start`.
        endpoint: The endpoint's name.
        limits: Leases, attempts, retention.
        clock: The gateway's time; a `ManualClock` is moved by the test.
        faults: What the gateway does wrong on purpose.
        **worker: Further fields of `novita_worker.WorkerConfig`: `concurrency`, `return_aggregate_stream`, …

    Raises:
        ConfigError: The handler can't be called with a job, or a field makes no sense.
    """
    config = parse_config({"handler": handler, **worker})
    spec = inspect_handler(config.handler)
    store = MemoryStore(limits=limits, clock=clock)
    with serve_in_thread(lambda: Gateway(store=store, faults=faults)) as gateway:
        environment = read_environment(gateway.worker_env(endpoint))
        runtime = Worker(config, spec, environment, Link(environment), _NoHeartbeat())
        client = Client(api_key=gateway.api_key, base_url=gateway.url)
        with _serving(runtime), client:
            yield client.endpoint(endpoint)


class _NoHeartbeat:
    """A process of its own would cost a test more than all the rest."""

    def start(self) -> None:
        """Does nothing."""

    def set_ids(self, ids: Iterable[str]) -> None:
        """Does nothing."""

    def stop(self) -> None:
        """Does nothing."""


@contextmanager
def _serving(worker: Worker) -> Iterator[None]:
    thread = threading.Thread(target=worker.run, name="novita-embedded-worker", daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.shutdown()
        thread.join()
