"""What is refused before anything is sent, and what other answers a gateway may have."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import requests

import novita_sdk
from novita_gateway import Gateway
from novita_sdk import Client, Endpoint, RequestEvent, errors
from tests.support.scripted_gateway import Answer, ScriptedGateway
from tests.support.twin import ClientMaker


def client_of(
    scripted: ScriptedGateway,
    make_client: ClientMaker,
    *,
    timeout: float = 10.0,
    on_request: Sequence[Callable[[RequestEvent], None]] = (),
) -> Client:
    return make_client(base_url=scripted.url, retry_budget=0.3, timeout=timeout, on_request=on_request)


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


def test_a_gateway_that_is_not_there(make_client: ClientMaker) -> None:
    client = make_client(base_url="http://127.0.0.1:9/v1", retry_budget=0.2)
    with pytest.raises(errors.TransportError, match="NOVITA_ENDPOINT_BASE_URL") as raised:
        client.endpoint("x").run({})
    assert isinstance(raised.value, requests.ConnectionError)
    assert not isinstance(raised.value, errors.SubmitUncertainError)
    assert "refused" in str(raised.value).lower() or "111" in str(raised.value)


def test_a_host_that_does_not_exist(make_client: ClientMaker) -> None:
    with pytest.raises(errors.TransportError, match=r"host\.invalid"):
        make_client(base_url="http://host.invalid/v1", retry_budget=0.0).endpoint("x").health()


HTML = b"<!doctype html><title>Sign in</title>"


def test_html_where_json_belongs(scripted: ScriptedGateway, make_client: ClientMaker) -> None:
    scripted.script("health", Answer(body=HTML, headers={"Content-Type": "text/html; charset=utf-8"}))
    with pytest.raises(errors.ProtocolError, match=r"it is text/html: '<!doctype html>.*base URL") as raised:
        client_of(scripted, make_client).endpoint("x").health()
    assert isinstance(raised.value, requests.JSONDecodeError)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b'{"id": 7}',
        b'{"status": "PENDING"}',
        b"\xff",
        b'{"id": ""}',
        b'{"id": "a/b"}',
        b'{"id": ".."}',
        b'{"id": "\\u0000"}',
        b'{"id": "%s"}' % (b"x" * 256),
    ],
)
def test_a_submit_that_answers_without_a_job_id(
    scripted: ScriptedGateway, make_client: ClientMaker, body: bytes
) -> None:
    scripted.script("run", Answer(body=body, headers={"Content-Type": "application/json"}))
    scripted.script("health", Answer(body={}))
    with pytest.raises(errors.ProtocolError, match="submit to endpoint x"):
        client_of(scripted, make_client).endpoint("x").run({})
    assert len(scripted.calls("run")) == 1


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"id": "j"}', b'{"id": "j", "status": 7}', b'{"id":"j","status":""}']
)
def test_a_state_that_is_none(scripted: ScriptedGateway, make_client: ClientMaker, body: bytes) -> None:
    scripted.script("status", Answer(body=body, headers={"Content-Type": "application/json"}))
    with pytest.raises(errors.ProtocolError, match="read the state of job j of endpoint x"):
        client_of(scripted, make_client).endpoint("x").job("j").status()


KIND = {"Content-Type": "application/json"}
CUT_OFF = b"HTTP/1.1 200 OK\r\nContent-Type: applic"


@pytest.mark.parametrize(
    "answer",
    [Answer(body=body, headers=KIND) for body in (b"", b"[]", b"null")] + [Answer(fault="raw", body=CUT_OFF)],
)
@pytest.mark.parametrize(
    ("route", "call"),
    [
        ("health", lambda endpoint: endpoint.health()),
        ("purge-queue", lambda endpoint: endpoint.purge_queue()),
        ("cancel", lambda endpoint: endpoint.job("j").cancel()),
        ("retry", lambda endpoint: endpoint.job("j").retry()),
        ("status", lambda endpoint: endpoint.job("j").info()),
        ("requests", lambda endpoint: list(endpoint.jobs())),
    ],
)
def test_an_answer_that_is_no_object_is_no_success(
    scripted: ScriptedGateway,
    make_client: ClientMaker,
    route: str,
    call: Callable[[Endpoint], object],
    answer: Answer,
) -> None:
    scripted.script(route, answer)
    with pytest.raises((errors.ProtocolError, errors.TransportError)):
        call(client_of(scripted, make_client).endpoint("x"))


def test_an_output_that_only_python_takes_for_json_is_delivered(
    scripted: ScriptedGateway, make_client: ClientMaker
) -> None:
    output = b'{"loss": [NaN, -Infinity], "text": "\\ud800", "seed": 1125899906842624123}'
    scripted.script("status", Answer(body=b'{"id":"j","status":"COMPLETED","output":%b}' % output, headers=KIND))
    scripted.script("stream", Answer(body=b'{"status":"COMPLETED","stream":[{"output":%b}]}' % output, headers=KIND))
    scripted.script("requests", Answer(body=b'{"jobs":[{"id":"j","status":"COMPLETED","output":NaN}]}', headers=KIND))
    endpoint = client_of(scripted, make_client).endpoint("x")
    said = repr({"loss": [float("nan"), float("-inf")], "text": "\ud800", "seed": 1125899906842624123})
    assert repr(endpoint.job("j").output(timeout=60)) == said
    assert repr(next(iter(endpoint.job("j").stream(timeout=60)))) == said
    assert [info.status for info in endpoint.jobs()] == ["COMPLETED"]


@pytest.mark.parametrize("offer", ["9" * 5000, "9" * 18])
def test_an_offer_to_park_for_ever_is_taken_for_an_hour(
    scripted: ScriptedGateway, make_client: ClientMaker, offer: str
) -> None:
    scripted.script(
        "status",
        Answer(body={"id": "j", "status": "IN_PROGRESS"}, headers={"Novita-Long-Poll": offer}),
        Answer(body={"id": "j", "status": "COMPLETED"}, headers={"Novita-Long-Poll": offer}),
    )
    client_of(scripted, make_client).endpoint("x").job("j").wait()
    assert [call.query for call in scripted.calls("status")] == [{}, {"wait": "3600000"}]


def test_an_endless_timeout_is_one(scripted: ScriptedGateway, make_client: ClientMaker) -> None:
    scripted.script("health", Answer(body={}))
    scripted.script("status", Answer(body={"id": "j", "status": "COMPLETED"}))
    endpoint = client_of(scripted, make_client, timeout=float("inf")).endpoint("x")
    assert endpoint.health(timeout=float("inf")) == {}
    assert endpoint.job("j").output(timeout=float("inf")) is None


def test_a_state_that_nobody_knows_is_handed_out_and_not_final(
    scripted: ScriptedGateway, make_client: ClientMaker
) -> None:
    scripted.script(
        "status", Answer(body={"id": "j", "status": "PONDERING"}), Answer(body={"id": "j", "status": "COMPLETED"})
    )
    job = client_of(scripted, make_client).endpoint("x").job("j")
    assert job.status() == "PONDERING"
    assert job.status() == "COMPLETED"


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (301, errors.APIError, "redirects"),
        (400, errors.InvalidInputError, "refused it"),
        (401, errors.AuthenticationError, "does not accept the API key"),
        (404, errors.NotFoundError, "knows no such endpoint"),
        (409, errors.ConflictError, "refused it"),
        (413, errors.PayloadTooLargeError, "object storage"),
        (418, errors.APIError, "refused it"),
        (422, errors.InvalidInputError, "refused it"),
        (429, errors.RateLimitError, "lower the concurrency"),
        (500, errors.ServerError, "Try again later"),
        (502, errors.ServerError, "Try again later"),
        (503, errors.ServerError, "Try again later"),
        (504, errors.ServerError, "Try again later"),
    ],
)
@pytest.mark.parametrize("body", [HTML, b'{"code": "SPECIAL", "message": "because"}', b""])
def test_an_answer_that_is_a_refusal(
    scripted: ScriptedGateway,
    make_client: ClientMaker,
    status: int,
    error: type[errors.APIError],
    said: str,
    body: bytes,
) -> None:
    scripted.script("run", Answer(status=status, body=body, headers={"Location": "https://elsewhere"}))
    scripted.script("health", Answer(body={}))
    with pytest.raises(error, match=said) as raised:
        client_of(scripted, make_client).endpoint("x").run({})
    assert type(raised.value) is error
    assert issubclass(error, requests.HTTPError)
    assert raised.value.status == status
    assert raised.value.response is not None
    assert raised.value.response.status_code == status
    assert raised.value.response.content == body
    if b"SPECIAL" in body:
        assert raised.value.code == "SPECIAL"
        assert "because" in str(raised.value)
    assert "test-key" not in repr(vars(raised.value))
    # A submit that may have been acted on is not repeated; a 429 promises that it was not, and is as the budget allows.
    assert len(scripted.calls("run")) == 1 or status == 429


@pytest.mark.parametrize(
    ("body", "error", "reason", "said"),
    [
        (
            b'{"code":403,"reason":"NOT_ENOUGH_BALANCE","message":"not enough balance","metadata":{}}',
            errors.PermissionDeniedError,
            "NOT_ENOUGH_BALANCE",
            r"Check the balance .* The gateway says: not enough balance \(NOT_ENOUGH_BALANCE\)",
        ),
        (
            b'{"code": "FORBIDDEN", "message": "not your endpoint"}',
            errors.PermissionDeniedError,
            None,
            "may do there. The gateway says: not your endpoint",
        ),
        (
            b'{"code":403,"reason":"INVALID_API_KEY","message":"no such thing","metadata":{}}',
            errors.AuthenticationError,
            "INVALID_API_KEY",
            r"Check whose key it is .* no such thing \(INVALID_API_KEY\)",
        ),
        (b'{"detail": "Invalid token."}', errors.AuthenticationError, None, "whose key it is .* Invalid token"),
        (HTML, errors.PermissionDeniedError, None, "proxy or firewall .* base URL .*not of the API, and says: Sign in"),
        (b"RBAC: access denied", errors.PermissionDeniedError, None, "proxy or firewall .* RBAC: access denied"),
        (b"", errors.AuthenticationError, None, "may not do this .* whose key it is and the endpoint's owner"),
    ],
)
def test_a_403_is_told_by_what_its_body_says(
    scripted: ScriptedGateway, make_client: ClientMaker, body: bytes, error: type, reason: str | None, said: str
) -> None:
    scripted.script("run", Answer(status=403, body=body))
    with pytest.raises(error, match=said) as raised:
        client_of(scripted, make_client).endpoint("x").run({})
    assert type(raised.value) is error
    assert isinstance(raised.value, errors.AuthenticationError)
    assert (raised.value.code, raised.value.reason) == ("FORBIDDEN", reason)


def test_a_refusal_for_want_of_payment_says_so(scripted: ScriptedGateway, make_client: ClientMaker) -> None:
    scripted.script("run", Answer(status=402, body={"error": {"message": "no funds left"}}))
    with pytest.raises(errors.APIError, match=r"Check the balance .* no funds left"):
        client_of(scripted, make_client).endpoint("x").run({})


@pytest.mark.parametrize("status", [200, 403, 500])
def test_an_answer_that_repeats_the_key_is_quoted_without_it(
    scripted: ScriptedGateway, make_client: ClientMaker, status: int
) -> None:
    kind = {"Content-Type": "text/plain"}
    scripted.script("health", Answer(status=status, body=b"who is \x1b[2Jtest-key?", headers=kind))
    with pytest.raises(errors.NovitaError, match=r"who is  ?\[2J\*\*\*") as raised:
        client_of(scripted, make_client).endpoint("x").health()
    assert "test-key" not in str(raised.value)


def test_an_error_names_the_request(scripted: ScriptedGateway, make_client: ClientMaker) -> None:
    scripted.script("health", Answer(status=400, body={}))
    with pytest.raises(errors.APIError) as raised:
        client_of(scripted, make_client).endpoint("x").health()
    sent = scripted.seen[0].headers["x-request-id"]
    assert raised.value.request_id == sent
    assert sent in str(raised.value)


def test_an_error_names_the_request_as_the_gateway_calls_it(
    scripted: ScriptedGateway, make_client: ClientMaker
) -> None:
    scripted.script("health", Answer(status=400, body={}, headers={"X-Request-ID": "theirs"}))
    with pytest.raises(errors.APIError) as raised:
        client_of(scripted, make_client).endpoint("x").health()
    assert raised.value.request_id == "theirs"
