"""What an answer of a gateway, or of what stands before it, may be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests

from novita_sdk import Endpoint, errors
from tests.support.scripted_gateway import Answer, ScriptedGateway
from tests.support.twin import ClientMaker, client_of


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
