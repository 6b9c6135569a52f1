"""A worker's life, seen from the thread that starts it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import MutableMapping
from typing import Final

from novita_worker._config import WorkerConfig
from novita_worker._engine import Engine
from novita_worker._environment import Environment
from novita_worker._errors import log_failure
from novita_worker._logs import keep_logging
from novita_worker.handlers.context import answer_child
from novita_worker.handlers.lanes import Lanes, LoopLanes, ThreadLanes
from novita_worker.handlers.outcome import Writer
from novita_worker.handlers.spec import HandlerSpec
from novita_worker.link.protocol import GatewayCalls, Pulse
from novita_worker.link.replays import open_spool
from novita_worker.process.child_calls import ChildCalls
from novita_worker.process.signals import Interrupted, Signals

__all__ = ["Worker", "new_loop"]

RESUMES: Final = 16
"""How often handlers may break the loop they run on before the worker ends without their results."""

_log: Final = logging.getLogger("novita_worker")


class Worker:
    """Takes jobs and runs a handler on them.

    Args:
        config: What the user asked for.
        spec: The handler.
        environment: Who the worker is.
        gateway: Where jobs come from and results go.
        heartbeat: Tells the gateway that the worker lives.
        environ: Of the processes that handlers start, whose reports find the worker by it; None leaves it alone.
    """

    def __init__(
        self,
        config: WorkerConfig,
        spec: HandlerSpec,
        environment: Environment,
        gateway: GatewayCalls,
        heartbeat: Pulse,
        environ: MutableMapping[str, str] | None = None,
    ) -> None:
        self._config = config
        self._spec = spec
        spool = open_spool(config, environment)
        self._lanes: Lanes = LoopLanes() if spec.kind.is_async and not config.own_loop else ThreadLanes()
        writer = Writer(
            spec=spec,
            refresh=config.refresh_worker,
            hostname=environment.hostname,
            worker_id=environment.worker_id,
            offload=config.offload == "auto",
        )
        self._child_calls = ChildCalls(answer_child, environ)
        self._engine = Engine(config, environment, gateway, heartbeat, writer, self._lanes, spool)
        self._signals = Signals(self._engine.shutdown)

    def shutdown(self) -> None:
        """Ends the worker as a signal does; callable from any thread while `run` runs."""
        self._engine.shutdown()

    def run(self) -> int:
        """Serves until a signal, `shutdown` or a recycling ends it.

        Returns:
            The exit code for the process: 0, or 1 where the worker broke.
        """
        _log.info("the worker starts: %s handler %s", self._spec.kind.value, self._spec.name)
        ready = threading.Event()
        io = threading.Thread(target=self._run_io, args=(ready,), name="novita-io", daemon=True)
        try:
            with self._signals:
                io.start()
                ready.wait()
                if io.is_alive() and self._set_up():
                    self._engine.begin()
                    self._serve_lanes()
                    self._tear_down()
        finally:
            self._engine.end_soon()
            self._lanes.close()
            self._engine.end()
            io.join()
        return self._engine.exit_code

    def _set_up(self) -> bool:
        """Calls the user's hook; whether the worker may take jobs."""
        if self._config.setup is None:
            return True
        try:
            with self._signals.interrupting():
                try:
                    self._lanes.call(self._config.setup)
                finally:
                    keep_logging()
        except Interrupted:
            return False
        except BaseException as error:  # noqa: BLE001  user code
            log_failure(_log, "setup failed; no job was taken", error)
            self._engine.exit_code = 1
            return False
        self._signals.renew()
        return True

    def _serve_lanes(self) -> None:
        """Runs handlers to the end, also where code that they left behind stops the loop or exits the process."""
        for _ in range(RESUMES):
            try:
                self._lanes.serve()
                return
            except BaseException as error:  # noqa: BLE001  user code
                log_failure(
                    _log, "something that a handler left behind broke its thread's loop; the worker ends", error
                )
                self._engine.recycle()

    def _tear_down(self) -> None:
        if self._config.teardown is None:
            return
        try:
            self._lanes.call(self._config.teardown)
        except BaseException as error:  # noqa: BLE001  user code
            log_failure(_log, "teardown failed", error)
            self._engine.exit_code = 1

    def _run_io(self, ready: threading.Event) -> None:
        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(self._serve(ready))
        except BaseException:  # noqa: BLE001  without this thread the worker is deaf; whatever it was, it must end
            _log.exception("the I/O thread failed")
            self._engine.exit_code = 1
            self._lanes.stop()
        finally:
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        loop = asyncio.get_running_loop()

        def is_ready() -> None:
            self._signals.watch(loop)
            ready.set()

        self._child_calls.open(loop)
        try:
            await self._engine.run(is_ready)
        finally:
            self._child_calls.close(loop)
            self._signals.unwatch(loop)


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop where that is installed: half the time of a short job goes into the loop. Else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
