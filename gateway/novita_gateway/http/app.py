"""The HTTP app: one handler that finds the method of a request, checks it, and answers in JSON."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.http import HttpVersion11

from novita_gateway._errors import (
    AmbiguousBodyError,
    BadRequestError,
    ForbiddenError,
    GatewayError,
    MethodNotAllowedError,
    RouteNotFoundError,
    SlowSenderError,
    TooLargeError,
)
from novita_gateway._patience import arriving_within
from novita_gateway.files.announcements import Files
from novita_gateway.http.auth import Keys, Role
from novita_gateway.http.context import RequestContext
from novita_gateway.http.faults import Fate, FaultInjector
from novita_gateway.http.metrics import Metrics
from novita_gateway.http.routes import Route, Routes
from novita_sdk.models import ApiError, JobResult
from novita_sdk.rpc import JobsServiceHandler, WorkerServiceHandler, WorkerServiceMethods
from novita_sdk.wire import codec
from novita_sdk.wire.codec import WireError
from novita_sdk.wire.headers import LONG_POLL_HEADER
from novita_sdk.wire.http import build_response, parse_request
from novita_sdk.wire.names import InvalidNameError
from novita_sdk.wire.payload import MAX_PAYLOAD, PayloadTooLargeError

__all__ = ["MAX_BODY", "App", "Page", "Services"]

MAX_BODY: Final = MAX_PAYLOAD + 64 * 1024
"""A payload of the largest size and what stands around it, in bytes."""

_log = logging.getLogger("novita_gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page for operators, outside the API's versions."""

    content_type: str
    make: Callable[[], Awaitable[bytes]]
    role: Role | None = None
    """Whose key it takes; None for a page that is open to all."""


class Services(JobsServiceHandler[RequestContext], WorkerServiceHandler[RequestContext], Protocol):
    """Carries the methods of both services out."""

    async def refuse_result(self, endpoint: str, worker_id: str, job_id: str, message: str) -> None:
        """Fails a job whose result can't be read."""
        ...


