"""The platform is reached over TLS, with the same retries and the certificates that the user's environment names."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from novita_sdk import errors

VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def no_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


class Server(ThreadingHTTPServer):
    """Fails twice, then answers."""

    seen = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of handshakes that clients break off."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.seen += 1
        self.send_response(503 if self.server.seen < 3 else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with Server(("127.0.0.1", 0), Handler) as server:
        # Not at accept, where one client's handshake would hold up the others.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("variable", VARIABLES)
def test_reads_are_repeated_over_tls_too(
    server: Server,
    make_client: Callable[..., Any],
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, str(certificate))
    client = make_client(base_url=f"https://127.0.0.1:{server.server_port}/v1", retry_budget=30.0)
    assert client.endpoint("x").health() == {}
    assert server.seen == 3


# asyncio leaves the transport of a TLS handshake that the peer broke off to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_certificate_that_nobody_vouches_for_gets_no_key(server: Server, make_client: Callable[..., Any]) -> None:
    client = make_client(base_url=f"https://127.0.0.1:{server.server_port}/v1", retry_budget=0.2)
    with pytest.raises(errors.TransportError, match="certificate verify failed"):
        client.endpoint("x").run({})
    assert server.seen == 0
