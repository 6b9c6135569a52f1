"""The settings of a worker: read as they were meant, or refused by name before anything is taken."""

from __future__ import annotations

import re

import pytest

from novita_sdk import Client
from novita_sdk.errors import AuthenticationError
from novita_sdk.files import FileError
from novita_sdk.files._job_files import default_cache
from novita_worker import ConfigError
from novita_worker._environment import is_worker_environment, read_environment
from novita_worker.link.replies import says_no_jobs
from tests.support.worker_gateway import Fault, WorkerGateway
from tests.support.worker_process import ECHO, Spawn

BASE = "http://127.0.0.1:8000/v1/ep"
GOOD = {
    "NOVITA_WEBHOOK_GET_JOB": f"{BASE}/job-take/$ID?gpu=A+B",
    "NOVITA_WEBHOOK_POST_OUTPUT": f"{BASE}/job-done/$NOVITA_POD_ID/$ID",
    "NOVITA_WEBHOOK_POST_STREAM": f"{BASE}/job-stream/$NOVITA_POD_ID/$ID",
    "NOVITA_WEBHOOK_PING": f"{BASE}/ping/$NOVITA_POD_ID",
    "NOVITA_PING_INTERVAL": "2000",
    "NOVITA_AI_API_KEY": "Bearer key",
    "NOVITA_POD_ID": "pod1",
    "NOVITA_POD_HOSTNAME": "host1",
    "NOVITA_SPOOL_DIR": "/spool",
}


@pytest.mark.core
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", " ", "\t"])
def test_the_end_of_a_line_is_no_part_of_any_value(end: str) -> None:
    assert read_environment({name: f" {value}{end}" for name, value in GOOD.items()}) == read_environment(GOOD)
    assert read_environment(GOOD).doubts == ()
    assert not is_worker_environment({"NOVITA_WEBHOOK_GET_JOB": end})


@pytest.mark.core
@pytest.mark.parametrize("name", [name for name in GOOD if name != "NOVITA_PING_INTERVAL"])
@pytest.mark.parametrize(
    ("form", "reason"),
    [('"{}"', "is in quotes"), ("'{}'", "is in quotes"), ("{}\x00x", "character"), ("<fill in>", "placeholder")],
)
def test_what_a_value_cannot_be_is_refused_by_name(name: str, form: str, reason: str) -> None:
    value = form.format(GOOD[name])
    with pytest.raises(ConfigError, match=f"{name} .*{reason}") as caught:
        read_environment({**GOOD, name: value})
    assert GOOD[name] not in str(caught.value)


@pytest.mark.core
@pytest.mark.parametrize(
    "value",
    ["127.0.0.1:8000/v1", "http://", "http://host:port/v1", "ftp://host/v1", "https://<host>/v1/x", "http://{host}/v1",
     "http://a b/v1", "https://host/v1/${EP}/job-take/$ID"],
)  # fmt: skip
def test_a_url_that_is_none_is_refused_by_name(value: str) -> None:
    for name in ("GET_JOB", "POST_OUTPUT", "POST_STREAM", "PING"):
        with pytest.raises(ConfigError, match=f"NOVITA_WEBHOOK_{name} (is not an http or https URL|holds )"):
            read_environment({**GOOD, f"NOVITA_WEBHOOK_{name}": value})


@pytest.mark.core
@pytest.mark.parametrize("value", ["your-api-key", "Bearer <token>", "Bearer ${KEY}", "YOUR_KEY", "xxxx", "changeme"])
def test_a_key_that_nobody_filled_in_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="NOVITA_AI_API_KEY is a placeholder"):
        read_environment({**GOOD, "NOVITA_AI_API_KEY": value})


@pytest.mark.core
@pytest.mark.parametrize(
    ("name", "value", "doubt"),
    [
        ("NOVITA_WEBHOOK_GET_JOB", "http://host:8000/ep/job-take/$ID", "NOVITA_WEBHOOK_GET_JOB has no API version"),
        ("NOVITA_WEBHOOK_POST_OUTPUT", f"{BASE}/job-done/pod1/", "NOVITA_WEBHOOK_POST_OUTPUT has no $ID"),
        ("NOVITA_PING_INTERVAL", "often", "NOVITA_PING_INTERVAL is not a number of milliseconds: 'often'; 10 s it is"),
        ("NOVITA_PING_INTERVAL", "10", "NOVITA_PING_INTERVAL is 10 ms; 1 s it is"),
    ],
)
def test_what_may_be_wrong_is_said(name: str, value: str, doubt: str) -> None:
    (said,) = read_environment({**GOOD, name: value}).doubts
    assert said.startswith(doubt)


