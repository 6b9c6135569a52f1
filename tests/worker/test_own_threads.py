"""The worker's own work never waits in an event loop's default executor."""

from __future__ import annotations

from pathlib import Path

from tests.support.worker_gateway import WorkerGateway
from tests.support.worker_process import Spawn

TOLD = """
sys.modules["uvloop"] = None  # whose loop can't be told to tell
from dataclasses import dataclass
ask = asyncio.BaseEventLoop.run_in_executor
def tell(self, executor, function, *args):
    if executor is None:
        print("default executor:", function, file=sys.stderr, flush=True)
    return ask(self, executor, function, *args)
asyncio.BaseEventLoop.run_in_executor = tell
@dataclass
class Number:
    n: int
def handler(job: Number) -> Number:
    return job
"""


def test_a_worker_with_a_spool_a_schema_and_a_gateways_name_uses_no_default_executor(
    gateway: WorkerGateway, spawn: Spawn, tmp_path: Path
) -> None:
    environ = {name: value.replace("127.0.0.1", "localhost") for name, value in gateway.environ().items()}
    assert environ != gateway.environ()
    worker = spawn(f'{TOLD}\nstart({{"handler": handler, "spool_dir": {str(tmp_path)!r}}})', environ=environ)
    assert gateway.result(gateway.submit({"n": 1})) == {"output": {"n": 1}}
    worker.end()
    assert "default executor" not in worker.stderr
