"""Every way to submit takes the same options and honours them; what is no option is refused with the nearest name."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from novita_sdk import errors
from novita_sdk.typed import OutputError
from novita_testing import embedded
from tests.support.scripted_gateway import Answer, ScriptedGateway
from tests.support.twin import ClientMaker

DONE = {"id": "j", "status": "COMPLETED", "output": {"total": 7}}
OURS = {"Novita-Long-Poll": "60000"}


@dataclass
class Total:
    total: int


def by_run(endpoint: Any, value: Any, **options: Any) -> Any:
    return endpoint.run(value, **options).output(timeout=20)


def by_run_sync(endpoint: Any, value: Any, **options: Any) -> Any:
    return endpoint.run_sync(value, **{"timeout": 20, **options})


def by_map(endpoint: Any, value: Any, **options: Any) -> Any:
    (output,) = endpoint.map([value], **{"timeout": 20, **options})
    return output


WAYS = [by_run, by_run_sync, by_map]
Way = Callable[..., Any]

pytestmark = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
def endpoint(scripted: ScriptedGateway, make_client: ClientMaker) -> Any:
    """An endpoint whose every job is done at once."""
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}, headers=OURS))
    scripted.script("status", Answer(body=DONE, headers=OURS))
    return make_client(base_url=scripted.url, retry_budget=0.3).endpoint("x")


def test_options_are_sent(scripted: ScriptedGateway, endpoint: Any, way: Way) -> None:
    way(
        endpoint,
        {"a": 1},
        webhook="https://h/x",
        policy={"executionTimeout": 9000, "ttl": 60_000},
        low_priority=True,
        s3_config={"bucketName": "b", "endpointUrl": "https://s3"},
        idempotency_key="k",
    )
    (sent,) = scripted.calls("run")
    assert json.loads(sent.body) == {
        "input": {"a": 1},
        "webhook": "https://h/x",
        "policy": {"executionTimeout": 9000, "ttl": 60_000, "lowPriority": True},
        "s3Config": {"bucketName": "b", "endpointUrl": "https://s3"},
    }
    key = sent.headers["idempotency-key"]
    assert key == "k" or (way is by_map and key.startswith("k-"))


def test_an_output_type_is_made_of_the_output(endpoint: Any, way: Way) -> None:
    assert way(endpoint, {}, output_type=Total) == Total(7)


def test_an_output_of_another_type_is_an_error(scripted: ScriptedGateway, endpoint: Any, way: Way) -> None:
    scripted.script("status", Answer(body={**DONE, "output": {"total": "seven"}}, headers=OURS))
    with pytest.raises(OutputError, match="total"):
        way(endpoint, {}, output_type=Total)


def test_a_type_that_nothing_reads_is_refused_before_the_submit(
    scripted: ScriptedGateway, endpoint: Any, way: Way
) -> None:
    with pytest.raises(TypeError, match="output_type must be"):
        way(endpoint, {}, output_type=complex)
    assert scripted.seen == []


def test_an_input_is_checked_by_the_schema_of_the_worker(scripted: ScriptedGateway, endpoint: Any, way: Way) -> None:
    schema = {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"}}}
    scripted.script("schema", Answer(body={"methods": [{"name": "", "input": schema}]}))
    with pytest.raises(errors.InvalidInputError, match=r"would refuse the input: .*'prompt'"):
        way(endpoint, {}, check=True)
    assert scripted.calls("run") == []
    way(endpoint, {"prompt": "x"}, check=True)


@pytest.mark.parametrize(
    ("name", "meant"), [("polciy", "policy"), ("web_hook", "webhook"), ("idempotencyKey", "idempotency_key")]
)
def test_what_is_no_option_is_refused_with_the_nearest_name(
    scripted: ScriptedGateway, endpoint: Any, way: Way, name: str, meant: str
) -> None:
    with pytest.raises(TypeError, match=rf"no option '{name}'; did you mean {meant}\?") as raised:
        way(endpoint, {}, **{name: None})
    assert not isinstance(raised.value, errors.NovitaError)
    assert scripted.seen == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"policy": {"executiontimeout": 1}},
            r"no member 'executiontimeout'; did you mean executionTimeout\?",
        ),
        ({"policy": {"low_priority": True}}, r"did you mean lowPriority\?"),
        ({"policy": {"colour": 1}}, "known are executionTimeout, ttl, lowPriority"),
        ({"policy": {"ttl": "soon"}}, "ttl must be an integer"),
        ({"policy": ["ttl"]}, "policy must be an object, not list"),
        ({"policy": {"lowPriority": False}, "low_priority": True}, "differ"),
        ({"s3_config": {"bucket_name": "b"}}, r"s3_config has no member 'bucket_name'; did you mean bucketName\?"),
        ({"webhook": 7}, "webhook must be a string"),
        ({"idempotency_key": ""}, "idempotency_key must be"),
        ({"timeout": "soon"}, "timeout must be a number of seconds, not str"),
        ({"timeout": timedelta(seconds=3)}, r"not timedelta \(use \.total_seconds\(\)\)"),
        ({"timeout": Decimal(3)}, "not Decimal"),
        ({"timeout": float("nan")}, "timeout must be"),
    ],
)
def test_an_option_that_can_not_be_right_is_refused_before_the_submit(
    scripted: ScriptedGateway, endpoint: Any, way: Way, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(errors.InvalidInputError, match=said):
        way(endpoint, {}, **options)
    assert scripted.seen == []


def test_a_lost_answer_is_told_where_the_gateway_recognises_no_keys(
    scripted: ScriptedGateway, endpoint: Any, way: Way
) -> None:
    scripted.script("run", Answer(fault="reset"))
    scripted.script("health", Answer(body={}))
    with pytest.raises(errors.SubmitUncertainError, match="may or may not be queued"):
        way(endpoint, {})
    assert len(scripted.calls("run")) == 1


def test_members_of_a_whole_request_that_are_the_gateways_are_left_out(
    scripted: ScriptedGateway, endpoint: Any, caplog: pytest.LogCaptureFixture, way: Way
) -> None:
    with caplog.at_level(logging.WARNING, "novita_sdk"):
        way(endpoint, {"input": {}, "id": "victim", "attempt": 3})
        way(endpoint, {"input": {}, "id": "victim", "attempt": 3})
    assert [json.loads(sent.body) for sent in scripted.calls("run")] == [{"input": {}}, {"input": {}}]
    (record,) = caplog.records
    assert record.getMessage().startswith("submit to endpoint x: attempt and id beside `input` were left out")


def test_an_input_that_is_taken_for_a_whole_request_is_told_of(
    scripted: ScriptedGateway, endpoint: Any, caplog: pytest.LogCaptureFixture, way: Way
) -> None:
    way(endpoint, {"input": "text", "n": 2})
    assert json.loads(scripted.calls("run")[0].body)["n"] == 2
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "its `input` alone is the input, and n went beside it" in said
    assert "run(input=…)" in said
    assert "text" not in said


def test_a_member_that_the_policy_of_a_whole_request_has_not_is_refused_with_the_nearest_name(
    scripted: ScriptedGateway, endpoint: Any, way: Way
) -> None:
    with pytest.raises(
        errors.InvalidInputError, match=r"no member 'executiontimeout'; did you mean executionTimeout\?"
    ):
        way(endpoint, {"input": "text", "policy": {"executiontimeout": 3}})
    with pytest.raises(errors.InvalidInputError, match="policy must be an object, not list"):
        way(endpoint, {"input": "text", "policy": ["ttl"]})
    assert scripted.seen == []


def test_the_advice_stands_in_the_error_of_a_check(scripted: ScriptedGateway, endpoint: Any, way: Way) -> None:
    scripted.script("schema", Answer(body={"methods": [{"name": "", "input": {"type": "object"}}]}))
    with pytest.raises(errors.InvalidInputError, match=r"would refuse .* pass it as run\(input=…\)"):
        way(endpoint, {"input": "text", "n": 2}, check=True)


def test_the_same_key_is_the_same_job(way: Way) -> None:
    runs = []

    def handler(job: dict[str, Any]) -> object:
        runs.append(job["id"])
        return {"number": len(runs)}

    with embedded(handler) as endpoint:
        assert [way(endpoint, {"a": 1}, idempotency_key="k") for _ in "12"] == [{"number": 1}] * 2
        assert way(endpoint, {"a": 1}, idempotency_key="other") == {"number": 2}
