"""The requests that were observed on the published workers are the requests that ours makes."""

from __future__ import annotations

import json
from typing import Any

from tests.support.worker_gateway import WorkerGateway
from tests.support.worker_process import Spawn

SCRIPT = """
    def handler(job):
        kind = job["input"]
        if kind == "progress":
            progress_update(job, {"p": 1})
            return {"ok": True, "u": "é☃"}
        if kind == "error":
            return {"error": "e1", "keep": 1, "refresh_worker": True}
        if kind == "stream":
            return chunks()
        hold()
    def chunks():
        yield {"i": 0}
    start({"handler": handler, "concurrency": 3})
    """


def lines(gateway: WorkerGateway, route: str, job_id: str | None = None) -> list[tuple[str, Any]]:
    return [(r.query, json.loads(r.body) if r.body else None) for r in gateway.of(route, job_id)]


def test_the_golden_transcripts(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(SCRIPT)
    gateway.wait_for(lambda: gateway.of("batch"))
    assert lines(gateway, "batch") == [("gpu=A+B&batch_size=3&job_in_progress=0", None)]

    progress = gateway.submit("progress")
    gateway.result(progress)
    assert lines(gateway, "progress") == [
        ("gpu=A+B&isStream=false", {"status": "IN_PROGRESS", "output": {"p": 1}}),
    ]
    assert lines(gateway, "done", progress) == [("gpu=A+B&isStream=false", {"output": {"ok": True, "u": "é☃"}})]
    assert "é☃".encode() in gateway.of("done", progress)[0].body

    stream = gateway.submit("stream")
    gateway.result(stream)
    assert lines(gateway, "stream") == [("gpu=A+B&isStream=false", {"output": {"i": 0}})]
    assert lines(gateway, "done", stream) == [("gpu=A+B&isStream=true", {"output": []})]
    assert lines(gateway, "stop")[0] == ("gpu=A+B", None)

    slow = [gateway.submit("sleep") for _ in range(2)]
    gateway.wait_for(lambda: any("%2C" in ping.query for ping in gateway.of("ping")))
    (ids,) = {ping.query.partition("job_id=")[2] for ping in gateway.of("ping") if "%2C" in ping.query}
    assert sorted(ids.split("%2C")) == slow
    # One slot is free, and one job is asked for on the route for one.
    gateway.wait_for(lambda: ("gpu=A+B&job_in_progress=1", None) in lines(gateway, "take"))

    error = gateway.submit("error")
    gateway.result(error)
    assert lines(gateway, "done", error) == [
        ("gpu=A+B&isStream=false", {"output": {"keep": 1}, "error": "e1", "stopPod": True})
    ]


def test_every_post_has_the_published_headers(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(SCRIPT)
    jobs = [gateway.submit("progress"), gateway.submit("stream")]
    for job_id in jobs:
        gateway.result(job_id)
    for request in gateway.of("progress") + gateway.of("stream") + gateway.of("done"):
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert request.headers["charset"] == "utf-8"
        assert request.headers["X-Request-ID"] == request.job_id
        assert request.headers["Authorization"] == "KEY123"


def test_a_template_without_a_query_gets_one(gateway: WorkerGateway, spawn: Spawn) -> None:
    environ = {
        name: value.removesuffix("?gpu=A+B").replace("/job-take/$ID", "/job-take/$NOVITA_POD_ID")
        for name, value in gateway.environ().items()
    }
    spawn(SCRIPT, environ=environ)
    job_id = gateway.submit("progress")
    gateway.result(job_id)
    assert gateway.of("done", job_id)[0].query == "isStream=false"
    assert gateway.of("batch")[0].query == "batch_size=3&job_in_progress=0"
