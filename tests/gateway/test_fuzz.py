"""Raw requests of every kind, against the description that the gateway publishes: no 5xx, and nothing undescribed."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import openapi_spec_validator
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from novita_gateway import Gateway, Waits, openapi, serve_in_thread
from novita_sdk.rpc import JobsServiceMethods, WorkerServiceMethods
from tests.support.waiting import DEADLINE

DESCRIPTION = openapi()
OPERATIONS = [
    (path, verb, operation) for path, verbs in DESCRIPTION["paths"].items() for verb, operation in verbs.items()
]
ANYTHING = st.text(st.characters(codec="utf-8"), max_size=20)
INTEGERS = st.integers() | st.sampled_from([0, 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**400])
JSON = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats() | st.text(max_size=5) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
HOSTS = st.sampled_from(["example.com", "xn--", "a..b", "127.0.0.1", "[::1", "x:99999", "a" * 64]) | ANYTHING
HEADERS = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20)
JOB = "the job"
"""Stands for the id of a job that is there."""


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Gateway]:
    with serve_in_thread(lambda: Gateway(waits=Waits(take=1, status=1, run_sync=1, run_sync_max=1))) as gateway:
        yield gateway


def test_the_published_description_is_valid_and_complete(fuzzed: Gateway) -> None:
    openapi_spec_validator.validate(DESCRIPTION)
    described = {operation["operationId"] for _, _, operation in OPERATIONS}
    for _, _, operation in OPERATIONS:
        assert {"400", "401", "403", "404", "408", "413", "503"} <= set(operation["responses"])
    assert described == {method.name for method in (*JobsServiceMethods.ALL, *WorkerServiceMethods.ALL)}
    connection = http.client.HTTPConnection("127.0.0.1", fuzzed.port, timeout=DEADLINE)
    connection.request("GET", "/openapi.json")
    assert json.loads(connection.getresponse().read()) == DESCRIPTION
    connection.close()


def mostly(right: st.SearchStrategy[Any], wrong: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 5).flatmap(lambda roll: right if roll else wrong)


def values(schema: dict[str, Any], name: str = "") -> st.SearchStrategy[Any]:
    """Values that are as the description says, for the most part."""
    if reference := schema.get("$ref"):
        return values(DESCRIPTION["components"]["schemas"][reference.rpartition("/")[2]])
    kind = schema.get("type")
    if kind == "object":
        members = {key: values(inner, key) for key, inner in schema.get("properties", {}).items()}
        needed = set(schema.get("required", [])) | ({"output"} & set(members))
        return mostly(
            st.fixed_dictionaries(
                {key: value for key, value in members.items() if key in needed},
                optional={key: value for key, value in members.items() if key not in needed},
            ),
            st.dictionaries(st.sampled_from([*members, "stopPod"]), JSON, max_size=4),
        )
    if kind == "array":
        return mostly(st.lists(values(schema["items"]), max_size=2), JSON)
    if name == "webhook":
        return HOSTS.map(lambda host: f"http://{host}/")
    right = {"integer": INTEGERS, "boolean": st.booleans(), "string": st.text(max_size=5)}
    return mostly(right[kind], JSON) if kind in right else JSON


def bodies(operation: dict[str, Any]) -> st.SearchStrategy[bytes]:
    described = operation.get("requestBody", {"content": {"application/json": {"schema": {}}}})
    body = values(described["content"]["application/json"]["schema"])
    return mostly(body.map(lambda value: json.dumps(value).encode()), st.binary(max_size=40))


@st.composite
def described_requests(
    draw: st.DrawFn, path: str, operation: dict[str, Any]
) -> tuple[str, dict[str, str], bytes | None]:
    names = {"endpoint": st.just("ep"), "worker_id": st.just("w1"), "id": st.just(JOB)}
    query: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    for parameter in operation["parameters"]:
        name = parameter["name"]
        if parameter["in"] == "path":
            path = path.replace("{" + name + "}", quote(draw(mostly(names[name], ANYTHING)), safe=""))
        elif parameter["in"] == "query":
            if draw(st.booleans()):
                right = {"integer": INTEGERS.map(str), "boolean": st.sampled_from(["true", "false"])}
                query.append((name, draw(mostly(right.get(parameter["schema"]["type"], st.just(JOB)), ANYTHING))))
        elif draw(st.booleans()):
            headers[name] = draw(HEADERS)
    if query:
        path += "?" + "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in query)
    body = draw(bodies(operation)) if "requestBody" in operation or draw(st.booleans()) else None
    return path, headers, body


class Caller:
    """Makes calls, one after the other on one connection where the gateway keeps it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=DEADLINE)

    def __call__(self, verb: str, path: str, key: str, body: bytes | None = None, **headers: str) -> Any:
        """Status, headers and body of the answer."""
        self.connection.request(verb, path, body, {"Authorization": f"Bearer {key}", **headers})
        response = self.connection.getresponse()
        return response.status, response.headers, response.read()

    def make_job(self, state: str) -> str:
        """The id of a job in that state; where it was taken, w1 has it."""
        client, worker = self.gateway.api_key, self.gateway.worker_token
        self("POST", "/v1/ep/purge-queue", client)
        _, _, reply = self("POST", "/v1/ep/run", client, b'{"input": 1}')
        job_id = str(json.loads(reply)["id"])
        if state != "queued":
            self("GET", "/v1/ep/job-take/w1", worker)
        if state in {"streaming", "failed"}:
            path, body = {"streaming": ("stream", b'{"output": 1}'), "failed": ("done", b'{"error": 1}')}[state]
            self("POST", f"/v1/ep/job-{path}/w1/{job_id}", worker, body)
        return job_id


