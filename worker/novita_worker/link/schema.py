"""The publication of a handler's types, once, beside everything else that a worker does when it starts."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from novita_sdk.models import EndpointSchema
from novita_sdk.threads import WORKER_THREADS
from novita_sdk.wire.retry import RetryPolicy, next_delay
from novita_worker.link.protocol import GatewayCalls

__all__ = ["publish"]

RETRY: Final = RetryPolicy(first_delay=1.0, max_delay=30.0, budget=300.0)

_log: Final = logging.getLogger("novita_worker")


async def publish(gateway: GatewayCalls, describe: Callable[[], EndpointSchema]) -> None:
    """Publishes a schema. A gateway that does not take it is left alone: jobs need no schema.

    Args:
        gateway: Where to publish.
        describe: Makes the schema.
    """
    try:
        schema = await WORKER_THREADS.run(describe)
    except Exception as error:  # noqa: BLE001  a type may have no schema, and serve all the same
        _log.debug("the handler's types can't be published: %s", error)
        return
    loop = asyncio.get_running_loop()
    started, attempt = loop.time(), 0
    while (problem := await gateway.publish(schema)) is not None:
        attempt += 1
        elapsed = loop.time() - started
        delay = next_delay(RETRY, problem.failure, attempt=attempt, elapsed=elapsed, random=random.random())
        if delay is None:
            _log.debug("the gateway did not take the handler's types: %s", problem.reason)
            return
        await asyncio.sleep(delay)
