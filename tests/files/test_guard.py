from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NewConnectionError

from novita_sdk.files import ContentFolder, FetchPolicy, FileError, JobFiles
from novita_sdk.files._guard import GuardedSession
from novita_sdk.files._policy import is_public
from tests.support.file_servers import Site


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:db8::1",
        "fec0::1",
        "5f00::1",
        "64:ff9b:1::7f00:1",
        "::7f00:1",
        "::ffff:0:7f00:1",
        "2001:0:808:808::80ff:fffe",
    ],
)
def test_addresses_that_are_not_of_the_internet_are_told(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are_told(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_does_not_make_it_public(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for wrapped in (
        ipaddress.IPv6Address(0xFFFF << 32 | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80)),
    ):
        assert is_public(str(wrapped)) <= is_public(str(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/file",
        "http://localhost:{port}/file",
        "http://2130706433:{port}/file",
        "http://0x7f.1:{port}/file",
        "http://[::ffff:127.0.0.1]:{port}/file",
        "http://0:{port}/file",
        "http://user:pass@127.0.0.1:{port}/file",
    ],
)
def test_a_private_address_is_refused_however_it_is_spelled(site: Site, tmp_path: Path, url: str) -> None:
    port = site.url.rpartition(":")[2]
    with JobFiles(ContentFolder(tmp_path), FetchPolicy()) as files, pytest.raises(FileError) as caught:
        files.open(url.format(port=port))
    assert caught.value.code == "REFUSED"
    assert site.requests == []


def test_a_redirect_to_a_private_address_is_refused(site: Site, tmp_path: Path) -> None:
    port = site.url.rpartition(":")[2]
    site.answers = [site.status(302, Location=f"http://127.0.0.1:{port}/secret")]
    policy = FetchPolicy(allow_hosts=frozenset({f"localhost:{port}"}))
    with (
        JobFiles(ContentFolder(tmp_path), policy) as files,
        pytest.raises(
            FileError, match=r"not a public address; .* unless the worker's NOVITA_FETCH_ALLOW_HOSTS names it"
        ),
    ):
        files.open(f"http://localhost:{port}/file")
    assert len(site.requests) == 1


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """The answers that each look-up of a name gets, one after the other."""
    answers: dict[str, list[list[str]]] = {}
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        found = answers[host].pop(0) if host in answers else [host]
        return [entry for address in found for entry in real(address, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return answers


def test_a_name_is_looked_up_once_and_the_connection_goes_to_what_was_checked(
    site: Site, tmp_path: Path, names: dict[str, list[list[str]]]
) -> None:
    site.content = b"x"
    names["rebind.test"] = [["127.0.0.1"], ["10.0.0.1"]]
    port = site.url.rpartition(":")[2]
    with JobFiles(ContentFolder(tmp_path), FetchPolicy(allow_private=True)) as files:
        assert files.open(f"http://rebind.test:{port}/").read_bytes() == b"x"
    assert names["rebind.test"] == [["10.0.0.1"]]


def test_a_name_that_changes_its_address_between_attempts_is_checked_again(
    site: Site, tmp_path: Path, names: dict[str, list[list[str]]]
) -> None:
    names["rebind.test"] = [["8.8.8.8"], ["127.0.0.1"]]
    port = site.url.rpartition(":")[2]

    class FirstUnreachable(FetchPolicy):
        def allows(self, host: str, port: int, address: str) -> bool:
            if address == "8.8.8.8":
                raise NewConnectionError(HTTPConnection(host, port), "no way there from a test")
            return super().allows(host, port, address)

    with JobFiles(ContentFolder(tmp_path), FirstUnreachable()) as files, pytest.raises(FileError) as caught:
        files.open(f"http://rebind.test:{port}/")
    assert caught.value.code == "REFUSED"
    assert site.requests == []


def test_every_address_of_a_name_is_tried(site: Site, tmp_path: Path, names: dict[str, list[list[str]]]) -> None:
    site.content = b"x"
    # Nobody listens at the first.
    names["two.test"] = [["127.0.0.2", "127.0.0.1"]]
    port = site.url.rpartition(":")[2]
    with JobFiles(ContentFolder(tmp_path), FetchPolicy(allow_private=True)) as files:
        assert files.open(f"http://two.test:{port}/").read_bytes() == b"x"


def test_allowed_hosts_are_fetched_from(site: Site, tmp_path: Path) -> None:
    site.content = b"x"
    port = site.url.rpartition(":")[2]
    for policy in (FetchPolicy(allow_private=True), FetchPolicy(allow_hosts=frozenset({"127.0.0.1"}))):
        with JobFiles(ContentFolder(tmp_path), policy) as files:
            assert files.open(f"http://127.0.0.1:{port}/a/b%20c.png?x=1").name == "b c.png"


def test_a_proxy_of_the_environment_is_not_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", site.url)
    with GuardedSession(FetchPolicy()) as session, pytest.raises(FileError):
        session.get("http://10.0.0.1/")
    assert site.requests == []


@pytest.mark.parametrize(
    "value",
    [
        "file:///etc/passwd",
        "ftp://host/x",
        "x.png",
        "http://",
        "http://[::1",
        "http://h:99999/",
        "http://\ud800/",
        5,
        {"url": "x"},
        None,
    ],
)
def test_what_is_no_file_is_refused(tmp_path: Path, value: object) -> None:
    with JobFiles(ContentFolder(tmp_path), FetchPolicy()) as files, pytest.raises(FileError) as caught:
        files.open(value)
    assert caught.value.code == "INVALID"


def test_a_workers_policy_lets_its_gateway_and_bucket_be_private() -> None:
    policy = FetchPolicy.from_environment(
        {"NOVITA_FILES_URL": "http://127.0.0.1:8000/v1/ep/files", "BUCKET_ENDPOINT_URL": "https://minio.local"}
    )
    assert policy.allows("127.0.0.1", 8000, "127.0.0.1")
    assert policy.allows("minio.local", 443, "10.0.0.9")
    assert not policy.allows("127.0.0.1", 8001, "127.0.0.1")
    assert not policy.allows("minio.local", 80, "10.0.0.9")
