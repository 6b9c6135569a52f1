"""The bodies of answers: unpacked as they come in, and never to more than their reader holds.

A megabyte of gzip unpacks to a thousand, so what counts against the limit is what comes out, before it is kept.
"""

from __future__ import annotations

import zlib
from typing import Final

from novita_sdk.wire.payload import MAX_PAYLOAD

__all__ = ["ACCEPT_ENCODING", "MAX_REPLY", "Body", "BodyError", "BodyTooLargeError"]

MAX_REPLY: Final = 16 * MAX_PAYLOAD
"""Largest answer in bytes: an output in JSON of the wordiest kind, or a page of a stream with many chunks."""

ACCEPT_ENCODING: Final = "gzip, deflate"
"""The encodings that a `Body` unpacks, as the header `Accept-Encoding` has them."""

_ZLIB_OR_GZIP: Final = 32 + zlib.MAX_WBITS

_HEAD: Final = 2
"""Bytes that tell whether a stream has a header."""


class BodyError(ValueError):
    """A body that can't be unpacked."""


class BodyTooLargeError(BodyError):
    """A body over the limit."""


class Body:
    """Takes a body in pieces.

    Args:
        encoding: The answer's `Content-Encoding`; empty where it has none.
        limit: Largest size in bytes, unpacked.

    Raises:
        BodyError: It is packed in a way that was not asked for.
    """

    def __init__(self, encoding: str, limit: int = MAX_REPLY) -> None:
        name = encoding.strip().lower()
        if name not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            raise BodyError(f"it is packed as {encoding[:40]!r}, which was not asked for")
        self._limit = limit
        self._parts: list[bytes] = []
        self._room = limit
        self._unpack = None if name in {"", "identity"} else zlib.decompressobj(_ZLIB_OR_GZIP)
        self._head = b""
        self._is_begun = False

    def feed(self, piece: bytes) -> None:
        """Takes the next piece.

        Raises:
            BodyTooLargeError: That is more than the limit.
            BodyError: The piece does not follow the encoding.
        """
        if self._unpack is not None and not self._is_begun:
            self._head += piece
            if len(self._head) < _HEAD:
                return
            piece = self._head
        while piece and self._unpack is not None:
            if self._unpack.eof:  # what follows is another member of the same file
                self._unpack = zlib.decompressobj(_ZLIB_OR_GZIP)
            try:
                self._keep(self._unpack.decompress(piece, self._room + 1))
            except zlib.error as error:
                if self._is_begun:
                    raise BodyError(f"it can't be unpacked: {error}") from None
                # Some servers call the bare stream `deflate`, without the header that the standard wants.
                self._unpack = zlib.decompressobj(-zlib.MAX_WBITS)
            else:
                piece = self._unpack.unconsumed_tail or self._unpack.unused_data
            self._is_begun = True
        if self._unpack is None:
            self._keep(piece)

    def end(self) -> bytes:
        """The whole body.

        Raises:
            BodyError: It was cut off.
        """
        if self._unpack is not None and self._head and not self._unpack.eof:
            raise BodyError("it ends before what it packs does")
        return self.so_far()

    def so_far(self) -> bytes:
        """What has come."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def _keep(self, part: bytes) -> None:
        if len(part) > self._room:
            raise BodyTooLargeError(f"it is larger than {self._limit:,} bytes and was not read further")
        self._room -= len(part)
        if part:
            self._parts.append(part)
