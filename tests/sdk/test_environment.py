"""What of the user's environment counts: proxies and their exceptions do, the passwords of ~/.netrc don't."""

from __future__ import annotations

from pathlib import Path

import pytest

from novita_sdk import errors
from tests.support.scripted_gateway import Answer, ScriptedGateway
from tests.support.twin import ClientMaker

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
DEAD = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def healthy(scripted: ScriptedGateway) -> ScriptedGateway:
    scripted.script("health", Answer(body={"ok": True}))
    return scripted


def test_a_netrc_does_not_replace_the_key(
    healthy: ScriptedGateway, make_client: ClientMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert make_client(base_url=healthy.url).endpoint("x").health() == {"ok": True}
    assert [request.headers["authorization"] for request in healthy.seen] == ["Bearer test-key"]


def test_a_proxy_is_used(healthy: ScriptedGateway, make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", healthy.url.removesuffix("/v1").replace("//", "//user:pass@"))
    client = make_client(base_url="http://gateway.invalid/v1")
    assert client.endpoint("x").health() == {"ok": True}
    (request,) = healthy.seen
    assert (request.headers["host"], request.path) == ("gateway.invalid", "/v1/x/health")
    assert request.headers["proxy-authorization"] == "Basic dXNlcjpwYXNz"
    assert request.headers["authorization"] == "Bearer test-key"


def test_a_proxy_is_passed_by_where_no_proxy_says_so(
    healthy: ScriptedGateway, make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", DEAD)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert make_client(base_url=healthy.url).endpoint("x").health() == {"ok": True}


def test_a_proxy_that_is_not_there_is_told_without_its_password(
    make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", DEAD.replace("//", "//user:secret@"))
    client = make_client(base_url="http://gateway.invalid/v1", retry_budget=0.1)
    with pytest.raises(errors.TransportError) as raised:
        client.endpoint("x").health()
    assert "secret" not in str(raised.value)


def test_the_environment_is_not_searched_at_every_request(
    healthy: ScriptedGateway, make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = make_client(base_url=healthy.url).endpoint("x")
    endpoint.health()
    monkeypatch.setenv("http_proxy", DEAD)
    assert endpoint.health() == {"ok": True}
