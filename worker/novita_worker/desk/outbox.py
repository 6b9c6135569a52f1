"""The outbox of one job: the posts that it still has to make, in their order. Pure: time is an argument.

Chunks go out in the order they were made, with their numbers. Progress is last-value-wins and keeps its interval. The
result is the last post of all, and nothing follows it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

__all__ = ["NOWHERE", "LastPost", "Outbox", "Place", "Post", "PostKind", "WorkerFault"]


class PostKind(Enum):
    """What a post carries."""

    RESULT = "result"
    PROGRESS = "progress"
    CHUNK = "chunk"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFault:
    """Why the worker itself fails a job, in words the caller of the job can use."""

    code: str
    message: str


LastPost: TypeAlias = bytes | WorkerFault
"""The last post of a job: the request body, or a fault that is still to be written as one."""


class Place(NamedTuple):
    """Where in which stream a post belongs, so that the gateway knows a repeat, and one of an earlier take.

    Attributes:
        take: The take of the job.
        number: Of a chunk, counted from 0 in each take; None of the result that follows.
    """

    take: int | None = None
    number: int | None = None


NOWHERE: Final = Place()
"""The place of what is in no stream, or of a job from a gateway that counts no takes."""


@dataclass(frozen=True, slots=True)
class Post:
    """Post this now. The next post of the same job waits until this one is answered or given up."""

    job_id: str
    kind: PostKind
    body: LastPost
    place: Place = NOWHERE


class Outbox:
    """The ordered posts of one job, at most one of them in flight."""

    __slots__ = (
        "_chunk_in_flight",
        "_chunks",
        "_id",
        "_in_flight",
        "_interval",
        "_last",
        "_progress",
        "_progress_at",
        "_progress_sent",
        "_sent",
        "_take",
    )

    def __init__(self, job_id: str, progress_interval: float, take: int | None = None) -> None:
        self._id = job_id
        self._take = take
        self._sent = 0
        self._interval = progress_interval
        self._chunks: deque[bytes] = deque()
        self._chunk_in_flight: bytes | None = None
        self._progress: bytes | None = None
        self._progress_at = 0.0
        self._progress_sent = False
        self._last: LastPost | None = None
        self._in_flight: PostKind | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is in flight and nothing waits."""
        return self._in_flight is None and not self._chunks and self._last is None and self._progress is None

    @property
    def has_result(self) -> bool:
        """Whether the result waits, or is in flight."""
        return self._last is not None or self._in_flight is PostKind.RESULT

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

    @property
    def place(self) -> Place:
        """The place of the first chunk that is not acknowledged, or of what follows them all."""
        number = self._sent - (self._chunk_in_flight is not None)
        return self._place(number) if number or self.chunks else NOWHERE

    def add_chunk(self, body: bytes) -> None:
        """Adds one piece of a streamed output."""
        self._chunks.append(body)

    def set_progress(self, body: bytes) -> None:
        """Replaces the progress that waits."""
        self._progress = body

    def finish(self, last: LastPost) -> None:
        """Sets the result. Progress that waits is outdated by it, unless the job has reported no other."""
        self._last = last
        if self._progress_sent:
            self._progress = None

    def clear(self) -> None:
        """Forgets everything that waits; what is in flight stays so until it is answered."""
        self._chunks.clear()
        self._progress = None
        self._last = None

    def answered(self) -> PostKind | None:
        """The post in flight was acknowledged or given up; what it carried."""
        kind, self._in_flight = self._in_flight, None
        self._chunk_in_flight = None
        return kind

    def next(self, now: float) -> Post | None:
        """Takes what is to be posted now; the caller owes an `answered` for it."""
        if self._in_flight is not None:
            return None
        if self._chunks:
            self._chunk_in_flight = self._chunks.popleft()
            self._sent += 1
            return self._send(PostKind.CHUNK, self._chunk_in_flight, self._place(self._sent - 1))
        if self._progress is not None and (self._last is not None or now >= self._progress_at):
            body, self._progress = self._progress, None
            self._progress_sent = True
            self._progress_at = now + self._interval
            return self._send(PostKind.PROGRESS, body)
        if self._last is not None:
            last, self._last = self._last, None
            return self._send(PostKind.RESULT, last, self._place(None) if self._sent else NOWHERE)
        return None

    def _place(self, number: int | None) -> Place:
        # A gateway that counts no takes knows nothing of numbers, and is told what the published workers tell.
        return NOWHERE if self._take is None else Place(self._take, number)

    def _send(self, kind: PostKind, body: LastPost, place: Place = NOWHERE) -> Post:
        self._in_flight = kind
        return Post(self._id, kind, body, place)
