"""Raw requests of every kind, against the description that the gateway publishes: no 5xx, and nothing undescribed."""

from __future__ import annotations

import http.client
import json
import re
import socket
import string
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import jsonschema
import openapi_spec_validator
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from novita_gateway import Gateway, Waits, openapi, serve_in_thread
from novita_sdk.rpc import JobsServiceMethods, WorkerServiceMethods

DESCRIPTION = openapi()
OPERATIONS = [
    (path, verb, operation) for path, verbs in DESCRIPTION["paths"].items() for verb, operation in verbs.items()
]
NAMES = st.sampled_from(["ep", "ep", "ep", "w1", "none"])
ANYTHING = st.text(st.characters(codec="utf-8"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["input", "output", "error", "status", "policy", "webhook", "s3Config", "ttl", "executionTimeout", "stopPod"]
)


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Gateway]:
    with serve_in_thread(lambda: Gateway(waits=Waits(take=1, status=1, run_sync=1, run_sync_max=1))) as gateway:
        yield gateway


def test_the_published_description_is_valid_and_complete(fuzzed: Gateway) -> None:
    openapi_spec_validator.validate(DESCRIPTION)
    described = {operation["operationId"] for _, _, operation in OPERATIONS}
    assert described == {method.name for method in (*JobsServiceMethods.ALL, *WorkerServiceMethods.ALL)}
    connection = http.client.HTTPConnection("127.0.0.1", fuzzed.port, timeout=10)
    connection.request("GET", "/openapi.json")
    assert json.loads(connection.getresponse().read()) == DESCRIPTION
    connection.close()


def bodies() -> st.SearchStrategy[bytes]:
    values = st.dictionaries(KEYS, JSON, max_size=4) | JSON
    return st.binary(max_size=40) | values.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))


@st.composite
def described_requests(draw: st.DrawFn) -> tuple[dict[str, Any], str, str, dict[str, str], bytes | None]:
    path, verb, operation = draw(st.sampled_from(OPERATIONS))
    query: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            value = draw(NAMES | ANYTHING)
            path = path.replace("{" + parameter["name"] + "}", quote(value, safe=""))
        elif parameter["in"] == "query":
            if draw(st.booleans()):
                query.append((parameter["name"], draw(st.integers().map(str) | ANYTHING)))
        elif draw(st.booleans()):
            headers[parameter["name"]] = draw(st.text(string.printable[:94], max_size=20))
    if query:
        path += "?" + "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in query)
    body = draw(bodies()) if "requestBody" in operation or draw(st.booleans()) else None
    return operation, verb.upper(), path, headers, body


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(request=described_requests(), version=st.sampled_from(["v1", "v2"]))
@example(request=(OPERATIONS[0][2], "POST", "/ep/run", {}, b'{"input": 1}'), version="v1")
def test_every_answer_to_a_described_request_is_described(fuzzed: Gateway, request: Any, version: str) -> None:
    operation, verb, path, headers, body = request
    role = operation["security"][0]
    headers["Authorization"] = f"Bearer {fuzzed.api_key if 'clientKey' in role else fuzzed.worker_token}"
    connection = http.client.HTTPConnection("127.0.0.1", fuzzed.port, timeout=10)
    try:
        connection.request(verb, f"/{version}{path}", body, headers)
        response = connection.getresponse()
        data = response.read()
    finally:
        connection.close()
    assert str(response.status) in operation["responses"], data
    if response.status == 204:
        assert data == b""
        return
    assert response.headers["Content-Type"] == "application/json"
    content = operation["responses"][str(response.status)]["content"]
    schema = content["application/json"]["schema"]
    jsonschema.validate(json.loads(data), {**schema, "components": DESCRIPTION["components"]})


REQUEST_LINES = st.builds(
    lambda verb, path, version: verb + b" " + path + b" HTTP/" + version,
    st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"get", b"\x00", b""]),
    st.sampled_from([b"/v1/ep/health", b"/", b"*", b"http://x/v1/ep/health", b"/v1//run", b"/v1/ep/../x/health", b"//"])
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
    with socket.create_connection(("127.0.0.1", fuzzed.port), timeout=10) as connection:
        connection.sendall(b"\r\n".join([line, *headers, b"Connection: close", b"", body]))
        connection.shutdown(socket.SHUT_WR)
        reply = b""
        try:
            while part := connection.recv(65536):
                reply += part
        except ConnectionResetError:
            pass
    assert not re.search(rb"^HTTP/1\.\d 5", reply, re.MULTILINE), reply


def test_it_still_serves(fuzzed: Gateway) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", fuzzed.port, timeout=10)
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b'{"status":"ok"}'
    connection.close()
