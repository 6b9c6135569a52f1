"""The HTTP side: one handler that finds the method of a request, checks it, and answers in JSON."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from aiohttp import web
from google.protobuf.message import Message

from novita_gateway._auth import Keys, Role
from novita_gateway._errors import (
    BadRequestError,
    GatewayError,
    MethodNotAllowedError,
    RouteNotFoundError,
    SlowSenderError,
    TooLargeError,
)
from novita_gateway._service import RequestContext, Service, check_segment
from novita_sdk.models import ApiError
from novita_sdk.rpc import JobsServiceMethods, Method, WorkerServiceMethods
from novita_sdk.wire import codec
from novita_sdk.wire.codec import WireError
from novita_sdk.wire.http import build_response, parse_request
from novita_sdk.wire.names import InvalidNameError
from novita_sdk.wire.payload import MAX_PAYLOAD, PayloadTooLargeError

__all__ = ["LONG_POLL_HEADER", "MAX_BODY", "PREFIXES", "Door", "Page"]

LONG_POLL_HEADER: Final = "Novita-Long-Poll"
"""On every reply: the longest `wait` in milliseconds that a status or stream call may ask for."""

MAX_BODY: Final = MAX_PAYLOAD + 64 * 1024
"""A payload of the largest size and what stands around it, in bytes."""

PREFIXES: Final = ("v1", "v2")
"""API versions under which the same routes are served; the published packages differ in theirs."""

_log = logging.getLogger("novita_gateway")

Page = Callable[[], Awaitable[tuple[str, bytes]]]
"""Makes an operator's page: its content type and its body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    method: Method[Message, Message]
    handler: Callable[[Any, RequestContext], Awaitable[Message]]
    role: Role
    params: tuple[str, ...]


class Door:
    """Handles every request of an `aiohttp.web.Server`.

    Args:
        service: Carries the methods out.
        keys: Who may call.
        max_wait: The longest wait that is advertised, in milliseconds.
        body_timeout: Seconds in which a body must have arrived.
        pages: Unversioned paths of operators: `/healthz`, `/metrics`.
    """

    def __init__(
        self,
        service: Service,
        keys: Keys,
        *,
        max_wait: int,
        body_timeout: float,
        pages: Mapping[str, Page],
    ) -> None:
        self._service = service
        self._keys = keys
        self._body_timeout = body_timeout
        self._pages = pages
        self._headers = {LONG_POLL_HEADER: str(max_wait)}
        self._json_headers = {**self._headers, "Content-Type": "application/json"}
        self._routes: dict[tuple[str, int], _Route] = {}
        for method in JobsServiceMethods.ALL:
            self._add(method, Role.CLIENT)
        for method in WorkerServiceMethods.ALL:
            self._add(method, Role.WORKER)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers a request. Whatever goes wrong becomes an `ApiError`."""
        context = RequestContext()
        try:
            response = await self._answer(request, context)
        except GatewayError as error:
            return self._error(error)
        except PayloadTooLargeError as error:
            return self._error(TooLargeError(str(error)))
        except (WireError, InvalidNameError) as error:
            return self._error(BadRequestError(str(error)))
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - a defect must be answered, and logged
            _log.exception("%s %s failed", request.method, request.path)
            return self._error(GatewayError("the gateway failed; its log says more"))
        if context.undo is not None:
            try:
                await response.prepare(request)
                await response.write_eof()
            except BaseException:
                context.undo()
                raise
        return response

    async def _answer(self, request: web.BaseRequest, context: RequestContext) -> web.Response:
        path, _, query = request.raw_path.partition("?")
        page = self._pages.get(path)
        if page is not None:
            content_type, body = await page()
            return web.Response(body=body, headers={**self._headers, "Content-Type": content_type})
        route, params = self._find(request.method, path)
        self._keys.check(request.headers.get("Authorization"), route.role)
        try:
            body = await self._read(request) if request.body_exists else b""
            message = parse_request(
                route.method,
                path=params,
                query=dict(parse_qsl(query, keep_blank_values=True)) if query else {},
                headers=request.headers,
                body=body,
            )
        except (WireError, TooLargeError) as error:
            if route.method is WorkerServiceMethods.FINISH_JOB:
                await self._service.refuse_result(params["endpoint"], params["worker_id"], params["id"], str(error))
            raise
        reply = await route.handler(message, context)
        if context.is_empty:
            return web.Response(status=HTTPStatus.NO_CONTENT, headers=self._headers)
        return web.Response(body=build_response(route.method, reply), headers=self._json_headers)

    def _find(self, verb: str, path: str) -> tuple[_Route, dict[str, str]]:
        parts = path.split("/")
        if len(parts) < 4 or parts[1] not in PREFIXES:
            raise RouteNotFoundError(f"no route {path[:200]!r}; routes are /v1/{{endpoint}}/…")
        route = self._routes.get((parts[3], len(parts)))
        if route is None:
            raise RouteNotFoundError(f"no route {path[:200]!r} below an endpoint")
        if route.method.verb != verb:
            raise MethodNotAllowedError(f"{path[:200]!r} takes {route.method.verb}, not {verb}")
        values = (parts[2], *parts[4:])
        return route, {
            name: check_segment(name, unquote(value) if "%" in value else value)
            for name, value in zip(route.params, values, strict=True)
        }

    async def _read(self, request: web.BaseRequest) -> bytes:
        if (length := request.content_length) is not None and length > MAX_BODY:
            raise TooLargeError(f"the body has {length:,} bytes; the limit is {MAX_BODY:,} bytes")
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        try:
            async with asyncio.timeout(self._body_timeout):
                return await request.read()
        except TimeoutError:
            message = f"the body did not arrive within {self._body_timeout:g} seconds"
            raise SlowSenderError(message) from None
        except web.HTTPRequestEntityTooLarge:
            raise TooLargeError(f"the body has more than {MAX_BODY:,} bytes, which is the limit") from None

    def _error(self, error: GatewayError) -> web.Response:
        body = codec.encode(ApiError(code=error.code, message=str(error), job_id=error.job_id))
        response = web.Response(status=error.status, body=body, headers=self._json_headers)
        if isinstance(error, SlowSenderError):
            response.force_close()
        return response

    def _add(self, method: Method[Message, Message], role: Role) -> None:
        parts = method.path.split("/")
        if parts[1] != "{endpoint}" or not all(part.startswith("{") for part in parts[3:]):
            raise ValueError(f"{method.name}: the path {method.path!r} is not /{{endpoint}}/word/{{…}}")
        handler = getattr(self._service, re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower())
        params = tuple(part.strip("{}") for part in parts if part.startswith("{"))
        self._routes[parts[2], len(parts) + 1] = _Route(method=method, handler=handler, role=role, params=params)
