"""Faults on purpose: what networks and platforms do to clients and workers, by the roll of seeded dice."""

from __future__ import annotations

import enum
import random
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from novita_gateway._errors import GatewayError, TooManyRequestsError, UnavailableError
from novita_sdk.rpc import JobsServiceMethods, WorkerServiceMethods

__all__ = ["Fate", "FaultInjector", "Faults"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How often what goes wrong. Rates are probabilities from 0 to 1, for each request that could be hit.

    Raises:
        ValueError: A field is out of its range, or there is no such method.
    """

    seed: int = 0
    """The same seed and the same order of requests give the same faults."""
    methods: Collection[str] | None = None
    """Names of the methods to hit, such as `{"FinishJob", "GetStatus"}`; None for all."""
    too_many_requests: float = 0.0
    """Answers 429 with `Retry-After: 0`, and does nothing."""
    unavailable: float = 0.0
    """Answers 503, and does nothing."""
    storm: int = 1
    """How many requests in a row get the answer of a 429 or 503 that has begun."""
    lost_reply: float = 0.0
    """Carries the request out, then closes the connection without an answer."""
    slow_body: float = 0.0
    """Sends the answer's body byte by byte, over a tenth of a second."""
    duplicate_delivery: float = 0.0
    """Hands a job that was just taken to the next take as well, which is the one whose result counts. Once per job."""
    lost_ping: float = 0.0
    """Answers a ping and ignores it, so that leases end."""

    def __post_init__(self) -> None:
        for name in _RATES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {getattr(self, name)}")
        if self.storm < 1:
            raise ValueError(f"storm must be at least 1, not {self.storm}")
        if unknown := set(self.methods or ()) - _METHODS:
            raise ValueError(
                f"no method is called {', '.join(sorted(unknown))}; there are {', '.join(sorted(_METHODS))}"
            )


_RATES: Final = ("too_many_requests", "unavailable", "lost_reply", "slow_body", "duplicate_delivery", "lost_ping")
_METHODS: Final = frozenset(method.name for method in (*JobsServiceMethods.ALL, *WorkerServiceMethods.ALL))


class Fate(enum.Enum):
    """What becomes of a request that was let through."""

    GOOD = "good"
    LOST = "lost"
    SLOW = "slow"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"


class FaultInjector:
    """Rolls the dice."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._random = random.Random(faults.seed)
        self._storm: list[GatewayError] = []
        self._duplicated: set[str] = set()

    def refusal(self, method: str) -> GatewayError | None:
        """An error to answer with at once, or None."""
        faults = self._faults
        if not self._hits(method):
            return None
        if not self._storm:
            roll = self._random.random()
            error: GatewayError
            if roll < faults.too_many_requests:
                error = TooManyRequestsError("too many requests (injected fault)")
            elif roll < faults.too_many_requests + faults.unavailable:
                error = UnavailableError("unavailable (injected fault)")
            else:
                return None
            self._storm = [error] * faults.storm
        return self._storm.pop()

    def fate(self, method: str) -> Fate:
        """What becomes of a request that is carried out."""
        faults = self._faults
        if not self._hits(method):
            return Fate.GOOD
        rates = [(Fate.LOST, faults.lost_reply), (Fate.SLOW, faults.slow_body)]
        if method in {"TakeJob", "TakeJobs"}:
            rates.append((Fate.DUPLICATE, faults.duplicate_delivery))
        if method == "Ping":
            rates.append((Fate.IGNORED, faults.lost_ping))
        roll = self._random.random()
        for fate, rate in rates:
            if roll < rate:
                return fate
            roll -= rate
        return Fate.GOOD

    def is_first(self, job_ids: Collection[str]) -> bool:
        """Whether none of the jobs was delivered twice before; takes note of them."""
        is_first = self._duplicated.isdisjoint(job_ids)
        self._duplicated.update(job_ids)
        return is_first

    def _hits(self, method: str) -> bool:
        return self._faults.methods is None or method in self._faults.methods
