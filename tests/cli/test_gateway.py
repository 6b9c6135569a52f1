"""`gateway` as a process of its own."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from novita_sdk import Client
from tests.support.command import Cli, Start
from tests.support.stores import execute, new_schema


def test_serves_until_ctrl_c_and_tells_how_to_connect(start: Start) -> None:
    command = start("gateway", "--port", "0", "--memory", "--json")
    assert command.process.stdout is not None
    told = json.loads(command.process.stdout.readline())
    command.wait_for("Ctrl-C ends the gateway")
    assert f"export NOVITA_ENDPOINT_BASE_URL={told['url']}\n" in command.err
    assert f"export NOVITA_API_KEY={told['api_key']}\n" in command.err
    assert f"export NOVITA_GATEWAY_WORKER_TOKEN={told['worker_token']}\n" in command.err
    assert f"novita-gpus worker-env ENDPOINT --gateway {told['url']}" in command.err
    with Client(api_key=told["api_key"], base_url=told["url"]) as client:
        job = client.endpoint("ep").run({"a": 1})
        command.interrupt()
        assert job
    done = command.outcome()
    assert (done.code, done.out) == (0, "")
    assert "Traceback" not in done.err


def test_ends_cleanly_on_sigterm(start: Start) -> None:
    command = start("gateway", "--port", "0", "--memory")
    command.wait_for("Ctrl-C ends")
    command.process.send_signal(signal.SIGTERM)
    assert command.outcome().code == 0


def test_goes_on_with_the_jobs_of_its_file(start: Start, tmp_path: Path) -> None:
    keys = ("--api-key", "client-secret", "--worker-token", "worker-secret")
    command = start("gateway", "--port", "0", "--db", "jobs.db", "--json", *keys)
    assert command.process.stdout is not None
    url = json.loads(command.process.stdout.readline())["url"]
    with Client(api_key="client-secret", base_url=url) as client:
        job_id = client.endpoint("ep").run({"a": 1}).job_id
    command.process.kill()
    command.outcome()

    again = start("gateway", "--port", "0", "--db", "jobs.db", "--json", *keys)
    assert again.process.stdout is not None
    url = json.loads(again.process.stdout.readline())["url"]
    with Client(api_key="client-secret", base_url=url) as client:
        assert client.endpoint("ep").job(job_id).status() == "PENDING"
    again.wait_for("jobs.db")
    again.interrupt()
    done = again.outcome()
    assert done.code == 0
    assert "secret" not in done.err


def test_a_restart_has_the_same_keys_and_says_where_they_are_but_not_what(start: Start, tmp_path: Path) -> None:
    told = []
    for _ in range(2):
        command = start("gateway", "--port", "0", "--db", "my jobs.db", "--json")
        assert command.process.stdout is not None
        told.append(json.loads(command.process.stdout.readline()))
        command.wait_for("Ctrl-C ends the gateway")
        lines = re.findall(r"^  (?:\.|export) .*$", command.err, re.MULTILINE)
        shell = subprocess.run(
            ["sh", "-c", "\n".join([*lines, "env"])], cwd=tmp_path, env={}, capture_output=True, text=True, check=True
        )
        variables = dict(line.split("=", 1) for line in shell.stdout.splitlines())
        assert variables["NOVITA_API_KEY"] == told[0]["api_key"]
        assert variables["NOVITA_GATEWAY_WORKER_TOKEN"] == told[0]["worker_token"]
        secret = variables["NOVITA_GATEWAY_WEBHOOK_SECRET"]
        with Client(api_key=told[0]["api_key"], base_url=variables["NOVITA_ENDPOINT_BASE_URL"]) as client:
            assert client.endpoint("ep").run({"a": 1})
        command.interrupt()
        done = command.outcome()
        assert "my jobs.db-keys" in done.err
        assert not any(key in done.err for key in (told[0]["api_key"], told[0]["worker_token"], secret))
    assert {key: told[0][key] for key in ("api_key", "worker_token")}.items() <= told[1].items()
    assert (tmp_path / "my jobs.db-keys").stat().st_mode & 0o077 == 0


def test_links_lead_to_the_public_url(start: Start) -> None:
    environment = {
        "NOVITA_GATEWAY_PUBLIC_URL": "https://gw.example.com",
        "NOVITA_GATEWAY_TRUSTED_PROXIES": "10.0.0.1 ::1",
    }
    command = start("gateway", "--port", "0", "--memory", "--json", env=environment)
    assert command.process.stdout is not None
    told = json.loads(command.process.stdout.readline())
    command.wait_for("export NOVITA_ENDPOINT_BASE_URL=https://gw.example.com/v1\n")
    announcement = {"name": "a", "mediaType": "x/y", "size": 1, "sha256": "0" * 64}
    headers = {"Authorization": told["api_key"]}
    reply = requests.post(f"{told['url']}/ep/files", json=announcement, headers=headers, timeout=10)
    assert reply.json()["upload"].startswith("https://gw.example.com/v1/blobs/")


def test_a_taken_port_is_named(inline: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = inline("gateway", "--memory", "--port", str(port))
    assert done.code == 1
    assert f"port {port} is taken" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--host", "0.0.0.0"), 2, "without keys"),
        (("--memory", "--db", "x.db"), 2, "exclude each other"),
        (("--db", "missing/jobs.db"), 1, "missing/jobs.db"),
        (("--port", "99999"), 2, "99999"),
        (("--public-url", "gateway.example.com"), 2, "https://gateway.example.com"),
        (("--trusted-proxy", "proxy.local"), 2, "proxy.local"),
    ],
)
def test_what_cannot_be_served_is_refused(inline: Cli, arguments: tuple[str, ...], code: int, said: str) -> None:
    if "--db" not in arguments:
        arguments = ("--memory", *arguments)
    done = inline("gateway", *arguments)
    assert done.code == code
    assert said in done.err


def test_another_gateways_file_is_refused(start: Start, inline: Cli, tmp_path: Path) -> None:
    command = start("gateway", "--port", "0", "--db", "jobs.db")
    command.wait_for("Ctrl-C ends")
    done = inline("gateway", "--port", "0", "--db", str(tmp_path / "jobs.db"))
    assert done.code == 1
    assert "another gateway" in done.err


SHARED = (
    "--api-key",
    "client-key",
    "--worker-token",
    "worker-key",
    "--webhook-secret",
    "whsec_c2VjcmV0c2VjcmV0c2VjcmV0",
)


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    """The DSN of an empty database."""
    name = new_schema()
    asyncio.run(execute(postgres, f"CREATE DATABASE {name}"))
    yield urlsplit(postgres)._replace(path=f"/{name}").geturl()
    asyncio.run(execute(postgres, f"DROP DATABASE {name} WITH (FORCE)"))


def test_two_on_one_database_share_their_jobs_and_one_may_be_killed(start: Start, database: str) -> None:
    first, second = (start("gateway", "--port", "0", "--store", database, "--json", *SHARED) for _ in range(2))
    assert first.process.stdout is not None
    assert second.process.stdout is not None
    urls = [
        json.loads(command.process.stdout.readline())["url"] for command in (first, second) if command.process.stdout
    ]
    with Client(api_key="client-key", base_url=urls[0]) as client:
        job_id = client.endpoint("ep").run({"a": 1}).job_id
    first.process.kill()
    first.outcome()
    with Client(api_key="client-key", base_url=urls[1]) as client:
        assert client.endpoint("ep").job(job_id).status() == "PENDING"
    second.wait_for("keeps jobs in PostgreSQL")
    second.interrupt()
    assert second.outcome().code == 0


def test_migrate_says_what_it_applied(cli: Cli, database: str) -> None:
    done = [cli("gateway", "migrate", "--store", database) for _ in range(2)]
    assert [(each.code, each.err.strip()) for each in done] == [(0, "applied 0001"), (0, "the tables are up to date")]


def test_gateways_that_share_a_database_need_keys_that_are_given(cli: Cli) -> None:
    done = cli("gateway", "--store", "postgresql://nowhere", "--api-key", "k")
    assert done.code == 2
    assert "$NOVITA_GATEWAY_WORKER_TOKEN and $NOVITA_GATEWAY_WEBHOOK_SECRET" in done.err
