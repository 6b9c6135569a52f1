"""The way to the platform, by TLS and proxies, of the worker and of its heartbeat, an HTTP client by itself."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from tests.support.certificates import server_context
from tests.support.forward_proxy import forward_proxy
from tests.support.worker_gateway import WorkerGateway
from tests.support.worker_process import Spawn

# asyncio leaves the transport of a TLS handshake that the peer broke off to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

WORKER = 'start({"handler": lambda job: job["input"]})'


def test_jobs_and_pings_go_over_tls(spawn: Spawn, certificate: Path) -> None:
    with WorkerGateway(server_context(certificate)) as gateway:
        spawn(WORKER, environ={**gateway.environ(), "SSL_CERT_FILE": str(certificate)})
        assert gateway.result(gateway.submit({"a": 1})) == {"output": {"a": 1}}
        gateway.wait_for(lambda: gateway.of("ping"))


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_certificates_of_the_environment_count(spawn: Spawn, certificate: Path, name: str) -> None:
    with WorkerGateway(server_context(certificate)) as gateway:
        worker = spawn(WORKER, environ={**gateway.environ(), name: f"{certificate}\r"})
        assert gateway.result(gateway.submit(1)) == {"output": 1}
        gateway.wait_for(lambda: gateway.of("ping"))
        worker.end()


def test_a_certificate_that_is_not_there_is_named(spawn: Spawn) -> None:
    with WorkerGateway() as gateway:
        environ = {key: value.replace("http:", "https:") for key, value in gateway.environ().items()}
        worker = spawn(WORKER, environ={**environ, "REQUESTS_CA_BUNDLE": "/nowhere/ca.pem"})
        assert worker.wait() == 1
        assert "REQUESTS_CA_BUNDLE names '/nowhere/ca.pem', and there is no such file" in worker.stderr


@pytest.mark.parametrize("is_tls", [False, True])
def test_jobs_and_pings_go_through_the_proxy_of_the_environment(spawn: Spawn, certificate: Path, is_tls: bool) -> None:
    with (
        WorkerGateway(server_context(certificate) if is_tls else None) as gateway,
        forward_proxy(gateway.port) as proxy,
    ):
        environ = {name: value.replace("127.0.0.1", "gateway.test") for name, value in gateway.environ().items()}
        ways = {"http_proxy": proxy.url, "https_proxy": proxy.url, "SSL_CERT_FILE": str(certificate)}
        worker = spawn(WORKER, environ={**environ, **ways})
        assert gateway.result(gateway.submit(1)) == {"output": 1}
        gateway.wait_for(lambda: len(gateway.of("ping")) > 1)
        assert {head.split()[0] for head in proxy.heads} == ({"CONNECT"} if is_tls else {"GET", "POST"})
        assert all("gateway.test" in head.splitlines()[0] for head in proxy.heads)
        assert all("proxy-authorization: basic dxnlcjpwqhnz" in head.lower() for head in proxy.heads)
        worker.end()


@pytest.mark.parametrize("by_proxy", [False, True])
@pytest.mark.parametrize("has_uvloop", [True, False])
def test_a_worker_ends_cleanly_before_a_gateway_that_says_no_goodbye(
    spawn: Spawn, certificate: Path, has_uvloop: bool, by_proxy: bool
) -> None:
    script = WORKER if has_uvloop else f"import sys\nsys.modules['uvloop'] = None\n{WORKER}"
    with WorkerGateway(server_context(certificate)) as gateway, forward_proxy(gateway.port) as proxy:
        host = "gateway.test" if by_proxy else "127.0.0.1"
        environ = {name: value.replace("127.0.0.1", host) for name, value in gateway.environ().items()}
        worker = spawn(script, environ={**environ, "https_proxy": proxy.url, "SSL_CERT_FILE": str(certificate)})
        gateway.park = 0.5
        assert gateway.result(gateway.submit(1)) == {"output": 1}
        gateway.wait_for(lambda: gateway.parked > 0)
        with gateway.standing_still():
            worker.end()
        assert [line for line in worker.stderr.splitlines() if "INFO" not in line] == []


@pytest.mark.parametrize("host", ["127.0.0.1", "gateway.test"])
def test_no_proxy_is_asked_for_this_machine_or_for_what_is_left_out(spawn: Spawn, host: str) -> None:
    with WorkerGateway() as gateway, forward_proxy(gateway.port) as proxy:
        environ = {name: value.replace("127.0.0.1", host) for name, value in gateway.environ().items()}
        worker = spawn(WORKER, environ={**environ, "http_proxy": proxy.url, "no_proxy": ".test"})
        if host == "127.0.0.1":
            assert gateway.result(gateway.submit(1)) == {"output": 1}
            gateway.wait_for(lambda: gateway.of("ping"))
        else:  # which nobody knows but the proxy
            worker.wait_for_log("asking for jobs failed")
            worker.wait_for_log("a ping failed")
        assert proxy.heads == []
        worker.end()


def test_a_certificate_that_nobody_vouches_for_gets_no_key(spawn: Spawn, certificate: Path) -> None:
    with WorkerGateway(server_context(certificate)) as gateway:
        worker = spawn(WORKER, environ=gateway.environ())
        worker.wait_for_log("certificate verify failed")
        assert gateway.requests == []
        worker.end()
    gc.collect()
