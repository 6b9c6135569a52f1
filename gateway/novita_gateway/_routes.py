"""From a request line to a method of the protocol."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from google.protobuf.message import Message

from novita_gateway._auth import Role
from novita_gateway._errors import MethodNotAllowedError, RouteNotFoundError
from novita_gateway._service import RequestContext, Service
from novita_sdk.rpc import JobsServiceMethods, Method, WorkerServiceMethods
from novita_sdk.wire.names import check_name

__all__ = ["PREFIXES", "Route", "Routes"]

PREFIXES: Final = ("v1", "v2")
"""API versions under which the same routes are served; the published packages differ in theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method, with what carries it out and who may call it."""

    method: Method[Message, Message]
    handler: Callable[[Any, RequestContext], Awaitable[Message]]
    role: Role
    params: tuple[str, ...]
    """Names of the path's parameters, in order; the first is the endpoint."""


class Routes:
    """The routes of both services. All of their paths are `/{endpoint}/word` and parameters."""

    def __init__(self, service: Service) -> None:
        self._routes: dict[tuple[str, int], Route] = {}
        for methods, role in ((JobsServiceMethods.ALL, Role.CLIENT), (WorkerServiceMethods.ALL, Role.WORKER)):
            for method in methods:
                self._add(method, role, service)

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
            raise MethodNotAllowedError(f"{path[:200]!r} takes {route.method.verb}, not {verb}")
        del parts[3]
        return route, {
            name: check_name(unquote(value) if "%" in value else value, _LABELS[name])
            for name, value in zip(route.params, parts[2:], strict=True)
        }

    def _add(self, method: Method[Message, Message], role: Role, service: Service) -> None:
        parts = method.path.split("/")
        if parts[1] != "{endpoint}" or not all(part.startswith("{") for part in parts[3:]):
            raise ValueError(f"{method.name}: the path {method.path!r} is not /{{endpoint}}/word/{{…}}")
        handler = getattr(service, re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower())
        params = tuple(part.strip("{}") for part in parts if part.startswith("{"))
        self._routes[parts[2], len(parts) + 1] = Route(method=method, handler=handler, role=role, params=params)


_LABELS: Final = {"endpoint": "endpoint name", "worker_id": "worker id", "id": "job id"}
