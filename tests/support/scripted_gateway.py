"""A gateway that follows a script: each answer to a client is the test's, faults of the connection included."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

from tests.support.web import abort, serve_handler


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the scripted gateway does with one request."""

    body: object = None
    """JSON, or bytes that are sent as they are."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    fault: Literal["", "reset", "truncate", "raw", "hang"] = ""
    """`reset` the connection, `truncate` the body, send it as `raw` bytes and end, or `hang` without an answer."""
    delay: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request that arrived."""

    verb: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    time: float
    peer: object
    """The connection that it came over."""


class ScriptedGateway:
    """Answers each route from a list; the last answer of a route stays."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: dict[str, list[Answer]] = {}
        self.seen: list[Seen] = []

    def script(self, route: str, *answers: Answer) -> None:
        """Sets what `run`, `status`, `cancel`, `health`, `purge-queue` or `stream` answer."""
        self.answers[route] = list(answers)

    def calls(self, route: str) -> list[Seen]:
        return [request for request in self.seen if request.path.split("/")[3] == route]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append(
            Seen(
                verb=request.method,
                path=request.path,
                query=dict(request.query),
                headers={key.lower(): value for key, value in request.headers.items()},
                body=body,
                time=asyncio.get_running_loop().time(),
                peer=request.get_extra_info("peername"),
            )
        )
        queue = self.answers[request.path.split("/")[3]]
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        await asyncio.sleep(answer.delay)
        if answer.fault == "hang":
            await asyncio.sleep(3600)
        if answer.fault == "reset":
            abort(request)
            return web.Response()
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        kind = {} if isinstance(answer.body, bytes) else {"Content-Type": "application/json"}
        if answer.fault == "raw":
            assert request.transport is not None
            assert isinstance(answer.body, bytes)
            request.transport.write(answer.body)
            request.transport.close()
            return web.Response()
        if answer.fault == "truncate":
            response = web.StreamResponse(
                status=answer.status, headers={**kind, "Content-Length": str(len(data) + 100)}
            )
            await response.prepare(request)
            await response.write(data)
            assert request.transport is not None
            request.transport.close()
            return response
        return web.Response(status=answer.status, body=data, headers={**kind, **answer.headers})


class Stage:
    """One server for many tests: each test's script takes the stage."""

    def __init__(self) -> None:
        self.url = ""
        self._script = ScriptedGateway()

    def play(self) -> ScriptedGateway:
        """A new script, which answers from now on."""
        self._script = ScriptedGateway()
        self._script.url = self.url
        return self._script

    async def handle(self, request: web.Request) -> web.StreamResponse:
        return await self._script.handle(request)


@contextmanager
def staged() -> Iterator[Stage]:
    """Runs the server."""
    stage = Stage()
    with serve_handler(stage.handle) as url:
        stage.url = f"{url}/v1"
        yield stage
