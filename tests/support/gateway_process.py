"""A gateway in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.waiting import DEADLINE

PROGRAM = """
import sys
from novita_gateway import Gateway, Limits, SQLiteStore, serve_forever
store = SQLiteStore(sys.argv[1], limits=Limits(lease=1500))
serve_forever(
    lambda: Gateway(store=store, port=int(sys.argv[2]), api_key="k", worker_token="w"),
    on_start=lambda gateway: print(gateway.port, flush=True),
)
"""


class GatewayProcess:
    """A gateway in a process of its own, which can be killed and started again on the same port.

    Its keys are `k` and `w`, its lease is 1.5 s.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = 0

    def start(self) -> None:
        command = [sys.executable, "-c", PROGRAM, str(self.path), str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(DEADLINE)
