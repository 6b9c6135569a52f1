"""What the desk tells the shell to do, and the words both use."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TypeAlias

from novita_sdk.wire.payload import JSONValue
from novita_worker.desk.outbox import Post

__all__ = [
    "Action",
    "AskConcurrency",
    "Cancel",
    "CancelReason",
    "Close",
    "Discard",
    "EndTake",
    "Prepare",
    "SetPing",
    "Stage",
    "Start",
    "Take",
    "TakenJob",
]


class Stage(IntEnum):
    """The stages of a worker, passed in this order and never back."""

    SERVE = 0
    DRAIN = 1
    """Nothing new is taken; what is there runs to its end."""
    CANCEL_RUNNING = 2
    """The time to drain is over: handlers are asked to end."""
    FLUSH = 3
    """No handler matters any more; results go out."""
    CLOSE = 4


class CancelReason(Enum):
    """Why a handler is to end before it is done."""

    STOPPED = "the job was stopped"
    TIMEOUT = "the job ran out of time"
    SHUTDOWN = "the worker is shutting down"
    UNDELIVERABLE = "the output could not be delivered"


@dataclass(frozen=True, slots=True)
class TakenJob:
    """A job as it came from the gateway.

    Attributes:
        id: The job's id.
        payload: The whole JSON object, as the handler gets it.
        timeout: Seconds the job may run, or None.
    """

    id: str
    payload: dict[str, JSONValue]
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Take:
    """Ask for this many jobs; the slots are reserved."""

    count: int
    busy: bool


@dataclass(frozen=True, slots=True)
class EndTake:
    """Give up the take that is parked, and honour what it still brings."""


@dataclass(frozen=True, slots=True)
class AskConcurrency:
    """Ask the user's modifier how many jobs may run."""

    current: int


@dataclass(frozen=True, slots=True)
class Start:
    """Run the handler. `deadline` is on the clock of the events, or None."""

    job: TakenJob
    deadline: float | None


@dataclass(frozen=True, slots=True)
class Prepare:
    """Put a held job where it starts by itself when the one before it ends. Its `Start` still comes, after that."""

    job: TakenJob


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask a handler to end; one that was only prepared is not to begin."""

    job_id: str
    reason: CancelReason


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget a job that never started; its lease runs out and it is offered again."""

    job_id: str


@dataclass(frozen=True, slots=True)
class SetPing:
    """The ids in progress, for the heartbeat."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Close:
    """All stages are over.

    Attributes:
        running: Jobs whose handlers did not end when asked.
        undelivered: Jobs whose posts did not get through in time.
    """

    running: tuple[str, ...]
    undelivered: tuple[str, ...]


Action: TypeAlias = Take | EndTake | AskConcurrency | Prepare | Start | Cancel | Discard | Post | SetPing | Close
