"""The calls of a worker to its gateway: one attempt of each, giving a value and never an exception."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from novita_sdk.models import EndpointSchema
from novita_sdk.wire.retry import Failure
from novita_worker.desk.actions import TakenJob
from novita_worker.desk.outbox import NOWHERE, Place, PostKind

__all__ = ["EMPTY", "CallFailure", "GatewayCalls", "Pulse", "TakeReply"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeReply:
    """What a take brought.

    Attributes:
        jobs: Empty where there was none.
        broken: What is wrong with jobs that can't be run: their id, or None where they have none, and the reason.
        remark: What the gateway said in place of a job; None where it was silent, or said only that there is none.
    """

    jobs: tuple[TakenJob, ...] = ()
    broken: tuple[tuple[str | None, str], ...] = ()
    remark: str | None = None


EMPTY: Final = TakeReply()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailure:
    """Why a post did not get through.

    Attributes:
        failure: For the decision whether to try again.
        reason: For logs; holds no payload.
        said: The beginning of what the other side said, where it did.
    """

    failure: Failure
    reason: str
    said: str = ""


class GatewayCalls(Protocol):
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

    async def take(self, *, count: int, busy: bool) -> TakeReply | CallFailure:
        """Asks for jobs and waits as long as the gateway parks the request."""

    async def stops(self) -> list[str] | CallFailure:
        """Asks which jobs are to be stopped and waits as long as the gateway parks the request."""

    async def publish(self, schema: EndpointSchema) -> CallFailure | None:
        """Tells the types of the handler; None is success, or that there is no way to."""

    async def post(
        self,
        job_id: str,
        kind: PostKind,
        body: bytes,
        *,
        is_stream: bool = False,
        place: Place = NOWHERE,
        worker_id: str | None = None,
    ) -> CallFailure | None:
        """Posts what a job has to say; None is success.

        Args:
            job_id: The job.
            kind: What the body is.
            body: Of a result the `JobResult` as JSON; of progress and chunks, the JSON value.
            is_stream: Whether the result closes a generator's output.
            place: Where it belongs in a stream.
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
