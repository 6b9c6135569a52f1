"""An input that is named as such is never taken for a whole request."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from novita_sdk import JobFailedError
from novita_sdk.files import File
from novita_testing import embedded
from tests.support.scripted_gateway import Answer, ScriptedGateway
from tests.support.twin import ClientMaker

VALUE = {"input": "text", "n": 2, "id": "mine"}


@pytest.mark.parametrize("value", [VALUE, {}, None, [1]])
def test_it_arrives_as_it_is(scripted: ScriptedGateway, make_client: ClientMaker, value: object) -> None:
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}))
    scripted.script("status", Answer(body={"id": "j", "status": "COMPLETED", "output": 7}))
    endpoint = make_client(base_url=scripted.url).endpoint("x")
    endpoint.run(input=value, webhook="https://h/x")
    assert endpoint.run_sync(input=value, timeout=5) == 7
    first, second = (json.loads(call.body) for call in scripted.calls("run"))
    assert first == {"input": value, "webhook": "https://h/x"}
    assert second == {"input": value}


def test_files_in_it_are_uploaded() -> None:
    with embedded(lambda job: sorted(job["input"])) as endpoint:
        assert endpoint.run_sync(input={"input": File.from_bytes(b"x", name="a"), "n": 2}) == ["input", "n"]


@dataclass
class Wish:
    input: str
    n: int


def test_a_typed_worker_says_why_it_got_the_smaller_part() -> None:
    def handler(wish: Wish) -> str:
        return wish.input * wish.n

    with embedded(handler) as endpoint:
        assert endpoint.run_sync(input={"input": "ab", "n": 2}, timeout=10) == "abab"
        with pytest.raises(JobFailedError, match=r"The job has n beside its `input`.* submit it as run\(input=…\)"):
            endpoint.run_sync({"input": "ab", "n": 2}, timeout=10)
        with pytest.raises(JobFailedError, match="not a valid Wish") as raised:
            endpoint.run_sync({"input": "ab"}, timeout=10)
    assert "beside its" not in str(raised.value)


def test_one_job_does_not_get_the_output_of_another() -> None:
    with embedded(lambda job: job["input"]) as endpoint:
        victim = endpoint.run({"text": "victim"})
        assert endpoint.run_sync({"input": "other", "id": victim.job_id}, timeout=10) == "other"
        assert victim.output(timeout=10) == {"text": "victim"}


@pytest.mark.parametrize(
    "call", [lambda endpoint: endpoint.run(), lambda endpoint: endpoint.run_sync({}, input={}, timeout=1)]
)
def test_there_is_one_input(make_client: ClientMaker, call: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match=r"got (no input|two inputs): pass one"):
        call(make_client().endpoint("x"))
