"""The file store's HTTP routes: links that carry their own permission, as a bucket's presigned URLs do."""

from __future__ import annotations

import logging
import secrets
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from aiohttp import web

from novita_gateway._errors import MethodNotAllowedError, RouteNotFoundError, SlowSenderError, StoreError
from novita_gateway._patience import arriving_within
from novita_gateway._private_file import read_private, write_private
from novita_gateway.files.announcements import FILES, as_json, is_announcement, read_announcement, refused
from novita_gateway.files.link_clock import LinkClock
from novita_gateway.files.linked_store import LinkedStore
from novita_gateway.files.public_url import PublicUrl
from novita_gateway.files.shared import PlaceBoard, agree_on_directory
from novita_sdk.files import ContentFolder, FileError
from novita_sdk.threads import FILE_THREADS

__all__ = ["FileRoutes"]

MAX_BYTES: Final = 50 * 1024**3
"""What all files together may take, in bytes; those that were not used for longest go first."""
_PIECE: Final = 1024 * 1024
_SECRET_BYTES: Final = 32
_log = logging.getLogger("novita_gateway")
_BLOBS: Final = "blobs"


class FileRoutes:
    """Serves `POST /{version}/{endpoint}/files` and the links to `/{version}/blobs/{sha256}` that it gives out.

    Args:
        directory: Keeps the files, and the secret of their links; None for one that goes with the gateway.
        timeout: Seconds in which the next piece of a file must arrive.
        public_url: The address that the links have.
    """

    def __init__(self, directory: Path | None, *, timeout: float, public_url: PublicUrl) -> None:
        self._timeout = timeout
        self._public_url = public_url
        self._is_temporary = directory is None
        self._directory = directory
        self._opened: LinkedStore | None = None

    async def open(self, board: PlaceBoard | None) -> None:
        """Looks whether the directory is that of the other gateways.

        Raises:
            StoreError: It can't be used, or is not the one.
        """
        if board is None or self._directory is None:
            return
        try:
            _ = self._store  # makes what it needs
            await agree_on_directory(board, self._directory)
        except OSError as error:
            raise StoreError(f"files can't be kept in {self._directory}: {error.strerror}") from error

    def close(self) -> None:
        """Removes a directory that was made for this gateway alone."""
        if self._is_temporary and self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

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
            RouteNotFoundError: The path is not one of the store's.
            GatewayError: The store refused; see `LinkedStore`.
        """
        parts = path.split("/")
        if len(parts) != 4 or not (parts[2] == _BLOBS or parts[3] == FILES):
            raise RouteNotFoundError(f"no route {path[:200]!r}")
        try:
            if is_announcement(request, path):
                return await self._announce(request, parts[1], read)
            if parts[2] == _BLOBS and request.method == "PUT":
                return await self._receive(request, path, query)
            if parts[2] == _BLOBS and request.method in {"GET", "HEAD"}:
                found = self._store.find(path, query)
                return web.FileResponse(found.path, headers=found.headers)
        except FileError as error:
            raise refused(error) from None
        except ConnectionError:
            raise  # the peer's, not the disk's
        except OSError as error:
            _log.error("cannot keep a file in %s: %s", self._directory, error)
            raise StoreError(f"the file store could not keep the file ({error.strerror}); ask again") from None
        allowed = ("GET", "HEAD", "PUT") if parts[2] == _BLOBS else ("POST",)
        raise MethodNotAllowedError(path, request.method, *allowed)

    async def _announce(
        self, request: web.BaseRequest, version: str, read: Callable[[], Awaitable[bytes]]
    ) -> web.StreamResponse:
        wanted = await read_announcement(read)
        return as_json(self._store.announce(wanted, base_url=f"{self._public_url.of(request)}/{version}"))

    async def _receive(self, request: web.BaseRequest, path: str, query: Mapping[str, str]) -> web.StreamResponse:
        with self._store.receive(path, query) as upload:
            while piece := await self._next_piece(request):
                await FILE_THREADS.run(upload.write, piece)
            await FILE_THREADS.run(upload.finish)
        return web.Response()

    async def _next_piece(self, request: web.BaseRequest) -> bytes:
        try:
            async with arriving_within(self._timeout):
                return await request.content.read(_PIECE)
        except TimeoutError:
            raise SlowSenderError(f"nothing of the file arrived for {self._timeout:g} seconds") from None

    @property
    def _store(self) -> LinkedStore:
        if self._opened is None:
            if self._directory is None:
                self._directory = Path(tempfile.mkdtemp(prefix="novita-gateway-files-"))
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = ContentFolder(self._directory, max_bytes=MAX_BYTES)
            folder.sweep()
            secret = _secret(self._directory / "link-secret")
            self._opened = LinkedStore(folder, secret=secret, clock=LinkClock(self._directory / "link-clock"))
        return self._opened


def _secret(path: Path) -> bytes:
    """The secret that the links are made with: kept, so that they outlive the process."""
    while True:
        kept = read_private(path)
        if kept is not None and len(kept) >= _SECRET_BYTES:
            return kept
        try:
            # Anew, or in place of one that a crash cut short.
            write_private(path, secrets.token_bytes(_SECRET_BYTES), replace=kept is not None)
        except FileExistsError:
            continue  # another gateway was first