def test_a_worker_id_from_a_file_with_other_line_ends_serves(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(ECHO, environ={name: f"{value}\r" for name, value in gateway.environ().items()})
    assert gateway.result(gateway.submit(1)) == {"output": 1}
    gateway.wait_for(lambda: gateway.of("ping"))
    assert "WARNING" not in worker.stderr


def test_doubts_are_logged(gateway: WorkerGateway, spawn: Spawn) -> None:
    environ = {**gateway.environ(), "NOVITA_PING_INTERVAL": "often", "NOVITA_LOG_FORMAT": "xml"}
    worker = spawn(ECHO, environ=environ)
    worker.wait_for_log("WARNING novita_worker .*: NOVITA_PING_INTERVAL is not a number")
    worker.wait_for_log("NOVITA_LOG_FORMAT is 'xml', not text or json")


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    ("status", "body", "line"),
    [
        (400, "the worker id 'a b' holds ' '", r"asking for jobs failed: HTTP 400 the worker id 'a b' holds ' '"),
        (401, '{"message": "no such key"}', r"HTTP 401 no such key; look at NOVITA_AI_API_KEY"),
        (403, "KEY123 is revoked", r"HTTP 403 \*\*\* is revoked; look at NOVITA_AI_API_KEY"),
        (404, "no such route", r"HTTP 404 no such route; look at NOVITA_WEBHOOK_GET_JOB"),
        (200, '{"error": "out of order"}', r"the gateway gave a job that can't run: it has no id"),
        (200, "<html>", r"the reply to a take is not JSON"),
    ],
)
def test_a_take_that_is_refused_in_words_is_told_at_a_bounded_rate(
    gateway: WorkerGateway, spawn: Spawn, status: int, body: str, line: str, count: int
) -> None:
    faults = [Fault(status=status, body=body)] * 3
    gateway.faults["take"].extend(faults)
    gateway.faults["batch"].extend(faults)
    worker = spawn(f'def handler(job):\n    return 1\nstart({{"handler": handler, "concurrency": {count}}})')
    worker.wait_for_log(line)
    gateway.wait_for(lambda: len(gateway.of("failed")) >= 2)
    assert len(re.findall(line, worker.stderr)) == 1
    assert "KEY123" not in worker.stderr


def test_a_400_that_means_no_jobs_is_no_failure(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["take"].extend([Fault(status=400, body=""), Fault(status=400, body="no jobs in queue")] * 2)
    worker = spawn(ECHO)
    assert gateway.result(gateway.submit(1)) == {"output": 1}
    assert "asking for jobs" not in worker.stderr


@pytest.mark.core
def test_the_words_of_no_jobs() -> None:
    for said in ("", "{}", "null", "no job", '{"error": "no pending jobs"}', "the queue is empty", "FlashBoot"):
        assert says_no_jobs(said)
    for said in ("no such endpoint", "the worker id is wrong", "bad request", "no worker id"):
        assert not says_no_jobs(said)


def test_the_settings_of_a_client_are_read_as_they_were_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVITA_API_KEY", "key\r\n")
    monkeypatch.setenv("NOVITA_ENDPOINT_BASE_URL", " http://127.0.0.1:8000/v1\r")
    with Client() as client:
        assert client.base_url == "http://127.0.0.1:8000/v1"
    monkeypatch.setenv("NOVITA_API_KEY", "'key'")
    with pytest.raises(AuthenticationError, match=r"in quotes.*NOVITA_API_KEY"):
        Client()
    monkeypatch.setenv("NOVITA_FILE_CACHE_BYTES", "10 GB")
    with pytest.raises(FileError, match="NOVITA_FILE_CACHE_BYTES must be a number of bytes, not '10 GB'"):
        default_cache()