class App:
    """Handles every request of an `aiohttp.web.Server`.

    Args:
        services: Carry the methods out.
        keys: Who may call.
        metrics: Counts.
        max_wait: The longest wait that is advertised, in milliseconds.
        body_timeout: Seconds in which a body must have arrived.
        pages: By path: `/healthz`, `/metrics`, …
        files: Answers what no method does.
        faults: Goes wrong on purpose.
        open_endpoint: The endpoint of calls that name none, which need no key.
    """

    def __init__(
        self,
        services: Services,
        keys: Keys,
        metrics: Metrics,
        *,
        max_wait: int,
        body_timeout: float,
        pages: Mapping[str, Page],
        files: Files,
        faults: FaultInjector | None,
        open_endpoint: str | None = None,
    ) -> None:
        self._services = services
        self._keys = keys
        self._metrics = metrics
        self._body_timeout = body_timeout
        self._pages = pages
        self._files = files
        self._faults = faults
        self._open_endpoint = open_endpoint
        self._routes = Routes(jobs=services, workers=services)
        self._headers = {LONG_POLL_HEADER: str(max_wait)}
        self._json_headers = {**self._headers, "Content-Type": "application/json"}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers a request. Whatever goes wrong becomes an `ApiError`."""
        context = RequestContext()
        self._metrics.in_flight += 1
        response: web.StreamResponse
        try:
            response = await self._answer(request, context)
        except GatewayError as error:
            response = self._error(error, context)
            context.is_last = isinstance(error, (SlowSenderError, AmbiguousBodyError))
        except PayloadTooLargeError as error:
            response = self._error(TooLargeError(str(error)), context)
        except (WireError, InvalidNameError) as error:
            response = self._error(BadRequestError(str(error)), context)
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - a defect must be answered, and logged
            _log.exception("%s failed", context.method or request.method)
            response = self._error(GatewayError("the gateway failed; its log says more"), context)
        finally:
            self._metrics.in_flight -= 1
        self._metrics.count(context.method, response.status)
        if context.undo is not None or context.is_last or context.fate is not Fate.GOOD:
            await self._hand_over(request, response, context)
        return response

    async def _answer(self, request: web.BaseRequest, context: RequestContext) -> web.StreamResponse:
        if "Transfer-Encoding" in request.headers:
            _check_framing(request)
        path, _, query = request.raw_path.partition("?")
        if (page := self._pages.get(path)) is not None:
            return await self._show(request, page)
        found = self._find_open(request, path)
        try:
            route, params = found or self._routes.find(request.method, path)
        except RouteNotFoundError:
            return await self._move_file(request, path, query)
        context.method = route.method.name
        context.job_id = params.get("id")
        if found is None:
            self._keys.check(request.headers.get("Authorization"), route.role)
        if self._faults is not None:
            if (refusal := self._faults.refusal(context.method)) is not None:
                raise refusal
            context.fate = self._faults.fate(context.method)
        body = b""
        try:
            if request.body_exists:
                body = await self._read(request)
            message = parse_request(
                route.method,
                path=params,
                query=_query(query) if query else {},
                headers=request.headers,
                body=body,
            )
        except (WireError, TooLargeError) as error:
            await self._refused(route, params, body, error)
            raise
        if context.fate is Fate.IGNORED:
            reply = route.method.response()
        else:
            reply = await route.handler(message, context)
        if context.is_empty:
            return web.Response(status=HTTPStatus.NO_CONTENT, headers=self._headers)
        return web.Response(body=build_response(route.method, reply), headers=self._json_headers)

    def _find_open(self, request: web.BaseRequest, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route of a call that needs no key, which no page in a browser may make use of."""
        if self._open_endpoint is None:
            return None
        found = self._routes.find_open(request.method, path, self._open_endpoint)
        if found is not None and "Origin" in request.headers:
            raise ForbiddenError("pages in browsers may not call this gateway without a key")
        return found

    async def _show(self, request: web.BaseRequest, page: Page) -> web.Response:
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowedError(request.path, request.method, "GET", "HEAD")
        if page.role is not None:
            self._keys.check(request.headers.get("Authorization"), page.role)
        return web.Response(body=await page.make(), headers={**self._headers, "Content-Type": page.content_type})

    async def _move_file(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        if request.method == "POST":
            self._keys.check_any(request.headers.get("Authorization"))
        response = await self._files.answer(request, path, _query(query), partial(self._read, request))
        response.headers.update(self._headers)
        return response

    async def _read(self, request: web.BaseRequest) -> bytes:
        if (length := request.content_length) is not None and length > MAX_BODY:
            raise TooLargeError(f"the body has {length:,} bytes; the limit is {MAX_BODY:,} bytes")
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        try:
            if request.content.is_eof():  # it came together with its head, as most do
                return await request.read()
            async with arriving_within(self._body_timeout):
                return await request.read()
        except TimeoutError:
            message = f"the body did not arrive within {self._body_timeout:g} seconds"
            raise SlowSenderError(message) from None
        except web.HTTPRequestEntityTooLarge:
            raise TooLargeError(f"the body has more than {MAX_BODY:,} bytes, which is the limit") from None
        except web.RequestPayloadError as error:
            raise WireError(f"the body is damaged: {error}") from None

    async def _refused(self, route: Route, params: Mapping[str, str], body: bytes, error: Exception) -> None:
        """Fails the job of a result or chunk that can't be read, instead of letting it wait or go on with a hole."""
        is_result = route.method is WorkerServiceMethods.FINISH_JOB and not _is_progress(body)
        if is_result or route.method is WorkerServiceMethods.STREAM_JOB:
            await self._services.refuse_result(params["endpoint"], params["worker_id"], params["id"], str(error))

    async def _hand_over(self, request: web.BaseRequest, response: web.StreamResponse, context: RequestContext) -> None:
        """Writes the answer here and now, because something hangs on whether that succeeds."""
        if context.fate is Fate.LOST:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("injected fault")
        try:
            if context.fate is Fate.SLOW and isinstance(response, web.Response) and isinstance(response.body, bytes):
                await _dribble(request, response, response.body)
            else:
                await response.prepare(request)
                await response.write_eof()
        except BaseException:
            if context.undo is not None:
                await context.undo()
            raise
        if context.fate is Fate.DUPLICATE and context.undo is not None:
            await self._duplicate(context.job_ids, context.undo)
        if context.is_last and request.transport is not None:
            request.transport.close()

    async def _duplicate(self, job_ids: tuple[str, ...], undo: Callable[[], Awaitable[None]]) -> None:
        if self._faults is not None and self._faults.is_first(job_ids):
            await undo()

    def _error(self, error: GatewayError, context: RequestContext) -> web.Response:
        job_id = error.job_id or context.job_id
        body = codec.encode(ApiError(code=error.code, message=str(error), job_id=job_id))
        return web.Response(status=error.status, body=body, headers={**self._json_headers, **error.headers})


@lru_cache(maxsize=1024)
def _query(text: str) -> Mapping[str, str]:
    """Parses a query; a worker sends the same few over and over."""
    return dict(parse_qsl(text, keep_blank_values=True))


def _check_framing(request: web.BaseRequest) -> None:
    """Refuses what a proxy in front may understand otherwise, so that one request would become two (RFC 9112, 6.1)."""
    codings = request.headers.getall("Transfer-Encoding")
    if request.version < HttpVersion11 or [coding.strip().lower() for coding in codings] != ["chunked"]:
        raise AmbiguousBodyError(
            f"Transfer-Encoding: {', '.join(codings)[:80]!r} in HTTP/{request.version.major}.{request.version.minor};"
            " this gateway takes 'chunked' in HTTP/1.1, or a Content-Length"
        )


def _is_progress(body: bytes) -> bool:
    """Whether a body that was refused is at least readable enough to have a status."""
    try:
        return codec.decode(JobResult, body, lenient=True).HasField("status")
    except WireError:
        return False


async def _dribble(request: web.BaseRequest, response: web.Response, body: bytes) -> None:
    slow = web.StreamResponse(status=response.status, headers=response.headers)
    slow.content_length = len(body)
    await slow.prepare(request)
    for index in range(0, len(body), step := max(1, len(body) // 20)):
        await asyncio.sleep(0.005)
        await slow.write(body[index : index + step])
    await slow.write_eof()
