"""Three gateways behind a balancer, three workers, and clients at work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.ha.balancer import Balancer, run_balancer
from tests.support.ha.gateways import GatewayProcess, changes, gateways, prepare
from tests.support.ha.history import violations
from tests.support.ha.load import Load, Workers, output_of, workers

__all__ = ["World", "at_work", "world"]

SOME: Final = 50
"""Jobs before the trouble, and after it."""


@dataclass(frozen=True, slots=True)
class World:
    """What a test makes trouble for."""

    dsn: str
    gateways: list[GatewayProcess]
    balancer: Balancer
    workers: Workers
    load: Load

    def violations(self) -> list[str]:
        """Looks at every job once more; returns what must not be."""
        self.load.look_at_all(self.balancer.url)
        self.load.history.runs = self.workers.runs()
        self.load.history.changes = changes(self.dsn)
        return violations(self.load.history, output_of)


@contextmanager
def world(
    dsn: str,
    folder: Path,
    *,
    ways: Sequence[str] = (),
    skews: Sequence[float] = (),
    is_patient: bool = True,
    **options: float,
) -> Iterator[World]:
    """Makes one on an empty database; its clients do nothing yet.

    Args:
        dsn: Of the database.
        folder: For logs.
        ways: The DSNs of the gateways, where they go through a proxy.
        skews: Seconds by which the gateways' clocks are off.
        is_patient: What clients do about a call that failed for good; see `Load`.
        options: Of the gateways.
    """
    prepare(dsn)
    with (
        gateways(ways or [dsn] * 3, folder, skews, **options) as three,
        run_balancer([gateway.port for gateway in three]) as balancer,
        workers([balancer.url] * 3, "ep", folder) as some,
    ):
        yield World(dsn, three, balancer, some, Load(balancer.url, is_patient=is_patient))


@contextmanager
def at_work(world: World) -> Iterator[None]:
    """Clients are at work before, while and after the block makes trouble."""
    with world.load.running():
        world.load.wait_for(SOME)
        yield
        world.load.wait_for(SOME)
