"""A web server whose answers each test chooses, and a file store behind signed links."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from novita_gateway.files.linked_store import LinkedStore
from novita_sdk.files import ContentFolder, File, FileError
from tests.support.web import Handler, abort, serve, serve_handler


@dataclass
class Site:
    """Serves `content` at /file; each entry of `answers` is used up by one request instead."""

    content: bytes = b""
    url: str = ""
    answers: list[Handler] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    ranges: bool = True

    @property
    def open_connections(self) -> int:
        """How many sockets of this process are connected to the site."""
        port = int(self.url.rpartition(":")[2])
        sockets = (item for item in gc.get_objects() if isinstance(item, socket.socket))
        return sum(_peer(item) == ("127.0.0.1", port) for item in sockets)

    def file(self, name: str = "file.bin") -> File:
        sha256 = hashlib.sha256(self.content).hexdigest()
        return File(url=f"{self.url}/file", name=name, size=len(self.content), sha256=sha256)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.answers:
            return await self.answers.pop(0)(request)
        start = request.http_range.start or 0
        if start and self.ranges:
            return web.Response(body=self.content[start:], status=206, headers=self.content_range(start))
        return web.Response(body=self.content)

    def content_range(self, start: int) -> dict[str, str]:
        return {"Content-Range": f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"}

    def cut_after(self, count: int, **more: str) -> Handler:
        """Announces the whole file, sends `count` bytes more and breaks the connection; `more` are headers."""

        async def handler(request: web.Request) -> web.StreamResponse:
            start = request.http_range.start or 0
            length = {"Content-Length": str(len(self.content) - start)}
            headers = self.content_range(start) if start else {}
            answer = web.StreamResponse(status=206 if start else 200, headers=length | headers | more)
            await answer.prepare(request)
            await answer.write(self.content[start : start + count])
            await asyncio.sleep(0.05)
            abort(request)
            return answer

        return handler

    def status(self, status: int, **headers: str) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, headers=headers)

        return handler

    def drip(self, seconds: float) -> Handler:
        """A byte at a time."""

        async def handler(request: web.Request) -> web.StreamResponse:
            answer = web.StreamResponse(headers={"Content-Length": str(len(self.content))})
            await answer.prepare(request)
            for byte in self.content:
                await answer.write(bytes([byte]))
                await asyncio.sleep(seconds)
            return answer

        return handler


def _peer(connection: socket.socket) -> object:
    try:
        return connection.getpeername()
    except OSError:
        return None


class Moment:
    """A clock that stands until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


STATUS = {"INVALID": 400, "CORRUPT": 400, "EXPIRED": 403, "REFUSED": 403, "NOT_FOUND": 404, "TOO_LARGE": 413}


@dataclass
class Blobs:
    """A gateway's file store on a socket; counts what moves."""

    store: LinkedStore
    folder: ContentFolder
    clock: Moment
    url: str = ""
    announced: int = 0
    uploads: int = 0
    downloads: int = 0
    puts: list[Handler] = field(default_factory=list)

    async def announce(self, request: web.Request) -> web.Response:
        self.announced += 1
        if request.headers.getall("Authorization", []) != ["Bearer token"]:
            return web.json_response({"code": "UNAUTHORIZED", "message": "no"}, status=401)
        return web.json_response(self.store.announce(await request.json(), base_url=f"{self.url}/v1"))

    async def put(self, request: web.Request) -> web.StreamResponse:
        if self.puts:
            return await self.puts.pop(0)(request)
        with self.store.receive(request.path, request.query) as upload:
            async for chunk in request.content.iter_any():
                upload.write(chunk)
            upload.finish()
        self.uploads += 1
        return web.Response()

    async def get(self, request: web.Request) -> web.StreamResponse:
        found = self.store.find(request.path, request.query)
        if "Authorization" in request.headers:
            # As S3 does beside a signed link.
            return web.Response(status=400)
        self.downloads += 1
        return web.FileResponse(found.path, headers=found.headers)


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except FileError as error:
        return web.json_response({"code": error.code, "message": str(error)}, status=STATUS[error.code])


@contextmanager
def serve_site() -> Iterator[Site]:
    site = Site()
    with serve_handler(site.handle) as site.url:
        yield site


@contextmanager
def serve_blobs(path: Path) -> Iterator[Blobs]:
    folder = ContentFolder(path)
    now = Moment()
    store = LinkedStore(folder, secret=b"secret", max_bytes=100_000_000, clock=now)
    blobs = Blobs(store, folder, now)
    app = web.Application(middlewares=[refusals])
    app.router.add_post("/v1/ep/files", blobs.announce)
    app.router.add_put("/v1/blobs/{sha256}", blobs.put)
    app.router.add_get("/v1/blobs/{sha256}", blobs.get)
    with serve(app) as blobs.url:
        yield blobs
