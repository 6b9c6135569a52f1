"""Gateways die, stand still, and are restarted; clients and workers go on at the others."""

from __future__ import annotations

import signal
from pathlib import Path

from novita_sdk import Client
from tests.support.ha.gateways import API_KEY, changes, gateways, prepare
from tests.support.ha.history import violations
from tests.support.ha.load import Load, output_of, workers
from tests.support.ha.proxy import run_proxy
from tests.support.ha.world import at_work, world
from tests.support.waiting import eventually


def test_the_death_of_a_gateway_loses_nothing(database: str, tmp_path: Path) -> None:
    with world(database, tmp_path) as some:
        with at_work(some):
            for gateway in some.gateways[:2]:
                gateway.end(signal.SIGKILL)
                some.load.wait_for(20)
                gateway.start()
                some.load.wait_for(20)
        assert some.violations() == []
        assert some.load.failures == []


def test_a_rolling_restart_fails_no_request_that_the_client_does_not_repeat(database: str, tmp_path: Path) -> None:
    with world(database, tmp_path, is_patient=False) as some:
        with at_work(some):
            for gateway in some.gateways:
                assert gateway.end(signal.SIGTERM) == 0
                some.load.wait_for(20)
                gateway.start()
                some.load.wait_for(20)
        assert some.load.failures == []
        assert some.violations() == []


def test_a_gateway_that_stands_still_while_it_holds_replies(database: str, tmp_path: Path) -> None:
    """Its worker gets a job that another worker has finished meanwhile: its lease was lost, and its result is void."""
    prepare(database)
    with (
        run_proxy(database) as proxy,
        gateways([proxy.dsn(), database, database], tmp_path) as (slow, second, third),
        workers([slow.url], "ep", tmp_path) as late,
        Client(api_key=API_KEY, base_url=second.url) as client,
    ):
        held = proxy.fail("take", "held")
        load = Load(second.url)
        job_id = load.submit(client, "key")
        assert job_id is not None
        held.wait()
        slow.send(signal.SIGSTOP)
        held.release()
        with workers([third.url], "ep", tmp_path / "quick") as quick:
            load.look(client, job_id)
            slow.send(signal.SIGCONT)
            eventually(lambda: len(late.runs()) == 1, "the late worker never ran")
            load.submit(client, "key")
            load.look_at_all(slow.url)
            load.history.runs = late.runs() + quick.runs()
        load.history.changes = changes(database)
    assert violations(load.history, output_of) == []
    assert len(load.history.runs) == 2
