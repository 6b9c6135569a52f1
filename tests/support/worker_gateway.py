"""The worker's side of a gateway, whose every answer a test can script."""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from aiohttp import web

from tests.support.waiting import DEADLINE

ResultT = TypeVar("ResultT")


@dataclass
class Request:
    route: str
    """take, batch, stop, done, progress, stream or ping."""
    job_id: str | None
    query: str
    headers: dict[str, str]
    body: bytes
    time: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Fault:
    """What happens to one request instead of what should."""

    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: str | bytes = "scripted"
    kind: Literal["status", "reset", "reset-after", "truncate", "hang", "drip"] = "status"
    """status, reset (before it is acted on), reset-after, truncate (both after), hang, drip (both before)"""
    late: float = 0.0
    """Seconds before it happens."""


class WorkerGateway:
    """Speaks the worker's side of the wire, one job queue, on a thread and loop of its own."""

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._tls = tls
        self.requests: list[Request] = []
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.missing: set[str] = set()
        """Routes that answer 404."""
        self.park = 5.0
        """Seconds a take or stop stays parked; 0 answers at once."""
        self.single = False
        """Whether a batch take is answered with one job, not in a list."""
        self.parked = 0
        self._jobs: deque[dict[str, Any]] = deque()
        self._stops: deque[str] = deque()
        self._ids = itertools.count(1)
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ready = threading.Event()
        self.port = port

    def __enter__(self) -> WorkerGateway:
        self._thread.start()
        assert self._ready.wait(DEADLINE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(DEADLINE)

    # For tests.

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def environ(self, prefix: str = "NOVITA") -> dict[str, str]:
        base = f"{self.url}/v2/ep1"
        return {
            f"{prefix}_POD_ID": "pod1",
            f"{prefix}_POD_HOSTNAME": "host1",
            f"{prefix}_AI_API_KEY": "KEY123",
            f"{prefix}_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=A+B",
            f"{prefix}_WEBHOOK_POST_OUTPUT": f"{base}/job-done/${prefix}_POD_ID/$ID?gpu=A+B",
            f"{prefix}_WEBHOOK_POST_STREAM": f"{base}/job-stream/${prefix}_POD_ID/$ID?gpu=A+B",
            f"{prefix}_WEBHOOK_PING": f"{base}/ping/${prefix}_POD_ID?gpu=A+B",
            f"{prefix}_PING_INTERVAL": "1000",
        }

    def submit(self, input: Any = None, **extra: Any) -> str:
        job = {"id": f"j{next(self._ids)}", "input": input, **extra}
        self.offer(job)
        return str(job["id"])

    def offer(self, job: dict[str, Any]) -> None:
        """Queues the object as it is."""
        self._loop.call_soon_threadsafe(self._queue, self._jobs, job)

    def stop(self, job_id: str) -> None:
        self._loop.call_soon_threadsafe(self._queue, self._stops, job_id)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Its connections stay open, and nothing that arrives is read while the block lasts."""
        still, go_on = threading.Event(), threading.Event()

        def stand() -> None:
            still.set()
            go_on.wait(DEADLINE)

        self._loop.call_soon_threadsafe(stand)
        assert still.wait(DEADLINE)
        try:
            yield
        finally:
            go_on.set()

    def of(self, route: str, job_id: str | None = None) -> list[Request]:
        return [r for r in list(self.requests) if r.route == route and job_id in (None, r.job_id)]

    def wait_for(self, condition: Callable[[], ResultT], what: str = "condition", timeout: float = DEADLINE) -> ResultT:
        """Waits until a request makes the condition true."""
        with self._changed:
            result = self._changed.wait_for(condition, timeout)
        assert result, f"{what} not met in {timeout} s; saw {[(r.route, r.job_id, r.body[:80]) for r in self.requests]}"
        return result

    def result(self, job_id: str, timeout: float = DEADLINE) -> Any:
        """The first acknowledged result of the job."""
        return self.wait_for(lambda: self.of("done", job_id), f"result of {job_id}", timeout)[0].json

    # The server.

    def _queue(self, queue: deque[Any], item: Any) -> None:
        queue.append(item)
        self._more.set()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        self._more = asyncio.Event()
        self._stop = asyncio.Event()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/v2/ep1/{route}/{worker}", self._handle)
        app.router.add_route("*", "/v2/ep1/{route}/{worker}/{job}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=self._tls)
        await site.start()
        (listener,) = site._server.sockets  # type: ignore[union-attr]
        self.port = listener.getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        # A connection that is still on its way in when the server closes would never be closed.
        self._loop.remove_reader(listener.fileno())
        while any(map(_is_accepting, asyncio.all_tasks())):  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0)
        await runner.cleanup()
        await asyncio.sleep(0)  # transports close in the next turn

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        name = request.match_info["route"].removeprefix("job-")
        route = {"take-batch": "batch"}.get(name, name)
        if route == "done" and "status" in json.loads(body):
            route = "progress"
        seen = Request(
            route,
            request.match_info.get("job"),
            request.rel_url.raw_query_string,
            dict(request.headers),
            body,
            time.monotonic(),
        )
        if self.faults[route]:
            return await self._fail(request, self.faults[route].popleft(), seen)
        if route in self.missing:
            return web.Response(status=404)
        self._record(seen)
        match route:
            case "take" | "batch":
                wanted = int(request.query.get("batch_size", "1"))
                jobs = await self._pull(self._jobs, 1 if self.single else wanted)
                if not jobs:
                    return web.Response(status=204)
                return web.json_response(jobs if route == "batch" and not self.single else jobs[0])
            case "stop":
                ids = await self._pull(self._stops, 16)
                return web.json_response({"jobsToStop": ids}) if ids else web.Response(status=204)
        return web.json_response({})

    async def _pull(self, queue: deque[Any], count: int) -> list[Any]:
        deadline = self._loop.time() + self.park
        self.parked += 1
        try:
            while not queue:
                self._more.clear()
                async with asyncio.timeout_at(deadline):
                    await self._more.wait()
        except TimeoutError:
            return []
        finally:
            self.parked -= 1
        return [queue.popleft() for _ in range(min(count, len(queue)))]

    async def _fail(self, request: web.Request, fault: Fault, seen: Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        if fault.kind in ("truncate", "reset-after"):
            self._record(seen)
        else:
            self._record(Request("failed", seen.job_id, seen.query, seen.headers, seen.body, seen.time))
        await asyncio.sleep(fault.late)
        if fault.kind == "hang":
            await asyncio.sleep(3600)
        if fault.kind == "drip":
            transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not transport.is_closing():
                transport.write(b" ")
                await asyncio.sleep(0.1)
        if fault.kind == "truncate":
            transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        if fault.kind != "status":
            transport.close()
        body = fault.body.encode() if isinstance(fault.body, str) else fault.body
        return web.Response(status=fault.status, headers={"Content-Type": "text/plain", **fault.headers}, body=body)

    def _record(self, request: Request) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()


def _is_accepting(task: asyncio.Task[Any]) -> bool:
    return getattr(task.get_coro(), "__name__", "") == "_accept_connection2"
