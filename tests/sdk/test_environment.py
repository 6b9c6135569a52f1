"""What of the user's environment counts: proxies and their exceptions do, the passwords of ~/.netrc don't."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

import novita_sdk
from novita_sdk import errors
from novita_sdk.files import File
from novita_testing import embedded
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


def test_a_proxy_is_passed_by_where_no_proxy_says_so(make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", DEAD)
    monkeypatch.setenv("no_proxy", "gateway.invalid")
    client = make_client(base_url="http://gateway.invalid/v1", retry_budget=0)
    with pytest.raises(errors.TransportError) as raised:
        client.endpoint("x").health()
    assert "proxy" not in str(raised.value)


@pytest.mark.parametrize("variable", PROXY_VARIABLES[:3])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_proxy_is_asked_for_this_machine(
    healthy: ScriptedGateway, make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch, host: str, variable: str
) -> None:
    monkeypatch.setenv(variable, DEAD)
    client = make_client(base_url=healthy.url.replace("127.0.0.1", host), retry_budget=0)
    assert client.endpoint("x").health() == {"ok": True}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_error_behind_a_proxy_names_it_without_its_password(
    make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", DEAD.replace("//", "//user:secret@"))
    client = make_client(base_url=f"{scheme}://gateway.invalid/v1", retry_budget=0.1)
    with pytest.raises(errors.TransportError, match=f"through the proxy {DEAD}\\)") as raised:
        client.endpoint("x").health()
    assert "secret" not in str(raised.value)


def test_what_a_proxy_refuses_is_told_with_its_name(
    healthy: ScriptedGateway, make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = healthy.url.removesuffix("/v1")
    monkeypatch.setenv("http_proxy", proxy)
    healthy.script("health", Answer(status=403, body=b"<html>not today</html>"))
    with pytest.raises(errors.APIError, match=f"through the proxy {proxy}"):
        make_client(base_url="http://gateway.invalid/v1").endpoint("x").health()


def test_the_proxy_of_a_session_of_ones_own_is_named() -> None:
    with requests.Session() as session:
        session.proxies = {"http": DEAD}
        client = novita_sdk.Client(api_key="k", base_url="http://gateway.invalid/v1", session=session, retry_budget=0)
        with pytest.raises(errors.TransportError, match=f"through the proxy {DEAD}"):
            client.endpoint("x").health()


def test_files_go_past_the_proxy_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in PROXY_VARIABLES[:3]:
        monkeypatch.setenv(variable, DEAD)

    def handler(job: dict[str, object]) -> object:
        value = job["input"]
        file = File.of(value["file"]) if isinstance(value, dict) else None
        assert file is not None
        return File.from_bytes(file.read() * 2, name="b.txt")

    with embedded(handler) as endpoint:
        assert endpoint.run_sync({"file": File.from_bytes(b"ab", name="a.txt")}, timeout=20).read() == b"abab"


def test_the_environment_is_not_searched_at_every_request(
    healthy: ScriptedGateway, make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", healthy.url.removesuffix("/v1"))
    endpoint = make_client(base_url="http://gateway.invalid/v1").endpoint("x")
    endpoint.health()
    monkeypatch.setenv("http_proxy", DEAD)
    assert endpoint.health() == {"ok": True}
