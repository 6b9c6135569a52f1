"""The platform is reached over TLS: by the worker, and by its heartbeat, which has an HTTP client of its own."""

from __future__ import annotations

import datetime
import gc
import ipaddress
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

WORKER = 'start({"handler": lambda job: job["input"]})'


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(hours=1))
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = builder.add_extension(addresses, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "gateway.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return path


def test_jobs_and_pings_go_over_tls(scripted: Any, spawn: Any, certificate: Path) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    with scripted(tls) as gateway:
        spawn(WORKER, environ={**gateway.environ(), "SSL_CERT_FILE": str(certificate)})
        assert gateway.result(gateway.submit({"a": 1})) == {"output": {"a": 1}}
        gateway.wait_for(lambda: gateway.of("ping"))


# asyncio leaves the transport of a TLS handshake that the peer broke off to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_certificate_that_nobody_vouches_for_gets_no_key(scripted: Any, spawn: Any, certificate: Path) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    with scripted(tls) as gateway:
        worker = spawn(WORKER, environ=gateway.environ())
        worker.wait_for_log("certificate verify failed")
        assert gateway.requests == []
    gc.collect()
