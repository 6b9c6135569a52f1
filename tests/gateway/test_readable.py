"""What the gateway accepts can be read by everybody: by `json` with its default limits, by msgspec, by our sides."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novita_sdk import models
from novita_sdk.rpc import JobsServiceMethods
from novita_sdk.wire import codec, payload
from novita_sdk.wire.codec import WireError
from novita_sdk.wire.http import parse_request
from tests.support.gateway_api import Api

UNREADABLE = {
    "integer": (b"9" * 5000, "an integer of 5,000 digits at byte "),
    "negative": (b"-" + b"9" * 4300, "an integer of 4,300 digits"),
    "exponent": (b"[1, -1.5E+400]", "the number -1.5E+400 at byte "),
    "float": (b"9" * 400 + b".5", "the number 99999"),
    "depth": (b"[" * 800 + b"]" * 800, "nested more than 500 levels deep"),
    "objects": (b'{"a\\"[":' * 600 + b'"]"' + b"}" * 600, "nested more than 500 levels deep"),
    "constant": (b"-Infinity", "not JSON"),
    "surrogate": (b'"\\ud800"', "lone surrogate"),
    "escape": (b'"\\x41"', "not JSON"),
    "control": (b'"a\nb"', "not JSON"),
    "encoding": (b'"\xed\xa0\x80"', "UTF-8"),
    "mark": (b"\xef\xbb\xbf1", "not JSON"),
}
READABLE = [
    b"9" * 4300,
    b"-" + b"9" * 4299,
    b"1e308",
    b"0e999999",
    b"1E-999999",
    b"0." + b"0" * 600 + b"1e+601",
    b"0." + b"1" * 10_000,
    b'["' + b"9" * 5000 + b'", "1e999", "\\\\", "1e400", {"1e400": "\\"1e400"}]',
    b"[" * 499 + b"]" * 499,
    b'["' + b"[" * 1000 + b'"]',
    b'["\\\\", "\\"[' + b"[" * 1000 + b'"]',
    b"[" + b"[]," * 1000 + b"[]]",
    b'{"a": 1, "a": 2}',
    b'"\\ud83d\\ude00 \\u0000 \x7f \xef\xbb\xbf"',
]


@pytest.mark.parametrize(("value", "word"), UNREADABLE.values(), ids=UNREADABLE.keys())
@pytest.mark.parametrize("member", [b"input", b"s3Config", b"anything", b"policy", b"webhook"])
async def test_a_submit_that_others_can_not_read_is_refused(api: Api, member: bytes, value: bytes, word: str) -> None:
    others = b"" if member == b"input" else b'"input": 1, '
    reply = await api.client("POST", "/v1/ep/run", b"{" + others + b'"' + member + b'": ' + value + b"}")
    assert (reply.status, reply.json["code"]) == (400, "BAD_REQUEST")
    assert word in reply.json["message"]
    assert len(reply.json["message"]) < 300
    assert (await api.client("GET", "/v1/ep/health")).json["jobs"]["inQueue"] == 0


@pytest.mark.parametrize(("value", "word"), UNREADABLE.values(), ids=UNREADABLE.keys())
@pytest.mark.parametrize("member", [b"output", b"error"])
@pytest.mark.parametrize("route", ["job-done", "job-stream"])
async def test_a_result_or_chunk_that_others_can_not_read_fails_its_job(
    api: Api, route: str, member: bytes, value: bytes, word: str
) -> None:
    job_id = await api.submit()
    await api.take()
    reply = await api.worker(
        "POST", f"/v1/ep/{route}/pod1/{job_id}", b'{"output": 1, "' + member + b'": ' + value + b"}"
    )
    assert (reply.status, reply.json["code"]) == (400, "BAD_REQUEST")
    job = await api.status(job_id, wait=2000)
    assert job["status"] == "FAILED", "a client would wait for a result that nobody has any more"
    assert word in job["error"]
    assert job_id in job["error"]


@pytest.mark.parametrize("kind", ["integer", "exponent", "depth", "constant", "surrogate"])
async def test_progress_that_others_can_not_read_is_refused_and_the_job_goes_on(api: Api, kind: str) -> None:
    value, word = UNREADABLE[kind]
    job_id = await api.submit()
    await api.take()
    reply = await api.done(job_id, b'{"status": "IN_PROGRESS", "output": ' + value + b"}")
    assert reply.status == 400
    assert word in reply.json["message"]
    assert (await api.status(job_id))["status"] == "IN_PROGRESS"
    assert (await api.done(job_id, b'{"output": 5}')).status == 200
    assert (await api.status(job_id))["output"] == 5


@pytest.mark.parametrize("value", READABLE, ids=range(len(READABLE)))
async def test_what_is_odd_but_can_be_read_travels_as_it_is(api: Api, value: bytes) -> None:
    job_id = await api.submit(b'{"input": ' + value + b', "beside": ' + value + b"}")
    (job,) = (await api.worker("GET", "/v1/ep/job-take-batch/pod1?batch_size=4")).json
    assert job["input"] == job["beside"] == json.loads(value)
    assert (await api.done(job_id, b'{"output": ' + value + b"}")).status == 200
    assert (await api.status(job_id))["output"] == json.loads(value)


DIGITS = st.integers(0, 5000).map(lambda count: "9" * count)
NUMBERS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "-", "+"]),
        DIGITS | st.sampled_from(["0", "1", "00", "12"]),
        st.sampled_from(["", ".", ".5", "." + "0" * 400 + "1"]),
        st.sampled_from(["", "e", "E+", "e-"]).flatmap(
            lambda mark: st.integers(0, 5000).map(lambda value: f"{mark}{value}") if mark else st.just("")
        ),
    ),
)
TEXTS = st.text(st.sampled_from('[]{}"\\,:eE+-0123456789u dx\x00\n\ud800é\ufeff'), max_size=12)
ATOMS = (
    NUMBERS
    | TEXTS.map(json.dumps)
    | TEXTS.map(lambda text: f'"{text}"')
    | st.sampled_from(
        ["null", "true", "NaN", "Infinity", '"\\ud800"', '"\\ud83d\\ude00"', "", "01", "1e400", '"1e400"']
    )
)
DEEP = st.builds(
    lambda levels, kind, inner: kind[0] * levels + inner + kind[1] * levels,
    st.sampled_from([1, 3, 480, 490, 499, 500, 501, 600, 950]),
    st.sampled_from([("[", "]"), ('{"a":', "}"), ('[{"]":', "}]"), ('["[",', ',"]"]')]),
    ATOMS,
)
DOCUMENTS = st.recursive(
    ATOMS | DEEP,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(TEXTS.map(json.dumps), inner), max_size=3).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items) + "}"
        )
    ),
    max_leaves=8,
)


@settings(max_examples=1000, deadline=None)
@given(text=DOCUMENTS, member=st.sampled_from(["input", "s3Config", "beside"]))
def test_everything_that_is_accepted_can_be_read_by_all_and_nothing_else_is_refused(text: str, member: str) -> None:
    value = text.encode("utf-8", "surrogatepass")
    body = b'{"input": 1, "' + member.encode() + b'": ' + value + b"}"
    path = {"endpoint": "ep"}
    try:
        request = parse_request(JobsServiceMethods.RUN, path=path, query={}, headers={}, body=body).request
    except WireError:
        assert not readable(value)
        return
    job = models.Job(id="j", input=request.input, s3_config=request.s3_config or b"null", extra=request.extra)
    (taken,) = codec.decode_array(models.Job, b"[" + codec.encode(job) + b"]")
    assert json.loads(codec.encode(job))["input"] == payload.load(taken.input)
    assert msgspec.json.decode(codec.encode(taken))
    assert readable(value)


def readable(value: bytes) -> bool:
    """Slowly and plainly what the gateway decides quickly."""
    try:
        text = value.decode()
        json.loads(text)
        msgspec.json.decode(value)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return False
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    depth = deepest = 1  # the envelope's own level
    for character in outside:
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    return deepest <= 500


async def test_names_of_files_are_text(api: Api) -> None:
    for name in (b"\\ud800", b"a\\u0000b", b"9" * 5000):
        body = b'{"name": "%s", "mediaType": "x/y", "size": 1, "sha256": "%s"}' % (name, b"0" * 64)
        assert (await api.client("POST", "/v1/ep/files", body)).status < 500
    for size in (b"NaN", b"9" * 5000, b"1e400", b"-1", b"true", b"1.5"):
        body = b'{"name": "a", "mediaType": "x/y", "size": %s, "sha256": "%s"}' % (size, b"0" * 64)
        assert (await api.client("POST", "/v1/ep/files", body)).status == 400
