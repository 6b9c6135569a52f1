"""The payloads that were written or read last."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["BodyCache"]


class BodyCache:
    """Keeps the newest bodies up to a sum of their sizes.

    Args:
        limit: Bytes to keep in all. A body of more than an eighth of it is not kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._bodies: OrderedDict[int, bytes] = OrderedDict()

    def get(self, key: int) -> bytes | None:
        """The body, if it is still here."""
        return self._bodies.get(key)

    def put(self, key: int, body: bytes) -> None:
        """Keeps a body; the oldest ones go."""
        self.drop(key)
        if len(body) > self._limit // 8:
            return
        self._bodies[key] = body
        self._size += len(body)
        while self._size > self._limit:
            _, oldest = self._bodies.popitem(last=False)
            self._size -= len(oldest)

    def drop(self, key: int) -> None:
        """Lets go of a body."""
        body = self._bodies.pop(key, None)
        if body is not None:
            self._size -= len(body)
