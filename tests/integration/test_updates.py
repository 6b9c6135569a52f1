"""Whoever follows a job on a gateway with long polling sees every change of it, when it happens."""

from __future__ import annotations

from pathlib import Path

from novita_gateway import Gateway
from novita_sdk import AsyncClient, Client
from tests.support.world import WorkerRunner

TICKING = Path(__file__).parent / "ticking_worker.py"


def go_on(folder: Path, seen: object) -> None:
    (folder / f"seen-{seen}").touch()


def test_updates_yield_every_progress(gateway: Gateway, run_worker: WorkerRunner, tmp_path: Path) -> None:
    requests: list[str] = []
    with (
        run_worker(TICKING, "ticking", cwd=tmp_path),
        Client(
            api_key=gateway.api_key, base_url=gateway.url, on_request=[lambda event: requests.append(event.url)]
        ) as client,
    ):
        updates = []
        for update in client.endpoint("ticking").run(4).updates(timeout=60):
            updates.append(update)
            go_on(tmp_path, update.progress)
    assert [update.progress for update in updates if update.progress is not None] == [0, 1, 2, 3]
    assert updates[-1].output == "done"
    # One request submits, each change costs one, and nothing is asked in between.
    assert len(requests) <= len(updates) + 3


async def test_async_updates_yield_every_progress(gateway: Gateway, run_worker: WorkerRunner, tmp_path: Path) -> None:
    with run_worker(TICKING, "ticking-async", cwd=tmp_path):
        async with AsyncClient(api_key=gateway.api_key, base_url=gateway.url) as client:
            job = await client.endpoint("ticking-async").run(3)
            progress = []
            async for update in job.updates(timeout=60):
                progress.append(update.progress)
                go_on(tmp_path, update.progress)
    assert [value for value in progress if value is not None] == [0, 1, 2]
