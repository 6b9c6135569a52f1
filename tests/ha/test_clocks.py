"""The clocks of gateway machines are off by a day: times and leases are the database's."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from novita_sdk import Client
from tests.support.ha.gateways import API_KEY
from tests.support.ha.world import at_work, world

DAY: Final = 86_400


def test_gateways_whose_clocks_are_off_by_a_day(database: str, tmp_path: Path) -> None:
    with world(database, tmp_path, skews=(0, DAY, -DAY)) as some:
        with at_work(some):
            pass
        assert some.violations() == []
        assert [change for change in some.load.history.changes if change.after == "PENDING"] == []
        with Client(api_key=API_KEY, base_url=some.balancer.url) as client:
            for job_id in sorted({submit.id for submit in some.load.history.submits}):
                info = client.endpoint("ep").job(job_id).info()
                assert info.delay_time is not None
                assert info.execution_time is not None
                assert 0 <= info.delay_time < 600
                assert 0 <= info.execution_time < 600
