"""The results that earlier processes left on disk, on their way at last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Final

from novita_sdk.threads import WORKER_THREADS
from novita_worker._config import WorkerConfig
from novita_worker._environment import Environment
from novita_worker._errors import ConfigError
from novita_worker.desk.actions import TakenJob
from novita_worker.link.delivery import Delivery, Verdict, to_disk
from novita_worker.link.protocol import GatewayCalls
from novita_worker.link.spool import Spool, Spooled

__all__ = ["Replays", "open_spool"]

AT_ONCE: Final = 16
"""How many are on their way at a time: thousands at once would leave the worker no descriptor for its jobs."""

_log: Final = logging.getLogger("novita_worker")


class Replays:
    """Delivers what `Spool.recover` finds.

    Args:
        spool: Where results are left.
        gateway: Where they go.
        changed: Called when a job of `ids` was delivered.
    """

    def __init__(self, spool: Spool | None, gateway: GatewayCalls, changed: Callable[[], None]) -> None:
        self._spool = spool
        self._gateway = gateway
        self._changed = changed
        self._ids: dict[str, int | None] = {}
        """Each with its take, if it streamed."""
        self._turns = asyncio.Semaphore(AT_ONCE)

    @property
    def ids(self) -> tuple[str, ...]:
        """The jobs whose results are on their way."""
        return tuple(self._ids)

    def covers(self, job: TakenJob) -> bool:
        """Whether the result of this take is on its way. One whose chunks went with an earlier take is not."""
        return job.id in self._ids and self._ids[job.id] in {None, job.take}

    async def begin(self, spawn: Callable[[Coroutine[object, None, None]], object]) -> None:
        """Finds what was left and begins to deliver it.

        Args:
            spawn: Starts a task.
        """
        if self._spool is None:
            return
        for spooled in await WORKER_THREADS.run(self._spool.recover):
            text = "delivering the result of job %s, which an earlier process has left"
            _log.info(text, spooled.job_id, extra={"job_id": spooled.job_id})
            self._ids[spooled.job_id] = spooled.take
            spawn(self._replay(spooled, self._spool))
        self._changed()

    async def _replay(self, spooled: Spooled, spool: Spool) -> None:
        delivery = Delivery(self._gateway, worker_id=spooled.worker_id)
        async with self._turns:
            if await delivery.replay(spooled, spool) is not Verdict.LOST:
                await to_disk(spool.discard, spooled)
        self._ids.pop(spooled.job_id, None)
        self._changed()


def open_spool(config: WorkerConfig, environment: Environment) -> Spool | None:
    """The spool that the configuration or the environment names, or None.

    Raises:
        ConfigError: Its folder can't be used.
    """
    folder = config.spool_dir or environment.spool_dir
    if folder is None:
        return None
    try:
        # What a relative one means must not change with the working directory, which is a handler's to change.
        return Spool(Path(folder).absolute(), environment.worker_id)
    except OSError as error:
        raise ConfigError(f"the spool folder {folder} can't be used: {error}") from None
