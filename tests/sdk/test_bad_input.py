"""What is refused before anything is sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

import novita_sdk
from novita_gateway import Gateway
from novita_sdk import Client, errors
from tests.support.scripted_gateway import Answer, ScriptedGateway
from tests.support.twin import ClientMaker, client_of


@pytest.mark.parametrize("cls", [novita_sdk.Client, novita_sdk.AsyncClient])
def test_no_api_key(cls: type) -> None:
    with pytest.raises(RuntimeError, match="Pass api_key=… or set NOVITA_API_KEY") as raised:
        cls()
    assert isinstance(raised.value, errors.AuthenticationError)


def test_the_environment_fills_in_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVITA_API_KEY", "k")
    assert novita_sdk.Client().base_url == "https://async-public.serverless.novita.ai/v1"
    monkeypatch.setenv("NOVITA_ENDPOINT_BASE_URL", "http://localhost:1/v1/")
    assert novita_sdk.Client().base_url == "http://localhost:1/v1"
    assert novita_sdk.Client(base_url="http://localhost:2/v1").base_url == "http://localhost:2/v1"


@pytest.mark.parametrize("key", ["k\u2603y", "line\nbreak", "tab\tbed"])
def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(errors.AuthenticationError, match="copy it again") as raised:
        novita_sdk.Client(api_key=key)
    assert key not in str(raised.value)


def test_a_key_is_not_shown_by_any_repr(gateway: Gateway) -> None:
    client = novita_sdk.Client(api_key="very-secret")
    job = client.endpoint("x").job("j")
    shown = repr((client, vars(client), client.endpoint("x"), job, vars(job)))
    assert "very-secret" not in shown


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://host/v1", "http://", "http://host/v1?x=1", "http://a b/v1"]
)
def test_a_base_url_that_is_none(url: str) -> None:
    with pytest.raises(errors.InvalidInputError, match="is no base URL"):
        novita_sdk.Client(api_key="k", base_url=url)


@pytest.mark.parametrize("url", ["http://user:pass@host/v1", "http://pass@host/v1", "ftp://user:pass@host"])
def test_a_base_url_with_a_password_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(errors.InvalidInputError, match="must not hold a user or a password") as raised:
        novita_sdk.Client(api_key="k", base_url=url)
    assert "pass@" not in str(raised.value)


@pytest.mark.parametrize("key", ["", " ", " a", "a ", "a\nb", "\u2603", "x" * 256, 7])
def test_a_key_that_can_not_make_a_submit_unique_is_refused(
    scripted: ScriptedGateway, make_client: ClientMaker, key: Any
) -> None:
    with pytest.raises(errors.InvalidInputError, match="idempotency_key must be"):
        client_of(scripted, make_client).endpoint("x").run({}, idempotency_key=key)
    assert scripted.seen == []


@pytest.mark.parametrize("key", ["k", "order 17", "x" * 255])
def test_any_other_key_is_sent(scripted: ScriptedGateway, make_client: ClientMaker, key: str) -> None:
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}))
    client_of(scripted, make_client).endpoint("x").run({}, idempotency_key=key)
    assert [request.headers["idempotency-key"] for request in scripted.seen] == [key]


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_call_without_time_is_refused(scripted: ScriptedGateway, make_client: ClientMaker, timeout: float) -> None:
    endpoint = client_of(scripted, make_client).endpoint("x")
    for call in (partial(endpoint.run, {}, timeout=timeout), partial(endpoint.job("j").cancel, timeout=timeout)):
        with pytest.raises(errors.InvalidInputError, match="timeout must be positive"):
            call()
    assert scripted.seen == []


def test_a_hooks_header_that_can_not_be_sent_is_refused(scripted: ScriptedGateway, make_client: ClientMaker) -> None:
    def add(event: novita_sdk.RequestEvent) -> None:
        event.headers["X-Mine"] = "a\nb"

    with pytest.raises(errors.InvalidInputError, match="can't be called"):
        client_of(scripted, make_client, on_request=[add]).endpoint("x").health()
    assert scripted.seen == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/v1", f"http://{'a' * 70}.com/v1"])
def test_a_host_that_can_not_exist_is_refused_at_once(make_client: ClientMaker, url: str) -> None:
    begin = time.monotonic()
    with pytest.raises((errors.InvalidInputError, errors.TransportError)):
        make_client(base_url=url, retry_budget=0.0).endpoint("x").health()
    assert time.monotonic() - begin < 30  # a host name is looked up in the network for longer


@pytest.mark.parametrize("timeout", ["soon", object(), timedelta(seconds=3), float("nan")])
def test_a_wait_for_no_number_of_seconds_is_refused(
    scripted: ScriptedGateway, make_client: ClientMaker, timeout: Any
) -> None:
    job = client_of(scripted, make_client).endpoint("x").job("j")
    for call in (
        job.output,
        job.wait,
        lambda timeout: list(job.updates(timeout)),
        lambda timeout: list(job.stream(timeout)),
    ):
        with pytest.raises(errors.InvalidInputError, match="timeout must be a number of seconds"):
            call(timeout)
    assert scripted.seen == []


@pytest.mark.parametrize("word", ["failed", "Failed", "timed out", "in-progress"])
def test_jobs_are_listed_by_a_state_in_any_spelling(
    scripted: ScriptedGateway, make_client: ClientMaker, word: str
) -> None:
    scripted.script("requests", Answer(body={"jobs": []}))
    assert list(client_of(scripted, make_client).endpoint("x").jobs(status=word)) == []
    assert scripted.seen[0].query["status"] == word.upper().replace(" ", "_").replace("-", "_")


@pytest.mark.parametrize("word", ["canceled", "", "RUNNING", 7])
def test_jobs_in_a_state_that_is_none_are_not_asked_for(
    scripted: ScriptedGateway, make_client: ClientMaker, word: Any
) -> None:
    with pytest.raises(errors.InvalidInputError, match="the states are PENDING, IN_QUEUE"):
        list(client_of(scripted, make_client).endpoint("x").jobs(status=word))
    assert scripted.seen == []


def test_a_number_that_is_none() -> None:
    with pytest.raises(errors.InvalidInputError, match="timeout must be a number, not str"):
        Client(api_key="k", timeout="soon")  # type: ignore[arg-type]  # as code without a type checker has it


@pytest.mark.parametrize(
    "make",
    [partial(Client, timeout=0), partial(Client, max_connections=0), partial(Client, retry_budget=-1)],
    ids=["timeout", "max_connections", "retry_budget"],
)
def test_numbers_that_make_no_sense(make: Callable[..., Client]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        make(api_key="k")


@pytest.mark.parametrize("name", ["", "a/b", "a b", "..", "a?b", "a%2Fb", "naïve", None, 7])
def test_an_endpoint_name_that_no_url_can_hold(make_client: ClientMaker, name: Any) -> None:
    with pytest.raises(errors.InvalidInputError, match="endpoint name"):
        make_client().endpoint(name)


@pytest.mark.parametrize("job_id", ["", "a/b", None])
def test_a_job_id_that_no_url_can_hold(make_client: ClientMaker, job_id: Any) -> None:
    with pytest.raises(errors.InvalidInputError, match="job id"):
        make_client().endpoint("x").job(job_id)


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", '{"job_id": "j"}'])
def test_a_text_that_is_no_job(text: str) -> None:
    with pytest.raises(errors.InvalidInputError, match=r"Job\.to_string"):
        novita_sdk.Job.from_string(text, novita_sdk.Client(api_key="k"))


def cycle() -> dict[str, object]:
    value: dict[str, object] = {}
    value["again"] = value
    return value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": [1, {"b": object()}]}, r"input\.a\[1\]\.b is of type object"),
        ({"a": {"b": b"raw"}}, r"input\.a\.b is bytes"),
        ({"a": float("nan")}, r"input\.a is nan"),
        ([float("inf")], r"input\[0\] is inf"),
        ({(1, 2): 3}, "a tuple; JSON keys are strings"),
        ("\ud800", "lone surrogate"),
        (cycle(), "cycles"),
        ({"input": {"a": object()}}, r"input\.a is of type object"),
        ({"input": 1, "policy": {"executionTimeout": "soon"}}, "must be an integer"),
    ],
)
def test_an_input_that_json_can_not_hold(
    scripted: ScriptedGateway, make_client: ClientMaker, value: object, said: str
) -> None:
    with pytest.raises(errors.InvalidInputError, match=said) as raised:
        client_of(scripted, make_client).endpoint("x").run(value)
    assert isinstance(raised.value, (ValueError, TypeError))
    assert scripted.seen == []


def test_an_input_over_the_limit(scripted: ScriptedGateway, make_client: ClientMaker) -> None:
    endpoint = client_of(scripted, make_client).endpoint("x")
    with pytest.raises(errors.PayloadTooLargeError, match=r"4,194,305 bytes of JSON; the limit is 4,194,304"):
        endpoint.run("x" * (4 * 1024 * 1024 - 1))
    assert scripted.seen == []
