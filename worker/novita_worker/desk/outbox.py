"""What one job still has to post, and in which order. Pure: time is an argument.

Chunks go out in the order they were made. Progress is last-value-wins and keeps its interval. The result is the last
post of all, and nothing follows it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

__all__ = ["Failure", "Final", "Outbox", "Post", "PostKind"]


class PostKind(Enum):
    """What a post carries."""

    RESULT = "result"
    PROGRESS = "progress"
    CHUNK = "chunk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why the worker itself fails a job, in words the caller of the job can use."""

    code: str
    message: str


Final: TypeAlias = bytes | Failure
"""The last post of a job: the request body, or a failure that is still to be written as one."""


@dataclass(frozen=True, slots=True)
class Post:
    """Post this now. The next post of the same job waits until this one is answered or given up."""

    job_id: str
    kind: PostKind
    body: bytes | Failure


class Outbox:
    """The ordered posts of one job, at most one of them in flight."""

    __slots__ = (
        "_chunk_in_flight",
        "_chunks",
        "_final",
        "_id",
        "_in_flight",
        "_interval",
        "_progress",
        "_progress_at",
        "_progress_sent",
    )

    def __init__(self, job_id: str, progress_interval: float) -> None:
        self._id = job_id
        self._interval = progress_interval
        self._chunks: deque[bytes] = deque()
        self._chunk_in_flight: bytes | None = None
        self._progress: bytes | None = None
        self._progress_at = 0.0
        self._progress_sent = False
        self._final: Final | None = None
        self._in_flight: PostKind | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is in flight and nothing waits."""
        return self._in_flight is None and not self._chunks and self._final is None and self._progress is None

    @property
    def in_flight(self) -> PostKind | None:
        """What the unanswered post carries."""
        return self._in_flight

    @property
    def has_result(self) -> bool:
        """Whether the result waits, or is in flight."""
        return self._final is not None or self._in_flight is PostKind.RESULT

    @property
    def due(self) -> float | None:
        """When `next` has something to post that it hasn't now, or None."""
        waits = self._progress is not None and self._in_flight is None
        return self._progress_at if waits else None

    @property
    def chunks(self) -> tuple[bytes, ...]:
        """The chunks that are not acknowledged, the one in flight first."""
        first = () if self._chunk_in_flight is None else (self._chunk_in_flight,)
        return (*first, *self._chunks)

    def add_chunk(self, body: bytes) -> None:
        """Adds one piece of a streamed output."""
        self._chunks.append(body)

    def set_progress(self, body: bytes) -> None:
        """Replaces the progress that waits."""
        self._progress = body

    def finish(self, final: Final) -> None:
        """Sets the result. Progress that waits is outdated by it, unless the job has reported no other."""
        self._final = final
        if self._progress_sent:
            self._progress = None

    def fail(self, final: Final) -> None:
        """Sets a result that replaces everything that waits."""
        self.clear()
        self._final = final

    def clear(self) -> None:
        """Forgets everything that waits; what is in flight stays so until it is answered."""
        self._chunks.clear()
        self._progress = None
        self._final = None

    def answered(self) -> None:
        """The post in flight was acknowledged or given up."""
        self._in_flight = None
        self._chunk_in_flight = None

    def next(self, now: float) -> Post | None:
        """Takes what is to be posted now; the caller owes an `answered` for it."""
        if self._in_flight is not None:
            return None
        if self._chunks:
            self._chunk_in_flight = self._chunks.popleft()
            return self._send(PostKind.CHUNK, self._chunk_in_flight)
        if self._progress is not None and (self._final is not None or now >= self._progress_at):
            body, self._progress = self._progress, None
            self._progress_sent = True
            self._progress_at = now + self._interval
            return self._send(PostKind.PROGRESS, body)
        if self._final is not None:
            final, self._final = self._final, None
            return self._send(PostKind.RESULT, final)
        return None

    def _send(self, kind: PostKind, body: bytes | Failure) -> Post:
        self._in_flight = kind
        return Post(self._id, kind, body)
