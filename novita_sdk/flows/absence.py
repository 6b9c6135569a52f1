"""The remark that a job waits while no worker of its endpoint is connected, made at a bounded rate."""

from __future__ import annotations

from typing import Final

from novita_sdk.flows.call import Caller, Problem
from novita_sdk.flows.handle import Handle
from novita_sdk.flows.steps import Flow, Log
from novita_sdk.models import GetHealthRequest
from novita_sdk.rpc import JobsServiceMethods
from novita_sdk.wire import states
from novita_sdk.wire.payload import load

__all__ = ["Absence"]

_PATIENCE: Final = 10.0
"""Seconds that a job may wait before its endpoint's workers are looked for."""

_PAUSE: Final = 60.0
"""Seconds between two looks of one client at one endpoint, however many jobs wait."""

_LEAST: Final = 1.0
_LONGEST: Final = 3.0
"""Seconds that a wait must have left for a look, and that the answer may take: nobody waits for this remark."""


class Absence:
    """Looks for the workers of endpoints whose jobs wait. Safe for any number of threads."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._next_look: dict[str, float] = {}

    def due(self, job: Handle, status: str | None, begin: float) -> float:
        """Seconds until the workers should be looked for, 0 for now; infinity where the job does not wait.

        Args:
            job: A job that is waited for.
            status: Its state when it was last seen; None before that.
            begin: When the wait began.
        """
        if status is not None and status not in (states.PENDING, states.IN_QUEUE):
            return float("inf")
        look = max(begin + _PATIENCE, self._next_look.get(job.endpoint_id, 0.0))
        return max(0.0, look - self._caller.clock())

    def look(self, job: Handle, begin: float, remaining: float) -> Flow[None]:
        """Asks for the endpoint's health once, and tells the log where it counts no worker at all.

        Args:
            job: A job that waits.
            begin: When the wait for it began.
            remaining: Seconds until the wait ends; little is left alone.
        """
        caller = self._caller
        if remaining < _LEAST:
            return
        self._next_look[job.endpoint_id] = caller.clock() + _PAUSE
        request = GetHealthRequest(endpoint=job.endpoint_id)
        health = yield from caller.attempt(
            caller.build(JobsServiceMethods.GET_HEALTH, request),
            load,
            subject=caller.subject(f"read the health of endpoint {job.endpoint_id}", request),
            timeout=min(caller.timeout, remaining, _LONGEST),
        )
        if not isinstance(health, Problem) and _has_no_workers(health):
            yield Log(
                "WARNING",
                "job %s has waited for %.0f s, and no worker of endpoint %s is connected; start one, or look at the "
                "endpoint's name and its number of workers",
                (job.job_id, caller.clock() - begin, job.endpoint_id),
            )


def _has_no_workers(health: object) -> bool:
    """Whether the counters say so; those of other gateways have other names, and may be missing."""
    match health:
        case {"workers": dict(workers)}:
            counts = list(workers.values())
            return bool(counts) and all(count == 0 for count in counts)
    return False
