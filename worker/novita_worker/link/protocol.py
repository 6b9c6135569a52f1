"""What a worker needs of its gateway: one attempt of each call, giving a value and never an exception."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from novita_sdk.wire.retry import Failure
from novita_worker.desk.actions import TakenJob
from novita_worker.desk.outbox import PostKind

__all__ = ["EMPTY", "Gateway", "PostFailure", "Pulse", "TakeReply"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeReply:
    """What a take brought.

    Attributes:
        jobs: Empty where there was none.
        broken: What is wrong with jobs that can't be run: their id, or None where they have none, and the reason.
    """

    jobs: tuple[TakenJob, ...] = ()
    broken: tuple[tuple[str | None, str], ...] = ()


EMPTY: Final = TakeReply()


@dataclass(frozen=True, slots=True, kw_only=True)
class PostFailure:
    """Why a post did not get through; `reason` is for logs and holds no payload."""

    failure: Failure
    reason: str


class Gateway(Protocol):
    """The other side of a worker. Belongs to one event loop."""

    @property
    def take_is_answered(self) -> bool:
        """Whether the reply of the take in flight has begun to arrive, so that hanging up could lose a job."""

    @property
    def has_stop_route(self) -> bool:
        """Whether there is a way to ask for stop orders."""

    async def open(self) -> None:
        """Gets ready."""

    async def close(self) -> None:
        """Frees what `open` took."""

    async def take(self, *, count: int, busy: bool) -> TakeReply | PostFailure:
        """Asks for jobs and waits as long as the gateway parks the request."""

    async def stops(self) -> list[str] | PostFailure:
        """Asks which jobs are to be stopped and waits as long as the gateway parks the request."""

    async def publish(self, schema: bytes) -> PostFailure | None:
        """Tells the types of the handler, as the body of the request; None is success, or that there is no way to."""

    async def post(
        self, job_id: str, kind: PostKind, body: bytes, *, is_stream: bool = False, worker_id: str | None = None
    ) -> PostFailure | None:
        """Posts what a job has to say; None is success.

        Args:
            job_id: The job.
            kind: What the body is.
            body: Of a result the request body; of progress and chunks, the JSON value.
            is_stream: Whether the result closes a generator's output.
            worker_id: Who ran the job, if that was an earlier process.
        """


class Pulse(Protocol):
    """Tells the gateway that the worker lives."""

    def start(self) -> None:
        """Begins; called on the I/O loop."""

    def set_ids(self, ids: Iterable[str]) -> None:
        """Sets the jobs in progress."""

    def stop(self) -> None:
        """Ends."""
