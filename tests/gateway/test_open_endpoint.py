"""An endpoint that is open: called without its name and without a key, by everybody but pages in browsers."""

from __future__ import annotations

import pytest

from novita_gateway import Gateway
from novita_sdk.wire.names import InvalidNameError
from tests.support.gateway_api import Api, Connect

ROUTES = [
    ("POST", "/run", b'{"input": 1}'),
    ("POST", "/runsync?wait=1", b'{"input": 1}'),
    ("GET", "/status/{id}", None),
    ("POST", "/status/{id}", None),
    ("GET", "/stream/{id}", None),
    ("POST", "/stream/{id}", None),
    ("GET", "/health", None),
    ("POST", "/cancel/{id}", None),
    ("POST", "/purge-queue", None),
]


@pytest.fixture
async def api(connect: Connect) -> Api:
    return await connect(Gateway(open_endpoint="open"))


@pytest.mark.parametrize(("verb", "path", "body"), ROUTES, ids=[f"{verb} {path}" for verb, path, _ in ROUTES])
async def test_a_call_without_name_and_key(api: Api, verb: str, path: str, body: bytes | None) -> None:
    job_id = await api.submit(endpoint="open")
    reply = await api.call(verb, path.format(id=job_id), body)
    assert reply.status == 200, reply.body


async def test_a_job_is_that_of_the_endpoint(api: Api) -> None:
    job_id = (await api.call("POST", "/run", b'{"input": {"a": 1}}')).json["id"]
    taken = await api.take(endpoint="open")
    assert (taken["id"], taken["input"]) == (job_id, {"a": 1})
    await api.done(job_id, b'{"output": 2}', endpoint="open")
    assert (await api.call("GET", f"/status/{job_id}")).json["output"] == 2
    assert (await api.status(job_id, endpoint="open"))["output"] == 2


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
async def test_pages_in_browsers_are_refused(api: Api, origin: str) -> None:
    reply = await api.call("POST", "/run", b'{"input": 1}', Origin=origin)
    assert (reply.status, reply.json["code"]) == (403, "FORBIDDEN")
    assert (await api.client("GET", "/v1/open/health")).json["jobs"]["inQueue"] == 0


async def test_everything_else_needs_the_key(api: Api) -> None:
    for verb, path in (
        ("GET", "/v1/open/health"),
        ("POST", "/v1/open/run"),
        ("GET", "/v1/other/health"),
        ("GET", "/metrics"),
        ("GET", "/v1/open/job-take/w1"),
    ):
        assert (await api.call(verb, path)).status == 401, path
    for path in ("/requests", "/schema", "/job-take/w1", "/run/more", "/status", "/", "//", "/other/run"):
        assert (await api.call("GET", path)).status in {401, 404, 405}, path
        assert (await api.client("GET", path)).status in {404, 405}, path


async def test_another_verb_is_told(api: Api) -> None:
    reply = await api.call("DELETE", "/status/j1")
    assert reply.status == 405
    assert (await api.call("GET", "/run")).status == 405


async def test_there_is_none_unless_it_is_asked_for(connect: Connect) -> None:
    api = await connect(Gateway())
    assert (await api.call("POST", "/run", b'{"input": 1}')).status in {401, 404}
    with pytest.raises(InvalidNameError):
        Gateway(open_endpoint="no/name")
