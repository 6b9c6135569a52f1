"""The platform is reached over TLS, with the same retries and the certificates that the user's environment names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from novita_sdk import errors
from tests.support.certificates import server_context
from tests.support.twin import ClientMaker
from tests.support.web import serve_handler

VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def no_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@dataclass
class Server:
    """Fails twice, then answers."""

    url: str = ""
    seen: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.seen += 1
        return web.json_response({}, status=503 if self.seen < 3 else 200)


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    server = Server()
    with serve_handler(server.handle, server_context(certificate)) as url:
        server.url = f"{url}/v1"
        yield server


@pytest.mark.parametrize("variable", VARIABLES)
def test_reads_are_repeated_over_tls_too(
    server: Server,
    make_client: ClientMaker,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, str(certificate))
    client = make_client(base_url=server.url, retry_budget=30.0)
    assert client.endpoint("x").health() == {}
    assert server.seen == 3


# asyncio leaves the transport of a TLS handshake that the peer broke off to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_certificate_that_nobody_vouches_for_gets_no_key(server: Server, make_client: ClientMaker) -> None:
    client = make_client(base_url=server.url, retry_budget=0.2)
    with pytest.raises(errors.TransportError, match=r"certificate verify failed.*SSL_CERT_FILE or REQUESTS_CA_BUNDLE"):
        client.endpoint("x").run({})
    assert server.seen == 0
