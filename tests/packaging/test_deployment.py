"""The image of the gateway and the compose file are well-formed, and fit the command, the docs and each other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from novita_cli.commands.gateway import command
from tests.support.repository import ROOT

pytestmark = pytest.mark.sources

DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(DEPLOY / "compose.yaml")
    return loaded


def tool(*command: str) -> tuple[int, str]:
    outcome = subprocess.run(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]], capture_output=True, text=True, check=False
    )
    return outcome.returncode, outcome.stdout + outcome.stderr


def test_hadolint_finds_nothing() -> None:
    assert tool("hadolint", "--no-color", "--failure-threshold", "style", str(DEPLOY / "Dockerfile")) == (0, "")


def test_the_compose_file_is_one() -> None:
    code, said = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml"))
    assert code == 0, said


def test_it_has_two_gateways_a_database_and_a_balancer_that_knows_both(compose: dict[str, Any]) -> None:
    services = compose["services"]
    gateways = {name for name, service in services.items() if service.get("image") == "novita-gateway"}
    assert gateways == {"gateway-1", "gateway-2"}
    assert set(services) - gateways == {"balancer", "postgres"}
    upstream = re.findall(r"^\s+server ([\w-]+):(\d+)", (DEPLOY / "nginx.conf").read_text(), re.MULTILINE)
    assert {name for name, _ in upstream} == gateways
    assert {port for _, port in upstream} == {"8000"}


def test_the_gateways_command_is_understood_and_its_settings_are_its_own(compose: dict[str, Any]) -> None:
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    words = json.loads(entry)
    assert words[:2] == ["novita-gpus", "gateway"]
    service = compose["services"]["gateway-1"]
    arguments = [*words[2:], *service["command"], "--port", "99999"]  # refused last of all that is read
    said = CliRunner().invoke(command, arguments)
    assert said.exit_code == 2
    assert "99999 is not in the range" in said.output
    known = {option.envvar for option in command.params if getattr(option, "envvar", None)}
    assert set(service["environment"]) <= known


def test_every_variable_that_is_needed_is_in_the_example_and_nothing_is_secret_there() -> None:
    needed = set(re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose.yaml").read_text()))
    lines = [line for line in (DEPLOY / "example.env").read_text().splitlines() if line and not line.startswith("#")]
    assert set(lines) == {f"{name}=" for name in needed}


def test_what_the_image_is_made_of_is_not_left_out() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not {"gateway", "cli", "proto", "examples", "pyproject.toml", "constraints.txt"} & set(ignored)


def test_a_wait_is_longer_at_the_balancer_than_at_the_gateway() -> None:
    from novita_gateway import Waits

    (seconds,) = re.findall(r"proxy_read_timeout (\d+)s", (DEPLOY / "nginx.conf").read_text())
    assert int(seconds) * 1000 > Waits().status
