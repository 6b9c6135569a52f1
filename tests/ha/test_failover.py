"""The primary dies: where its commits waited for a standby nothing is lost, and where they did not the twin loses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.ha.balancer import run_balancer
from tests.support.ha.cluster import Cluster, pair
from tests.support.ha.gateways import changes, gateways, prepare
from tests.support.ha.history import violations
from tests.support.ha.load import Load, Workers, output_of, workers
from tests.support.waiting import eventually


@contextmanager
def at_work(cluster: Cluster, folder: Path) -> Iterator[tuple[Load, Workers]]:
    """Three gateways behind a balancer, three workers, and clients."""
    prepare(cluster.dsn)
    with (
        gateways(cluster.dsn, folder) as three,
        run_balancer([gateway.port for gateway in three]) as balancer,
        workers([balancer.url] * 3, "ep", folder) as some,
    ):
        load = Load(balancer.url)
        with load.running():
            load.wait_for(50)
            yield load, some
            load.wait_for(50)
        load.look_at_all(balancer.url)
        load.history.runs = some.runs()
        load.history.changes = changes(cluster.dsn)


def test_pair(tmp_path: Path) -> None:
    with pair(True) as cluster:
        with at_work(cluster, tmp_path) as (load, _):
            cluster.hold_standbys()
            cluster.kill_primary()
        print(load.acknowledged, load.failures)
        assert violations(load.history, output_of) == []


def test_pair_async(tmp_path: Path) -> None:
    with pair(False) as cluster:
        with at_work(cluster, tmp_path) as (load, _):
            cluster.hold_standbys()
            load.wait_for(50)
            cluster.kill_primary()
        print(load.acknowledged, load.failures)
        print(violations(load.history, output_of))
