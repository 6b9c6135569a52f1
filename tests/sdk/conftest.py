"""Both clients behind one face, a real gateway whose worker is the test, and a gateway that follows a script."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from aiohttp import web

import novita_sdk
from novita_gateway import Gateway


class Twin:
    """An async object with a synchronous face, so that one test runs over both clients."""

    def __init__(self, target: object, runner: asyncio.Runner) -> None:
        self._target, self._runner = target, runner

    def __repr__(self) -> str:
        return repr(self._target)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        return self._call(value) if inspect.isroutine(value) else value

    def _call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            async def inside() -> Any:
                result = function(*map(_unwrap, args), **kwargs)
                return await result if inspect.isawaitable(result) else result

            result = self._runner.run(inside(), context=copy_context())
            return self._iterate(result) if inspect.isasyncgen(result) else self._wrap(result)

        return call

    def _iterate(self, values: Any) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self._wrap(self._runner.run(anext(values)))
                except StopAsyncIteration:
                    return
        finally:
            self._runner.run(values.aclose())

    def _wrap(self, value: object) -> Any:
        is_ours = isinstance(value, (novita_sdk.AsyncClient, novita_sdk.AsyncEndpoint, novita_sdk.AsyncJob))
        return Twin(value, self._runner) if is_ours else value


def _unwrap(value: Any) -> Any:
    if isinstance(value, list):
        return [_unwrap(item) for item in value]
    return value._target if isinstance(value, Twin) else value


@pytest.fixture(params=["sync", "async"])
def make_client(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes a client of either kind; the arguments are the constructor's."""
    clients: list[Any] = []
    runner = asyncio.Runner()

    def make(**arguments: Any) -> Any:
        settings = {"api_key": "test-key", **arguments}
        if request.param == "sync":
            client: Any = novita_sdk.Client(**settings)
        else:
            client = Twin(novita_sdk.AsyncClient(**settings), runner)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()
    runner.close()


@dataclass
class HandWorker:
    """A worker whose every call the test makes itself, with the URLs that a real one gets."""

    environment: dict[str, str]
    session: requests.Session = field(default_factory=requests.Session)

    def take(self) -> dict[str, Any]:
        reply = self._call("GET", "NOVITA_WEBHOOK_GET_JOB", "hand-worker", "&job_in_progress=0")
        reply.raise_for_status()
        assert reply.status_code == 200
        return dict(reply.json())

    def finish(self, job_id: str, **result: Any) -> None:
        self._post("NOVITA_WEBHOOK_POST_OUTPUT", job_id, "false", result)

    def report(self, job_id: str, progress: object) -> None:
        self.finish(job_id, status="IN_PROGRESS", output=progress)

    def stream(self, job_id: str, *chunks: object) -> None:
        for chunk in chunks:
            self._post("NOVITA_WEBHOOK_POST_STREAM", job_id, "false", {"output": chunk})

    def _post(self, variable: str, job_id: str, is_stream: str, body: dict[str, Any]) -> None:
        self._call("POST", variable, job_id, f"&isStream={is_stream}", json.dumps(body)).raise_for_status()

    def _call(self, verb: str, variable: str, what: str, query: str, body: str | None = None) -> requests.Response:
        url = self.environment[variable].replace("$NOVITA_POD_ID", "hand-worker").replace("$ID", what) + query
        headers = {"Authorization": self.environment["NOVITA_AI_API_KEY"]}
        return self.session.request(verb, url, data=body, headers=headers, timeout=10)


@pytest.fixture
def endpoint_name(request: pytest.FixtureRequest) -> str:
    """An endpoint of the test's own on the shared gateway."""
    return f"ep-{abs(hash(request.node.nodeid))}"


@pytest.fixture
def worker(gateway: Gateway, endpoint_name: str) -> Iterator[HandWorker]:
    hand = HandWorker(gateway.worker_env(endpoint_name))
    with hand.session:
        yield hand


@pytest.fixture
def endpoint(gateway: Gateway, endpoint_name: str, make_client: Callable[..., Any]) -> Any:
    """An endpoint of the real gateway, through either client."""
    return make_client(api_key=gateway.api_key, base_url=gateway.url).endpoint(endpoint_name)


@pytest.fixture
def meanwhile() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Runs a function in a thread; its failure fails the test."""
    threads: list[threading.Thread] = []
    failures: list[BaseException] = []

    def start(function: Callable[[], object]) -> None:
        def run() -> None:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - shown below
                failures.append(error)

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    if failures:
        raise failures[0]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the scripted gateway does with one request."""

    body: object = None
    """JSON, or bytes that are sent as they are."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""
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
            await asyncio.sleep(60)
        if answer.fault == "reset":
            assert request.transport is not None
            request.transport.abort()
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


@pytest.fixture(scope="session")
def scripted_server() -> Iterator[list[ScriptedGateway]]:
    """A server that hands every request to the script in the list it gives."""
    current = [ScriptedGateway()]
    ready = threading.Event()
    stop: list[Callable[[], object]] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        return await current[0].handle(request)

    async def serve() -> None:
        app = web.Application(client_max_size=32 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        current[0].url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(stopped.set))
        ready.set()
        await stopped.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    yield current
    stop[0]()
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def scripted(scripted_server: list[ScriptedGateway]) -> ScriptedGateway:
    """A gateway that follows the test's script."""
    script = ScriptedGateway()
    script.url = scripted_server[0].url
    scripted_server[0] = script
    return script


@pytest.fixture
def answer() -> type[Answer]:
    return Answer
