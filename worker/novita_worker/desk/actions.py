"""The actions that the desk orders, and the words that it shares with the shell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple, TypeAlias

from novita_sdk.wire.payload import JSONValue
from novita_worker.desk.outbox import Post

__all__ = [
    "Action",
    "AskConcurrency",
    "BeginTake",
    "Cancel",
    "CancelReason",
    "Close",
    "DeskLimits",
    "Discard",
    "EndTake",
    "Prepare",
    "SetPing",
    "Stage",
    "Start",
    "TakenJob",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskLimits:
    """What bounds a worker. Times are seconds; None has no limit.

    Attributes:
        concurrency: Jobs that run at once, until the modifier says another number.
        prefetch: Jobs held ready while others run.
        prepares: Whether a held job is prepared while the only running one goes on.
        scaling: Whether there is a modifier to ask.
        max_jobs: Jobs after which the worker recycles itself.
        max_undelivered: Results that may wait for delivery before taking pauses.
        progress_interval: Least time between two progress posts of a job.
        shutdown_timeout: Longest time that running jobs get to end by themselves at shutdown.
        cancel_timeout: Longest time that a cancelled handler gets to end.
        flush_timeout: Longest time that the last results get to be delivered.
        scale_interval: How often the modifier is asked while all slots are in use.
    """

    concurrency: int = 1
    prefetch: int = 0
    prepares: bool = False
    scaling: bool = False
    max_jobs: int | None = None
    max_undelivered: int = 256
    progress_interval: float = 0.2
    shutdown_timeout: float | None = 120.0
    cancel_timeout: float = 5.0
    flush_timeout: float = 30.0
    scale_interval: float = 1.0


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


class TakenJob(NamedTuple):
    """A job as it came from the gateway.

    Attributes:
        id: The job's id.
        members: The whole JSON object, as the handler gets it.
        timeout: Seconds the job may run, or None.
        take: Which take of the job it is, where the gateway counts them.
    """

    id: str
    members: dict[str, JSONValue]
    timeout: float | None = None
    take: int | None = None


@dataclass(frozen=True, slots=True)
class BeginTake:
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
    """Run the handler.

    Attributes:
        job: The job.
        deadline: When its time is over, on the clock of the events, or None.
        alone: Whether no other may run beside it.
    """

    job: TakenJob
    deadline: float | None
    alone: bool


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


Action: TypeAlias = BeginTake | EndTake | AskConcurrency | Prepare | Start | Cancel | Discard | Post | SetPing | Close
