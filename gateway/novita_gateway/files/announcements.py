"""Announcements of files: the request, its answer and its refusals, whichever way the gateway keeps files."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from aiohttp import web

from novita_gateway._errors import BadRequestError, ForbiddenError, GatewayError, TooLargeError
from novita_gateway.files.shared import PlaceBoard
from novita_sdk.files import FileError
from novita_sdk.wire.payload import JSONValue, PayloadError, load

__all__ = ["FILES", "Files", "as_json", "is_announcement", "read_announcement", "refused"]

FILES: Final = "files"
"""The last word of the path of an announcement."""


class Files(Protocol):
    """Serves files, or says why not."""

    async def open(self, board: PlaceBoard | None) -> None:
        """Looks whether files can be kept, and where the others do whom the store knows.

        Raises:
            StoreError: They can't, or others keep theirs elsewhere.
        """
        ...

    def close(self) -> None:
        """Ends."""
        ...

    async def answer(
        self,
        request: web.BaseRequest,
        path: str,
        query: Mapping[str, str],
        read: Callable[[], Awaitable[bytes]],
    ) -> web.StreamResponse:
        """Answers a request whose path no method has. The caller has checked the key of a POST.

        Args:
            request: The request.
            path: Its path, as it came.
            query: Its query, parsed.
            read: Reads a small body.

        Raises:
            GatewayError: It is refused.
        """
        ...


class _FileNotFoundError(GatewayError):
    status = 404
    code = "FILE_NOT_FOUND"


_ERRORS: Final[dict[str, type[GatewayError]]] = {
    "INVALID": BadRequestError,
    "CORRUPT": BadRequestError,
    "EXPIRED": ForbiddenError,
    "REFUSED": ForbiddenError,
    "NOT_FOUND": _FileNotFoundError,
    "TOO_LARGE": TooLargeError,
}


def refused(error: FileError) -> GatewayError:
    """The answer that an error of a store of files stands for."""
    return _ERRORS[error.code](str(error))


def is_announcement(request: web.BaseRequest, path: str) -> bool:
    """Whether the request is `POST /{version}/{endpoint}/files`."""
    parts = path.split("/")
    return request.method == "POST" and len(parts) == 4 and parts[3] == FILES


async def read_announcement(read: Callable[[], Awaitable[bytes]]) -> JSONValue:
    """The body of an announcement; raises BadRequestError where it is no JSON."""
    try:
        return load(await read())
    except PayloadError as error:
        raise BadRequestError(str(error)) from None


def as_json(reply: Mapping[str, JSONValue]) -> web.Response:
    """The answer to an announcement."""
    return web.Response(body=json.dumps(reply).encode(), content_type="application/json")
