"""Keys that a gateway made for itself: a restart has them again where a file keeps them, and nobody else does."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from novita_gateway import Gateway


def keys(gateway: Gateway) -> tuple[str, str, str]:
    return gateway.api_key, gateway.worker_token, gateway.webhook_secret


def test_keys_are_the_same_after_a_restart_and_readable_for_their_owner_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "jobs.db-keys"
    with caplog.at_level(logging.DEBUG, "novita_gateway"):
        first = keys(Gateway(keys_file=file))
        again = keys(Gateway(keys_file=file))
    assert first == again
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == [file.name], "half of it must not stay"
    said = "".join(record.getMessage() for record in caplog.records)
    assert str(file) in said
    assert not any(key in said for key in first)
    assert not any(key in repr(Gateway(keys_file=file)) for key in first)


def test_without_a_file_keys_are_new_each_time() -> None:
    assert not set(keys(Gateway())) & set(keys(Gateway()))


def test_what_is_given_wins_and_is_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    given = Gateway(keys_file=file, api_key="mine", worker_token="own", webhook_secret="whsec_bWluZQ==")
    assert not file.exists()
    assert keys(given) == ("mine", "own", "whsec_bWluZQ==")
    partly = Gateway(keys_file=file, api_key="mine")
    assert (partly.api_key, "mine" in file.read_text()) == ("mine", False)
    whole = Gateway(keys_file=file)
    assert keys(whole)[1:] == keys(partly)[1:]
    assert keys(Gateway(keys_file=file)) == keys(whole)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"NOVITA_GATEWAY_API_KEY=secret-1\n", "line 1"),
        (b"# keys\n\nexport NOVITA_GATEWAY_API_KEY=\n", "line 3"),
        (b"export NOVITA_GATEWAY_API_KEY=secret-1\n\xffsecret-2", "line 2"),
        (b"export NOVITA_GATEWAY_API_KEY=secret\x01\n", "printable"),
        (b"export NOVITA_GATEWAY_WEBHOOK_SECRET=secret-3\n", "webhook secret"),
    ],
)
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path, content: bytes, word: str) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(ValueError, match=word) as caught:
        Gateway(keys_file=file)
    assert "secret-" not in str(caught.value)
    assert file.read_bytes().startswith(content)


def test_a_file_that_others_could_read_is_closed_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "keys"
    first = keys(Gateway(keys_file=file))
    file.chmod(0o644)
    assert keys(Gateway(keys_file=file)) == first
    assert file.stat().st_mode & 0o077 == 0
    assert any("others could read" in record.getMessage() for record in caplog.records)


def test_a_file_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        Gateway(keys_file=tmp_path / "missing" / "keys")


async def test_a_host_for_others_still_needs_keys_that_were_given(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    Gateway(keys_file=file)
    settings: dict[str, Any] = {"host": "0.0.0.0", "keys_file": file}
    with pytest.raises(ValueError, match="api_key and worker_token"):
        Gateway(**settings)
