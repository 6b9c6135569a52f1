"""Answers of the protocol that are not to be believed: about another job, in circles, unreadable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from novita_sdk import errors
from tests.support.scripted_gateway import Answer, ScriptedGateway
from tests.support.twin import ClientMaker

FOREIGN = {"id": "other", "status": "COMPLETED", "output": "of somebody else"}
OWN = {"id": "j", "status": "COMPLETED", "output": 7}


@pytest.fixture
def endpoint(scripted: ScriptedGateway, make_client: ClientMaker) -> Any:
    return make_client(base_url=scripted.url, retry_budget=1.0).endpoint("x")


READERS: dict[str, Callable[[Any], object]] = {
    "info": lambda job: job.info(),
    "output now": lambda job: job.output(timeout=0),
    "output": lambda job: job.output(),
    "wait": lambda job: job.wait(timeout=60),
    "updates": lambda job: list(job.updates(timeout=60)),
    "stream": lambda job: list(job.stream(timeout=60)),
    "cancel": lambda job: job.cancel(),
    "retry": lambda job: job.retry(),
}


@pytest.mark.parametrize("reader", READERS)
def test_an_answer_about_another_job_is_not_taken(scripted: ScriptedGateway, endpoint: Any, reader: str) -> None:
    for route in ("status", "cancel", "retry"):
        scripted.script(route, Answer(body=FOREIGN))
    scripted.script("stream", Answer(body={"id": "other", "status": "COMPLETED", "stream": [{"output": 1}]}))
    with pytest.raises(errors.ProtocolError, match="about job 'other', not 'j'") as raised:
        READERS[reader](endpoint.job("j"))
    assert raised.value.job_id == "j"


@pytest.mark.parametrize("reader", ["info", "output", "updates"])
def test_one_answer_that_was_mixed_up_ends_nothing(scripted: ScriptedGateway, endpoint: Any, reader: str) -> None:
    scripted.script("status", Answer(body=FOREIGN), Answer(body=OWN))
    READERS[reader](job := endpoint.job("j"))
    assert job.output() == 7


def test_a_typed_call_refuses_an_answer_about_another_job(scripted: ScriptedGateway, make_client: ClientMaker) -> None:
    from novita_sdk.models import GetStatusRequest
    from novita_sdk.rpc import JobsServiceMethods

    scripted.script("status", Answer(body=FOREIGN))
    client = make_client(base_url=scripted.url, retry_budget=0.1)
    with pytest.raises(errors.ProtocolError, match="about job 'other'"):
        client.call(JobsServiceMethods.GET_STATUS, GetStatusRequest(endpoint="x", id="j"))


def page(*ids: str, cursor: str | None) -> dict[str, object]:
    body: dict[str, object] = {"jobs": [{"id": job_id, "status": "COMPLETED"} for job_id in ids]}
    return body if cursor is None else {**body, "nextCursor": cursor}


@pytest.mark.parametrize("cursors", [["a"], ["a", "b", "c"]])
def test_pages_that_go_in_circles_are_an_error(scripted: ScriptedGateway, endpoint: Any, cursors: list[str]) -> None:
    circle = [Answer(body=page("j", "k", cursor=cursor)) for cursor in cursors * 100]
    scripted.script("requests", *circle)
    found: list[str] = []
    with pytest.raises(errors.ProtocolError, match="'a' came before"):
        found.extend(job.job_id for job in endpoint.jobs())
    assert len(scripted.calls("requests")) == len(cursors) + 1


@pytest.mark.parametrize("ids", [[], ["j"]])
def test_pages_without_an_end_or_anything_new_are_an_error(
    scripted: ScriptedGateway, endpoint: Any, ids: list[str]
) -> None:
    scripted.script("requests", *(Answer(body=page(*ids, cursor=str(number))) for number in range(200)))
    with pytest.raises(errors.ProtocolError, match="no new job"):
        list(endpoint.jobs())
    assert len(scripted.calls("requests")) < 100


def test_each_job_is_listed_once_and_empty_pages_are_passed(scripted: ScriptedGateway, endpoint: Any) -> None:
    numbers = map(str, count())
    pages: Iterator[dict[str, object]] = (page(*ids, cursor=next(numbers)) for ids in (["c", "b"], [], ["b", "a"]))
    scripted.script("requests", *(Answer(body=body) for body in pages), Answer(body=page("z", cursor=None)))
    assert [job.job_id for job in endpoint.jobs()] == ["c", "b", "a", "z"]


LARGE = b'{"a":[1,{"seed":' + b"7" * 5000 + b"}]}"
DEEP = b'{"steps":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
UNREADABLE = {
    "large": (LARGE, r"output\.a\[1\]\.seed is an integer of 5,000 digits, at byte 16"),
    "large beside NaN": (LARGE[:-1] + b',"b":NaN}', r"output\.a\[1\]\.seed is an integer of 5,000 digits"),
    "deep": (DEEP, r"nested too deeply for Python's json: 100,001 levels, at byte 100,008 \(output\.steps"),
    "deep files": (DEEP.replace(b"[]", b'["sha256"]'), "nested too deeply"),
    "no JSON": (b'{"a":[1,}', "not JSON"),
    "no text": (b'"\xff"', "not JSON"),
}


def completed(output: bytes) -> bytes:
    return b'{"id":"j","status":"COMPLETED","output":%b}' % output


@pytest.mark.parametrize("reader", ["output now", "output"])
@pytest.mark.parametrize("kind", [name for name in UNREADABLE if name != "no JSON"])
def test_an_output_that_can_not_be_read_is_an_error_with_its_place(
    scripted: ScriptedGateway, endpoint: Any, kind: str, reader: str
) -> None:
    data, said = UNREADABLE[kind]
    scripted.script("status", Answer(body=completed(data)))
    job = endpoint.job("j")
    with pytest.raises(errors.UnreadableOutputError, match=said) as raised:
        READERS[reader](job)
    assert (raised.value.job_id, raised.value.status) == ("j", "COMPLETED")
    assert (raised.value.data == data) is True  # not to be shown
    assert len(str(raised.value)) < 1500
    info = job.info()
    assert (info.status, info.output, info.raw_output == data) == ("COMPLETED", None, True)
    assert len(scripted.calls("status")) == 1


def test_progress_that_can_not_be_read_ends_no_wait(scripted: ScriptedGateway, endpoint: Any) -> None:
    scripted.script("status", Answer(body=b'{"id":"j","status":"IN_PROGRESS","output":%b}' % LARGE), Answer(body=OWN))
    first, last = endpoint.job("j").updates(timeout=60)
    assert (first.progress, first.raw_output, last.output) == (None, LARGE, 7)


def test_an_error_that_can_not_be_read_is_told_as_it_came(scripted: ScriptedGateway, endpoint: Any) -> None:
    scripted.script("status", Answer(body=b'{"id":"j","status":"FAILED","error":%b}' % LARGE))
    with pytest.raises(errors.JobFailedError, match='"seed":777'):
        endpoint.job("j").output()


def test_a_chunk_that_can_not_be_read_is_an_error_in_its_place(scripted: ScriptedGateway, endpoint: Any) -> None:
    body = b'{"status":"COMPLETED","stream":[{"output":1},{"output":%b},{"output":2}]}' % DEEP
    scripted.script("stream", Answer(body=body))
    chunks = []
    with pytest.raises(errors.UnreadableOutputError, match="chunk 1 is nested") as raised:
        chunks.extend(endpoint.job("j").stream(timeout=60))
    assert (raised.value.data == DEEP) is True
    assert len(scripted.calls("stream")) == 1


def test_a_batch_with_an_unreadable_output_tells_it_and_leaves_it_out_of_its_manifest(
    scripted: ScriptedGateway, endpoint: Any, tmp_path: Path
) -> None:
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}))
    scripted.script("status", Answer(body=completed(LARGE)))
    for _ in range(2):
        (result,) = endpoint.map([{}], return_exceptions=True, manifest=tmp_path / "m.jsonl", progress=False)
        assert isinstance(result, errors.UnreadableOutputError)
    assert len(scripted.calls("run")) == 1


def test_a_job_in_a_list_may_hold_what_can_not_be_read(scripted: ScriptedGateway, endpoint: Any) -> None:
    job = b'{"id":"%b","status":"COMPLETED","output":%b}'
    scripted.script("requests", Answer(body=b'{"jobs":[%b,%b]}' % (job % (b"j", DEEP), job % (b"k", b"1"))))
    first, second = endpoint.jobs()
    assert (first.raw_output == DEEP, second.output) == (True, 1)


def test_an_unreadable_error_survives_pickling() -> None:
    import pickle

    copy = pickle.loads(pickle.dumps(errors.UnreadableOutputError("words", data=b"x", job_id="j")))
    assert (str(copy), copy.data, copy.job_id, copy.code) == ("words", b"x", "j", "OUTPUT_UNREADABLE")


def test_chunks_without_an_end_hold_no_stream_beyond_its_deadline(scripted: ScriptedGateway, endpoint: Any) -> None:
    scripted.script("stream", Answer(body={"status": "IN_PROGRESS", "stream": [{"output": 1}]}))
    with pytest.raises(errors.WaitTimeoutError):
        list(endpoint.job("j").stream(timeout=0.5))
