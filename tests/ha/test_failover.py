"""Servers of the database die: where commits wait for a standby nothing is lost, and where they don't a twin loses.

A plain kill on one machine can't tell the two apart: the kernel still delivers what was sent. So the standbys are held
back for a moment before the primary dies, and what was on its way to them is dropped.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.ha.cluster import Cluster, pair, sql
from tests.support.ha.patroni import patroni_cluster
from tests.support.ha.world import at_work, world
from tests.support.waiting import eventually


def make(kind: str, *, is_synchronous: bool) -> AbstractContextManager[Cluster]:
    return pair(is_synchronous) if kind == "pair" else patroni_cluster(is_synchronous)


KINDS = pytest.mark.parametrize("kind", ["patroni", "pair"])


@KINDS
def test_a_failover_with_held_back_standbys_loses_nothing(kind: str, tmp_path: Path) -> None:
    with make(kind, is_synchronous=True) as cluster, world(cluster.dsn, tmp_path) as some:
        with at_work(some):
            cluster.hold_standbys()
            eventually(lambda: commits_that_wait(cluster) > 0, "no commit waits for the standby")
            cluster.kill_primary()
        assert some.violations() == []


@KINDS
def test_the_twin_that_does_not_wait_for_standbys_loses(kind: str, tmp_path: Path) -> None:
    with make(kind, is_synchronous=False) as cluster, world(cluster.dsn, tmp_path) as some:
        with at_work(some):
            cluster.hold_standbys()
            some.load.wait_for(20)
            cluster.kill_primary()
        lost = [sentence for sentence in some.violations() if sentence.endswith(" is lost")]
        assert len(lost) >= 10


def test_the_death_of_the_primarys_machine_loses_nothing(tmp_path: Path) -> None:
    with patroni_cluster(True) as cluster, world(cluster.dsn, tmp_path) as some:
        with at_work(some):
            cluster.hold_standbys()
            eventually(lambda: commits_that_wait(cluster) > 0, "no commit waits for the standby")
            cluster.kill_primary(machine=True)
        assert some.violations() == []


@KINDS
def test_the_death_of_the_standby_holds_work_up_and_loses_nothing(kind: str, tmp_path: Path) -> None:
    with make(kind, is_synchronous=True) as cluster, world(cluster.dsn, tmp_path) as some:
        with at_work(some):
            cluster.kill_standby()
        assert some.violations() == []
        assert some.load.failures == []


def commits_that_wait(cluster: Cluster) -> int:
    (record,) = sql(cluster.dsn, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    return int(record["count"])
