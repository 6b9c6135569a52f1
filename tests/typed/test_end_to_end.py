"""Typed clients and typed workers over a real gateway, and plain ones on either side."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from types import ModuleType

import pytest
import requests

from novita_gateway import Gateway
from novita_sdk import Client, InvalidInputError, JobFailedError
from novita_sdk.typed import OutputError
from tests.support.typed_workers import Serve


@dataclass
class Sum:
    numbers: list[int]


@dataclass
class Total:
    total: int


@pytest.mark.parametrize("kind", ["annotated", "service"])
def test_a_typed_client_gets_a_message_and_a_plain_one_plain_json(serve: Serve, shop: ModuleType, kind: str) -> None:
    endpoint = serve(kind)
    client = importlib.import_module("shop.v1.draw_service_novita").DrawClient(endpoint)
    job = client.draw(shop.Draw(prompt="apple", width=64, seed=2**60))
    drawn = job.output(timeout=60)
    assert isinstance(drawn, shop.Drawn)
    assert drawn.images[0].url == f"apple/{2**60}"
    plain = endpoint.run({"prompt": "pear", "width": 64, "seed": 7}).output(timeout=60)
    assert plain["images"][0]["url"] == "pear/7"
    assert (
        endpoint.run({"prompt": "fig", "width": 64}, output_type=shop.Drawn).output(timeout=60).images[0].url == "fig/0"
    )


def test_a_bad_request_is_refused_before_anything_is_sent(shop: ModuleType) -> None:
    with Client(api_key="k", base_url="http://127.0.0.1:9") as client, pytest.raises(InvalidInputError) as caught:
        client.endpoint("draw").run(shop.Draw(prompt="", width=8))
    assert [(item.field, item.rule, item.value) for item in caught.value.violations] == [
        ("prompt", "string.min_len", ""),
        ("width", "int32.gte_lte", 8),
    ]


def test_a_bad_input_fails_the_job_with_its_violations_and_no_handler_time(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(JobFailedError) as caught:
        serve("annotated").run({"prompt": "", "width": 8, "layers": []}).output(timeout=60)
    assert caught.value.code == "INVALID_INPUT"
    assert [(item.field, item.rule) for item in caught.value.violations] == [
        ("prompt", "string.min_len"),
        ("width", "int32.gte_lte"),
    ]
    assert not caught.value.remote_traceback
    assert "handler called" not in capfd.readouterr().err


def test_a_bad_output_fails_the_job_with_its_violations(serve: Serve) -> None:
    with pytest.raises(JobFailedError) as caught:
        serve("annotated").run({"prompt": "nothing", "width": 64}).output(timeout=60)
    assert caught.value.code == "INVALID_OUTPUT"
    assert caught.value.violations[0].rule == "repeated.min_items"


def test_an_error_that_a_typed_handler_returns_is_the_error_of_the_job(serve: Serve) -> None:
    with pytest.raises(JobFailedError) as caught:
        serve("annotated").run({"prompt": "no paint", "width": 64}).output(timeout=60)
    assert caught.value.remote_message == "there is no paint"
    assert caught.value.output == {"left": 0}


def test_the_worker_chooses_what_happens_to_unknown_members(serve: Serve) -> None:
    value = {"prompt": "x", "width": 64, "new": 1}
    with pytest.raises(JobFailedError) as caught:
        serve("annotated").run(value).output(timeout=60)
    assert caught.value.violations[0].rule == "unknown_field"
    assert serve("annotated", unknown_fields="ignore").run(value).output(timeout=60)["images"]


def test_a_streaming_client_iterates_over_messages(serve: Serve, shop: ModuleType) -> None:
    client = importlib.import_module("shop.v1.talk_service_novita").TalkClient(serve("talk"))
    tokens = list(client.talk(shop.Draw(prompt="one two three", width=64)).job.stream(timeout=60))
    assert [token.text for token in tokens] == ["one", "two", "three"]
    assert all(isinstance(token, shop.Token) for token in tokens)


def test_dataclasses_are_contracts_too(serve: Serve) -> None:
    endpoint = serve("total")
    assert endpoint.run(Sum(numbers=[1, 2]), output_type=Total).output(timeout=60) == Total(total=3)
    with pytest.raises(OutputError):
        endpoint.run(Sum(numbers=[1]), output_type=Sum).output(timeout=60)


@pytest.mark.parametrize(
    "raw",
    ['{"named":' + '{"a":' * 300 + "1" + "}" * 301, json.dumps({f"unknown{number}": 1 for number in range(150_000)})],
)
def test_an_input_beyond_all_limits_fails_its_job_as_any_other(serve: Serve, gateway: Gateway, raw: str) -> None:
    """The sender may be another client than ours."""
    endpoint = serve("annotated")
    headers = {"Authorization": f"Bearer {gateway.api_key}"}
    url = f"{gateway.url}/{endpoint.endpoint_id}/run"
    answer = requests.post(url, data=f'{{"input":{raw}}}', headers=headers, timeout=60)
    with pytest.raises(JobFailedError) as caught:
        endpoint.job(answer.json()["id"]).output(timeout=120)
    assert caught.value.code == "INVALID_INPUT"
    assert caught.value.violations
