"""A web server whose answers each test chooses, and a file store behind signed links."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from novita_sdk.files import ContentFolder, File, FileError, LinkSigner

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextmanager
def serve(app: web.Application) -> Iterator[str]:
    """Runs an application in a thread of its own; gives its URL."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(app)

    async def start() -> int:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return site._server.sockets[0].getsockname()[1]

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        yield f"http://127.0.0.1:{port}"
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass
class Site:
    """Serves `content` at /file; each entry of `answers` is used up by one request instead."""

    content: bytes = b""
    url: str = ""
    answers: list[Handler] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    ranges: bool = True

    def file(self, name: str = "file.bin") -> File:
        sha256 = hashlib.sha256(self.content).hexdigest()
        return File(url=f"{self.url}/file", name=name, size=len(self.content), sha256=sha256)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.answers:
            return await self.answers.pop(0)(request)
        start = request.http_range.start or 0
        if start and self.ranges:
            return web.Response(body=self.content[start:], status=206)
        return web.Response(body=self.content)

    def cut_after(self, count: int) -> Handler:
        """Announces the whole file, sends `count` bytes more and breaks the connection."""

        async def handler(request: web.Request) -> web.StreamResponse:
            start = request.http_range.start or 0
            length = {"Content-Length": str(len(self.content) - start)}
            answer = web.StreamResponse(status=206 if start else 200, headers=length)
            await answer.prepare(request)
            await answer.write(self.content[start : start + count])
            await asyncio.sleep(0.05)
            request.transport.abort()
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


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_get("/{tail:.*}", site.handle)
    with serve(app) as site.url:
        yield site


@dataclass
class Blobs:
    """A file store as a gateway has one: announce, PUT, GET, with signed links; counts what moves."""

    folder: ContentFolder
    signer: LinkSigner = field(default_factory=lambda: LinkSigner(b"secret"))
    url: str = ""
    lifetime: float = 3600
    announced: int = 0
    uploads: int = 0
    downloads: int = 0
    puts: list[Handler] = field(default_factory=list)

    def link(self, verb: str, path: str, **parameters: str) -> str:
        expires = int(time.time() + self.lifetime)
        return f"{self.url}{path}?{self.signer.query(verb, path, expires=expires, **parameters)}"

    async def announce(self, request: web.Request) -> web.Response:
        self.announced += 1
        if request.headers.get("Authorization") != "Bearer token":
            return web.json_response({"code": "UNAUTHORIZED", "message": "no"}, status=401)
        wanted = await request.json()
        path = f"/blobs/{wanted['sha256']}"
        url = self.link("GET", path, name=wanted["name"], type=wanted["mediaType"])
        reply = {"file": {"url": url, **wanted}}
        if self.folder.get(wanted["sha256"]) is None:
            reply["upload"] = self.link("PUT", path, size=str(wanted["size"]))
        return web.json_response(reply)

    async def put(self, request: web.Request) -> web.StreamResponse:
        if self.puts:
            return await self.puts.pop(0)(request)
        try:
            said = self.signer.check("PUT", request.path, request.query, now=time.time())
        except FileError as error:
            return web.Response(status=403, text=str(error))
        body = await request.read()
        if len(body) != int(said["size"]):
            return web.Response(status=400, text="another size was announced")
        self.folder.add(request.match_info["sha256"], lambda path: path.write_bytes(body))
        self.uploads += 1
        return web.Response()

    async def get(self, request: web.Request) -> web.StreamResponse:
        try:
            said = self.signer.check("GET", request.path, request.query, now=time.time())
        except FileError as error:
            return web.Response(status=403, text=str(error))
        path = self.folder.get(request.match_info["sha256"])
        if path is None:
            return web.Response(status=404)
        self.downloads += 1
        disposition = f"attachment; filename*=UTF-8''{quote(said['name'])}"
        return web.FileResponse(path, headers={"Content-Type": said["type"], "Content-Disposition": disposition})


@pytest.fixture
def blobs(tmp_path: Path) -> Iterator[Blobs]:
    blobs = Blobs(ContentFolder(tmp_path / "blobs"))
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/v1/ep/files", blobs.announce)
    app.router.add_put("/blobs/{sha256}", blobs.put)
    app.router.add_get("/blobs/{sha256}", blobs.get)
    with serve(app) as blobs.url:
        yield blobs


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "BUCKET_ENDPOINT_URL",
        "BUCKET_ACCESS_KEY_ID",
        "BUCKET_SECRET_ACCESS_KEY",
        "BUCKET_NAME",
        "BUCKET_REGION",
        "NOVITA_FILES_URL",
        "NOVITA_FETCH_ALLOW_HOSTS",
        "NOVITA_WEBHOOK_GET_JOB",
        "RUNPOD_WEBHOOK_GET_JOB",
    ):
        monkeypatch.delenv(name, raising=False)
