"""The files of gateways that keep none themselves: in a bucket, by its own presigned links, or nowhere."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from novita_gateway._errors import RouteNotFoundError, StoreError
from novita_gateway.files.announcements import as_json, is_announcement, read_announcement, refused
from novita_gateway.files.linked_store import announced_file
from novita_gateway.files.shared import NOWHERE, PlaceBoard, agree_on
from novita_sdk.files import File, FileError
from novita_sdk.storage import s3
from novita_sdk.storage.errors import UploadError
from novita_sdk.storage.places import Bucket
from novita_sdk.threads import FILE_THREADS
from novita_sdk.wire.payload import JSONValue

__all__ = ["BucketRoutes", "NoRoutes"]

_PROBE: Final = "files/.novita-gateway"


class BucketRoutes:
    """Serves `POST /{version}/{endpoint}/files` with links that lead to a bucket, the same as clients make themselves.

    What a link takes is not looked at; who downloads checks the hash.

    Args:
        bucket: The bucket.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def open(self, board: PlaceBoard | None) -> None:
        """Looks whether the bucket takes files, and whether it is that of the other gateways.

        Raises:
            StoreError: It doesn't, or isn't.
        """
        try:
            await FILE_THREADS.run(self._probe)
        except UploadError as error:
            raise StoreError(f"files can't be kept: {error}") from error
        if board is not None:
            bucket = self._bucket
            await agree_on(board, f"bucket {bucket.name!r} at {bucket.endpoint_url or 'AWS ' + bucket.region}")

    def close(self) -> None:
        """Does nothing."""

    async def answer(
        self,
        request: web.BaseRequest,
        path: str,
        query: Mapping[str, str],  # noqa: ARG002 - of links, which lead elsewhere
        read: Callable[[], Awaitable[bytes]],
    ) -> web.StreamResponse:
        """Answers a request whose path no method has. The caller has checked the key of a POST.

        Raises:
            RouteNotFoundError: The path is not that of an announcement.
            GatewayError: It announces no file.
        """
        if not is_announcement(request, path):
            raise RouteNotFoundError(f"no route {path[:200]!r}; the files of this gateway are in a bucket")
        try:
            file = announced_file(await read_announcement(read), url=path)
        except FileError as error:
            raise refused(error) from None
        return as_json(await FILE_THREADS.run(self._links, file))

    def _probe(self) -> None:
        s3.put(self._bucket, _PROBE, io.BytesIO(), content_type="application/octet-stream")

    def _links(self, file: File) -> dict[str, JSONValue]:
        key = s3.content_key(file.sha256, file.name)
        file["url"] = s3.presign(self._bucket, key, s3.MAX_EXPIRES_IN, file_name=file.name)
        reply: dict[str, JSONValue] = {"file": file}
        if not s3.has(self._bucket, key, file.size):
            reply["upload"] = s3.presign_upload(self._bucket, key, s3.MAX_EXPIRES_IN)
        return reply


class NoRoutes:
    """Serves no files: there is no place that all gateways share."""

    async def open(self, board: PlaceBoard | None) -> None:
        """Looks whether the other gateways keep files.

        Raises:
            StoreError: They do.
        """
        if board is not None:
            await agree_on(board, NOWHERE)

    def close(self) -> None:
        """Does nothing."""

    async def answer(
        self,
        request: web.BaseRequest,
        path: str,
        query: Mapping[str, str],  # noqa: ARG002 - as the others have it
        read: Callable[[], Awaitable[bytes]],  # noqa: ARG002 - as the others have it
    ) -> web.StreamResponse:
        """Raises RouteNotFoundError, which says what the gateway lacks where a file is announced."""
        if is_announcement(request, path):
            raise RouteNotFoundError(
                "this gateway keeps no files: start all gateways with --files DIRECTORY, which they share, or with"
                " BUCKET_ENDPOINT_URL and the like"
            )
        raise RouteNotFoundError(f"no route {path[:200]!r}")