@pytest.mark.parametrize(
    ("path", "verb", "operation"), OPERATIONS, ids=[operation["operationId"] for _, _, operation in OPERATIONS]
)
def test_every_answer_to_a_described_request_is_described(
    fuzzed: Gateway, path: str, verb: str, operation: dict[str, Any]
) -> None:
    call = Caller(fuzzed)
    key = fuzzed.api_key if "clientKey" in operation["security"][0] else fuzzed.worker_token
    schema = {"methods": [{"input": {"type": "object"}, "output": {}}]}
    call("POST", "/v1/ep/job-schema/w1", fuzzed.worker_token, json.dumps(schema).encode())
    successes = 0
    validators = {
        int(status): Draft202012Validator({**form["schema"], "components": DESCRIPTION["components"]})
        for status, answer in operation["responses"].items()
        for form in answer.get("content", {}).values()
    }

    @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        request=described_requests(path, operation),
        state=st.sampled_from(["queued", "running", "streaming", "failed"]),
        version=st.sampled_from(["v1", "v2"]),
    )
    def check(request: Any, state: str, version: str) -> None:
        nonlocal successes
        target, headers, body = request
        job_id = call.make_job(state)
        target = f"/{version}{target.replace(quote(JOB), job_id)}"
        status, reply_headers, data = call(verb.upper(), target, key, body, **headers)
        assert str(status) in operation["responses"], data
        successes += status < 300
        if status == 204:
            assert data == b""
            return
        assert reply_headers["Content-Type"] == "application/json"
        validators[status].validate(json.loads(data))

    check()
    call.connection.close()
    assert successes, "never got as far as a success"


REQUEST_LINES = st.builds(
    lambda verb, path, version: verb + b" " + path + b" HTTP/" + version,
    st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"get", b"\x00", b""]),
    st.sampled_from([b"/v1/ep/health", b"/", b"*", b"http://x/v1/ep/health", b"/v1//run", b"/v1/ep/../x/health", b"//"])
    | st.sampled_from([b"/healthz", b"/metrics", b"/openapi.json", b"/v1/ep/files", b"/v1/blobs/" + b"0" * 64])
    | st.binary(max_size=30),
    st.sampled_from([b"1.1", b"1.0", b"2.0", b"0.9", b"x"]),
)
HEADER_LINES = st.sampled_from(
    [
        b"Host: x",
        b"Content-Length: 5",
        b"Content-Length: -1",
        b"Content-Length: x",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"Content-Encoding: gzip",
        b"Content-Encoding: deflate",
        b"Expect: 100-continue",
        b"Expect: something",
        b"Connection: upgrade\r\nUpgrade: websocket",
        b"Authorization: \xff\xfe",
        b"Authorization: Bearer",
        b"no colon",
        b": empty",
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(line=REQUEST_LINES, headers=st.lists(HEADER_LINES, max_size=4), body=st.binary(max_size=40), keyed=st.booleans())
def test_no_bytes_at_all_make_it_fail(
    fuzzed: Gateway, line: bytes, headers: list[bytes], body: bytes, keyed: bool
) -> None:
    if keyed:
        headers = [*headers, b"Authorization: Bearer " + fuzzed.api_key.encode()]
    with socket.create_connection(("127.0.0.1", fuzzed.port), timeout=DEADLINE) as connection:
        connection.sendall(b"\r\n".join([line, *headers, b"Connection: close", b"", body]))
        connection.shutdown(socket.SHUT_WR)
        reply = b""
        try:
            while part := connection.recv(65536):
                reply += part
        except ConnectionResetError:
            pass
    assert not re.search(rb"^HTTP/1\.\d 5", reply, re.MULTILINE), reply
    head, _, data = reply.partition(b"\r\n\r\n")
    if re.match(rb"HTTP/1\.\d 4", head) and data:
        assert b"content-type: application/json" in head.lower(), reply
        assert {"code", "message"} <= set(json.JSONDecoder().raw_decode(data.decode())[0]), reply


def test_it_still_serves(fuzzed: Gateway) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", fuzzed.port, timeout=DEADLINE)
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b'{"status":"ok"}'
    connection.close()
