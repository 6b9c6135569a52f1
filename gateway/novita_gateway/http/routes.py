"""The routes: from a request line to a method of the protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from google.protobuf.message import Message

from novita_gateway._errors import MethodNotAllowedError, RouteNotFoundError
from novita_gateway.http.auth import Role
from novita_gateway.http.context import RequestContext
from novita_sdk.rpc import (
    BoundMethod,
    JobsServiceHandler,
    Method,
    WorkerServiceHandler,
    bind_jobs_service,
    bind_worker_service,
)
from novita_sdk.wire.names import check_name

__all__ = ["PREFIXES", "Route", "Routes"]

PREFIXES: Final = ("v1", "v2")
"""API versions under which the same routes are served; the published packages differ in theirs."""

OPEN_WORDS: Final = frozenset({"run", "runsync", "status", "stream", "cancel", "retry", "health", "purge-queue"})
"""What may be called without an endpoint and a key: nothing that tells what others have submitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method, with what carries it out and who may call it."""

    method: Method[Message, Message]
    handler: Callable[[Message, RequestContext], Awaitable[Message]]
    role: Role
    params: tuple[str, ...]
    """Names of the path's parameters, in order; the first is the endpoint."""


class Routes:
    """The routes of both services. All of their paths are `/{endpoint}/word` and parameters.

    Args:
        jobs: Carries out what clients call.
        workers: Carries out what workers call.
    """

    def __init__(
        self, *, jobs: JobsServiceHandler[RequestContext], workers: WorkerServiceHandler[RequestContext]
    ) -> None:
        self._routes: dict[tuple[str, int], Route] = {}
        for bound in bind_jobs_service(jobs):
            self._add(bound, Role.CLIENT)
        for bound in bind_worker_service(workers):
            self._add(bound, Role.WORKER)

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes.values())

    def find(self, verb: str, path: str) -> tuple[Route, dict[str, str]]:
        """Finds the route of a request and reads the parameters of its path.

        Raises:
            RouteNotFoundError: No method has that path.
            MethodNotAllowedError: The path takes another verb.
            InvalidNameError: A parameter can't be one.
        """
        parts = path.split("/")
        if len(parts) < 4 or parts[1] not in PREFIXES:
            raise RouteNotFoundError(f"no route {path[:200]!r}; routes are /v1/{{endpoint}}/…")
        route = self._routes.get((parts[3], len(parts)))
        if route is None:
            raise RouteNotFoundError(f"no route {path[:200]!r} below an endpoint")
        if route.method.verb != verb:
            raise MethodNotAllowedError(path, verb, route.method.verb)
        del parts[3]
        return route, {
            name: check_name(unquote(value) if "%" in value else value, _LABELS[name])
            for name, value in zip(route.params, parts[2:], strict=True)
        }

    def find_open(self, verb: str, path: str, endpoint: str) -> tuple[Route, dict[str, str]] | None:
        """Finds the route of a request that names no endpoint, as `/run` and `/status/{id}`; None where it has none.

        What is read may be read with POST too, as the published local servers have it.
        """
        parts = path.split("/")
        route = self._routes.get((parts[1], len(parts) + 2)) if len(parts) > 1 else None
        if route is None or parts[1] not in OPEN_WORDS:
            return None
        return self.find(
            route.method.verb if verb == "POST" else verb, "/".join(["", PREFIXES[0], endpoint, *parts[1:]])
        )

    def _add(self, bound: BoundMethod[RequestContext], role: Role) -> None:
        method = bound.method
        parts = method.path.split("/")
        if parts[1] != "{endpoint}" or not all(part.startswith("{") for part in parts[3:]):
            raise ValueError(f"{method.name}: the path {method.path!r} is not /{{endpoint}}/word/{{…}}")
        params = tuple(part.strip("{}") for part in parts if part.startswith("{"))
        route = Route(method=method, handler=bound.handler, role=role, params=params)
        self._routes[parts[2], len(parts) + 1] = route


_LABELS: Final = {"endpoint": "endpoint name", "worker_id": "worker id", "id": "job id"}
