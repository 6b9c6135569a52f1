"""The pauses between questions for a job's state: how long it was waited for goes in, seconds come out."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

__all__ = ["CROWD_RATE", "max_parked", "park_seconds", "poll_delay"]

PACE: Final = ((0.0, 0.03), (0.1, 0.06), (0.4, 0.08), (0.8, 0.15), (3.0, 0.15), (36.0, 5.0))
"""Seconds waited, and the delay then; between two rows it lies on the line that joins them."""

JITTER: Final = 0.2

CROWD_RATE: Final = 180.0
"""Status requests a second that all waits of one client make together, at most.

The platform's relatives document a limit of 2,000 in ten seconds.
"""

ROTATION: Final = 10.0
SHORTEST_PARK: Final = 0.25


def poll_delay(waited: float, *, waiting: int, random: float) -> float:
    """Seconds until the next status request where the gateway answers at once.

    The delay grows with the time already waited: jobs of up to half a second are noticed within about 40 ms of their
    end, longer ones within 3 to 7 % of their length, at the worst twice that. A job of a minute costs fewer requests
    than one a second would.

    Args:
        waited: Seconds waited so far.
        waiting: Jobs that this client waits for; together they stay below `CROWD_RATE`.
        random: A number in [0, 1) that keeps many clients from asking in step.
    """
    return max(_pace(waited) * (1 + JITTER * (random - 0.5)), waiting / CROWD_RATE)


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


def _pace(waited: float) -> float:
    row = bisect_right(PACE, (waited, float("inf")))
    if row == len(PACE):
        return PACE[-1][1]
    (start, first), (end, last) = PACE[row - 1 : row + 1]
    return first + (last - first) * (waited - start) / (end - start)
