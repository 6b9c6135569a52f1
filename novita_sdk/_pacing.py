"""When to ask for a job's state again. Pure: how long it was waited for goes in, seconds come out."""

from __future__ import annotations

from typing import Final

__all__ = ["CROWD_RATE", "max_parked", "park_seconds", "poll_delay"]

FIRST_DELAY: Final = 0.03
STEP: Final = 0.04
SHARE: Final = 0.075
LATE: Final = 3.0
LATE_SHARE: Final = 0.1
MAX_DELAY: Final = 5.0
JITTER: Final = 0.2

CROWD_RATE: Final = 100.0
"""Status requests a second that all waits of one client make together, at most."""

ROTATION: Final = 10.0
SHORTEST_PARK: Final = 0.25


def poll_delay(waited: float, *, waiting: int, random: float) -> float:
    """Seconds until the next status request where the gateway answers at once.

    The delay grows with the time already waited, so that a job of any length is noticed within about a twentieth of it.
    The numbers are such that a job of a minute costs no more requests than one a second would.

    Args:
        waited: Seconds waited so far.
        waiting: Jobs that this client waits for; together they stay below `CROWD_RATE`.
        random: A number in [0, 1) that keeps many clients from asking in step.
    """
    growing = STEP + SHARE * min(waited, LATE) + LATE_SHARE * max(0.0, waited - LATE)
    delay = min(MAX_DELAY, growing if waited else FIRST_DELAY)
    return max(delay * (1 + JITTER * (random - 0.5)), waiting / CROWD_RATE)


def max_parked(max_connections: int) -> int:
    """Requests of one client that a gateway may hold at the same time; the other half of the connections stays free."""
    return max(1, max_connections // 2)


def park_seconds(longest: float, *, waiting: int, max_parked: int) -> float:
    """Seconds to ask the gateway to hold a status request, where it offers that.

    While more jobs are waited for than may be parked they take turns, and a round takes about `ROTATION` seconds.

    Args:
        longest: The most the gateway offers.
        waiting: Jobs that this client waits for.
        max_parked: Requests that may be parked at the same time.
    """
    if waiting <= max_parked:
        return longest
    return min(longest, max(SHORTEST_PARK, ROTATION * max_parked / waiting))
