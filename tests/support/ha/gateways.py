"""Gateways of one store, each in a process of its own, and what the database notes of their jobs."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from novita_gateway.store.postgres.database import migrate_database
from novita_gateway.store.postgres.rows import CODES
from tests.support.ha.cluster import sql
from tests.support.ha.history import Change
from tests.support.processes import free_port
from tests.support.waiting import DEADLINE

__all__ = ["API_KEY", "LEASE", "TOKEN", "GatewayProcess", "changes", "gateways", "prepare"]

API_KEY: Final = "k"
TOKEN: Final = "w"
LEASE: Final = 5.0
"""Seconds."""

PROGRAM: Final = """
import json, logging, sys, time
options = json.loads(sys.argv[1])
real, skew = time.time, options["skew"]
time.time = lambda: real() + skew
from novita_gateway import Gateway, Limits, PostgresStore, serve_forever
logging.basicConfig(format="%(asctime)s %(message)s")
store = PostgresStore(
    options["dsn"],
    limits=Limits(lease=int(options["lease"] * 1000), max_attempts=20),
    connections=options["connections"],
)
serve_forever(
    lambda: Gateway(store=store, port=options["port"], api_key="k", worker_token="w", webhook_secret=options["secret"]),
    on_start=lambda gateway: print(gateway.port, flush=True),
)
"""
SECRET: Final = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"

_AUDIT: Final = (
    "CREATE SCHEMA audit",
    "CREATE TABLE audit.change"
    " (n bigserial, id text, before smallint, after smallint, was_due boolean, was_given_back boolean)",
    """
    CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO audit.change (id, before, after, was_due, was_given_back) VALUES (
            NEW.id, OLD.status, NEW.status, OLD.lease_until <= extract(epoch FROM clock_timestamp()) * 1000,
            NEW.takes < OLD.takes);
        RETURN NULL;
    END $$
    """,
    "CREATE TRIGGER note AFTER UPDATE ON novita_gateway.job"
    " FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION audit.note()",
)


class GatewayProcess:
    """A gateway in a process of its own, which can be killed, paused and started again on the same port.

    Args:
        dsn: Of its store.
        log: Where it writes.
        options: `lease` in seconds, `connections`, and `skew`: seconds by which its machine's clock is off.
    """

    def __init__(self, dsn: str, log: Path, **options: float) -> None:
        self.port = free_port()
        self.log = log
        self._options: dict[str, Any] = {"lease": LEASE, "connections": 10, "skew": 0, "secret": SECRET, **options}
        self._options |= {"dsn": dsn, "port": self.port}
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"http://127.0.0.1:{self.port}/v1"

    def begin(self) -> None:
        """Starts it; it may not listen yet."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, json.dumps(self._options)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def wait(self) -> None:
        """Returns when it listens."""
        assert self.process is not None
        assert self.process.stdout is not None
        assert self.process.stdout.readline(), self.log.read_text()[-2000:]

    def start(self) -> None:
        """Starts it; returns when it listens."""
        self.begin()
        self.wait()

    def send(self, number: int) -> None:
        """Sends a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ends it; returns its status."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
        assert process.stdout is not None
        process.stdout.close()
        try:
            return process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


@contextmanager
def gateways(
    dsns: Sequence[str], folder: Path, skews: Sequence[float] = (), **options: float
) -> Iterator[list[GatewayProcess]]:
    """A gateway for each DSN, while a block lasts; `skews` are the seconds by which their clocks are off."""
    made = [
        GatewayProcess(dsn, folder / f"gateway{n}.log", skew=skew, **options)
        for n, (dsn, skew) in enumerate(zip(dsns, skews or [0.0] * len(dsns), strict=True))
    ]
    try:
        for gateway in made:
            gateway.begin()
        for gateway in made:
            gateway.wait()
        yield made
    finally:
        for gateway in made:
            gateway.end(signal.SIGKILL)


def prepare(dsn: str) -> None:
    """Makes the tables, and has the database note every change of a job's state."""
    asyncio.run(migrate_database(dsn))
    sql(dsn, *_AUDIT)


def changes(dsn: str) -> list[Change]:
    """What the database noted."""
    records = sql(dsn, "SELECT * FROM audit.change ORDER BY n")
    return [
        Change(
            record["id"],
            CODES[record["before"]],
            CODES[record["after"]],
            was_due=record["was_due"],
            was_given_back=record["was_given_back"],
        )
        for record in records
    ]
