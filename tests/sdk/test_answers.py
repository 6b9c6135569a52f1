"""Answers of the protocol that are not to be believed: about another job, in circles, unreadable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from novita_sdk import errors

FOREIGN = {"id": "other", "status": "COMPLETED", "output": "of somebody else"}
OWN = {"id": "j", "status": "COMPLETED", "output": 7}


@pytest.fixture
def endpoint(scripted: Any, make_client: Callable[..., Any]) -> Any:
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
def test_an_answer_about_another_job_is_not_taken(scripted: Any, endpoint: Any, answer: Any, reader: str) -> None:
    for route in ("status", "cancel", "retry"):
        scripted.script(route, answer(body=FOREIGN))
    scripted.script("stream", answer(body={"id": "other", "status": "COMPLETED", "stream": [{"output": 1}]}))
    with pytest.raises(errors.ProtocolError, match="about job 'other', not 'j'") as raised:
        READERS[reader](endpoint.job("j"))
    assert raised.value.job_id == "j"


@pytest.mark.parametrize("reader", ["info", "output", "updates"])
def test_one_answer_that_was_mixed_up_ends_nothing(scripted: Any, endpoint: Any, answer: Any, reader: str) -> None:
    scripted.script("status", answer(body=FOREIGN), answer(body=OWN))
    READERS[reader](job := endpoint.job("j"))
    assert job.output() == 7


def test_a_typed_call_refuses_an_answer_about_another_job(
    scripted: Any, make_client: Callable[..., Any], answer: Any
) -> None:
    from novita_sdk.models import GetStatusRequest
    from novita_sdk.rpc import JobsServiceMethods

    scripted.script("status", answer(body=FOREIGN))
    client = make_client(base_url=scripted.url, retry_budget=0.1)
    with pytest.raises(errors.ProtocolError, match="about job 'other'"):
        client.call(JobsServiceMethods.GET_STATUS, GetStatusRequest(endpoint="x", id="j"))


def page(*ids: str, cursor: str | None) -> dict[str, object]:
    body: dict[str, object] = {"jobs": [{"id": job_id, "status": "COMPLETED"} for job_id in ids]}
    return body if cursor is None else {**body, "nextCursor": cursor}


@pytest.mark.parametrize("cursors", [["a"], ["a", "b", "c"]])
def test_pages_that_go_in_circles_are_an_error(scripted: Any, endpoint: Any, answer: Any, cursors: list[str]) -> None:
    circle = [answer(body=page("j", "k", cursor=cursor)) for cursor in cursors * 100]
    scripted.script("requests", *circle)
    found = []
    with pytest.raises(errors.ProtocolError, match="'a' came before"):
        found.extend(job.job_id for job in endpoint.jobs())
    assert len(scripted.calls("requests")) == len(cursors) + 1


@pytest.mark.parametrize("ids", [[], ["j"]])
def test_pages_without_an_end_or_anything_new_are_an_error(
    scripted: Any, endpoint: Any, answer: Any, ids: list[str]
) -> None:
    scripted.script("requests", *(answer(body=page(*ids, cursor=str(number))) for number in range(200)))
    with pytest.raises(errors.ProtocolError, match="no new job"):
        list(endpoint.jobs())
    assert len(scripted.calls("requests")) < 100


def test_each_job_is_listed_once_and_empty_pages_are_passed(scripted: Any, endpoint: Any, answer: Any) -> None:
    numbers = map(str, count())
    pages: Iterator[dict[str, object]] = (page(*ids, cursor=next(numbers)) for ids in (["c", "b"], [], ["b", "a"]))
    scripted.script("requests", *(answer(body=body) for body in pages), answer(body=page("z", cursor=None)))
    assert [job.job_id for job in endpoint.jobs()] == ["c", "b", "a", "z"]
