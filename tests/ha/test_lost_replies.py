"""The answer to a commit is lost: between database and gateway, between gateway and caller, or with the gateway.

It is asked for again, and what was done is found and not done twice.
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

import pytest

from novita_sdk import Client
from tests.support.ha.balancer import Balancer, run_balancer
from tests.support.ha.cluster import sql
from tests.support.ha.gateways import API_KEY, GatewayProcess, changes, gateways, prepare
from tests.support.ha.history import violations
from tests.support.ha.load import Load, output_of, workers
from tests.support.ha.proxy import Fault, Proxy, run_proxy
from tests.support.waiting import threads

STREAMS: Final = """
def handler(job):
    with open("runs", "a") as file:
        file.write(job["id"] + "\\n")
    for number in range(3):
        yield {"number": number}
start({"handler": handler, "return_aggregate_stream": True})
"""
CHUNKS: Final = [{"number": number} for number in range(3)]

REQUESTS: Final = {
    "submit": "POST /v1/{}/run",
    "take": "GET /v1/{}/job-take/",
    "chunk": "POST /v1/{}/job-stream/",
    "result": "POST /v1/{}/job-done/",
}
_endpoints = itertools.count()


@dataclass(frozen=True, slots=True)
class Doors:
    """Three gateways, with a proxy before and behind them."""

    dsn: str
    proxy: Proxy
    gateways: list[GatewayProcess]
    balancer: Balancer


@pytest.fixture(scope="module")
def doors(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    prepare(shared_database)
    folder = tmp_path_factory.mktemp("gateways")
    with (
        run_proxy(shared_database, 3) as proxy,
        gateways([proxy.dsn(n) for n in range(3)], folder) as three,
        run_balancer([gateway.port for gateway in three]) as balancer,
    ):
        yield Doors(shared_database, proxy, three, balancer)


@pytest.mark.parametrize("where", ["database", "way out", "gateway"])
@pytest.mark.parametrize("what", ["submit", "take", "chunk", "result"])
def test_a_lost_answer(what: str, where: str, doors: Doors, tmp_path: Path) -> None:
    endpoint = f"ep{next(_endpoints)}"
    load = Load(doors.balancer.url, endpoint)
    kind = "change" if what == "chunk" else what
    fault = None
    if where == "way out":
        doors.balancer.lose_answer(REQUESTS[what].format(endpoint))
    else:
        fault = doors.proxy.fail(kind, "after" if where == "database" else "held")
    lost = doors.balancer.lost
    with (
        workers([doors.balancer.url], endpoint, tmp_path, STREAMS) as some,
        Client(api_key=API_KEY, base_url=doors.balancer.url) as client,
        threads() as meanwhile,
    ):
        if fault is not None and where == "gateway":
            meanwhile(partial(kill_and_restart, doors, fault))
        job_id = load.submit(client, "key")
        assert job_id is not None
        assert list(client.endpoint(endpoint).job(job_id).stream(60)) == CHUNKS
        load.look(client, job_id)
        assert load.submit(client, "key") == job_id
        load.look_at_all(doors.balancer.url)
        load.history.runs = some.runs()
    load.history.changes = changes(doors.dsn)
    assert violations(load.history, lambda _: CHUNKS) == []
    if (
        what != "take" or where == "database"
    ):  # a take whose answer is lost for good costs a lease, and nothing else does
        assert [change for change in load.history.changes if (change.id, change.after) == (job_id, "PENDING")] == []
    if fault is None:
        assert doors.balancer.lost == lost + 1
    else:
        fault.wait()


@pytest.mark.parametrize("when", ["amid", "during"])
@pytest.mark.parametrize("what", ["submit", "result"])
def test_the_callers_repeat_settles_what_its_gateway_never_knew(
    what: str, when: Literal["amid", "during"], doors: Doors, tmp_path: Path
) -> None:
    """The connection is cut in mid-statement or in mid-commit, and its gateway can't ask again."""
    endpoint = f"ep{next(_endpoints)}"
    load = Load(doors.balancer.url, endpoint)
    fault = doors.proxy.fail(what, when, isolates=True)
    with (
        workers([doors.balancer.url], endpoint, tmp_path) as some,
        Client(api_key=API_KEY, base_url=doors.balancer.url) as client,
        threads() as meanwhile,
    ):
        meanwhile(partial(kill_and_restart, doors, fault))
        job_id = load.submit(client, "key")
        assert job_id is not None
        load.look(client, job_id)
        assert load.submit(client, "key") == job_id
        load.look_at_all(doors.balancer.url)
        load.history.runs = some.runs()
    load.history.changes = changes(doors.dsn)
    assert violations(load.history, output_of) == []
    assert len(load.history.runs) == 1
    (record,) = sql(doors.dsn, f"SELECT count(*) FROM novita_gateway.job WHERE endpoint = '{endpoint}'")
    assert record["count"] == 1


def kill_and_restart(doors: Doors, fault: Fault) -> None:
    """Ends the gateway that waits for the answer, which has come to nobody."""
    place = fault.wait()
    gateway = doors.gateways[place]
    gateway.end(signal.SIGKILL)
    fault.release()
    doors.proxy.connect(place)
    gateway.start()
