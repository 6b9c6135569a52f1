"""The import contracts hold: each of them fails when it is broken in a copy of the sources."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.sources

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
CONTRACTS: list[str] = [contract["name"] for contract in SETTINGS["importlinter"]["contracts"]]
SOURCES = [ROOT / package for package in SETTINGS["hatch"]["build"]["targets"]["wheel"]["packages"]]

CORES = "The pure cores do no I/O"
COMMANDS = "Commands never import each other"
COMMAND_LINE = "The command line is in layers"
GENERATOR = "The code generator is in layers"
SDK_WINGS = "The SDK's wings stand on each other"
SOCKETS = "Only drivers and transfers open sockets"
DOORS = "Generated code is reached through two doors"
STORES = "The gateway knows a store by its protocol"
WINGS = "The gateway's wings stand on each other"
BREAKS = [
    ("The protocol is the leaf", "novita_protocol/method.py", "import novita_sdk.errors"),
    (
        "The SDK knows neither worker, gateway, codegen nor command line",
        "novita_sdk/webhooks.py",
        "import novita_worker",
    ),
    ("Worker and gateway never import each other", "novita_worker/_start.py", "import novita_gateway"),
    ("Worker and gateway never import each other", "novita_gateway/_serve.py", "import novita_worker"),
    ("Nothing imports the facade", "novita_cli/_target.py", "import novita_gpus"),
    (COMMAND_LINE, "novita_cli/_app.py", "import novita_cli.commands.run"),
    (COMMAND_LINE, "novita_cli/_json.py", "from novita_cli._session import Session"),
    (COMMAND_LINE, "novita_cli/commands/completion.py", "from novita_cli._app import app"),
    (COMMANDS, "novita_cli/commands/output.py", "from novita_cli.commands import run"),
    (GENERATOR, "novita_codegen/_model.py", "from novita_codegen._source import INDENT"),
    (GENERATOR, "novita_codegen/_render_http.py", "import novita_codegen._render_jobs"),
    (DOORS, "novita_sdk/typed/_endpoint_schema.py", "from novita_protocol.v1 import schema_pb2"),
    (DOORS, "novita_sdk/wire/codec.py", "from novita_protocol.v1.job_pb2 import Job"),
    (DOORS, "novita_sdk/errors.py", "import novita_protocol.method"),
    (DOORS, "novita_worker/_engine.py", "from novita_protocol.v1 import job_pb2"),
    (CORES, "novita_sdk/wire/retry.py", "import random"),
    (CORES, "novita_sdk/flows/wait.py", "import threading"),
    (CORES, "novita_sdk/flows/call.py", "from time import monotonic"),
    (CORES, "novita_worker/desk/entry.py", "import asyncio"),
    (CORES, "novita_worker/desk/actions.py", "import logging"),
    (CORES, "novita_gateway/board/ledger.py", "import time"),
    (CORES, "novita_gateway/board/rows.py", "from datetime import datetime\nimport os.path"),
    (WINGS, "novita_gateway/board/board.py", "import novita_gateway.store.protocol"),
    (WINGS, "novita_gateway/store/protocol.py", "import novita_gateway.http.context"),
    (WINGS, "novita_gateway/store/journal.py", "from novita_gateway import Gateway"),
    (WINGS, "novita_gateway/files/routes.py", "import novita_gateway.http.context"),
    (WINGS, "novita_gateway/http/app.py", "import novita_gateway._service"),
    (WINGS, "novita_gateway/webhooks/sender.py", "import novita_gateway.http.auth"),
    (WINGS, "novita_gateway/_errors.py", "import novita_gateway.board.rows"),
    (STORES, "novita_gateway/store/protocol.py", "import novita_gateway.board.rows"),
    (STORES, "novita_gateway/_service.py", "import novita_gateway.store.memory"),
    (SDK_WINGS, "novita_sdk/batches/batch.py", "from novita_sdk.client.job import Job"),
    (SDK_WINGS, "novita_sdk/drivers/shared.py", "import novita_sdk.batches.window"),
    (SDK_WINGS, "novita_sdk/flows/jobs.py", "from novita_sdk.drivers.shared import make_flows"),
    (SDK_WINGS, "novita_sdk/typed/_adapters.py", "import novita_sdk.flows.steps"),
    (SDK_WINGS, "novita_sdk/files/_stores.py", "from novita_sdk.uploads import upload_file"),
    (SDK_WINGS, "novita_sdk/wire/codec.py", "import novita_sdk.errors"),
    (SOCKETS, "novita_sdk/batches/threads.py", "import requests"),
    (SOCKETS, "novita_sdk/flows/errors_of.py", "import requests"),
]
"""A contract, a module, and a line in it that the contract forbids."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages side by side, with the project's settings."""
    folder = tmp_path_factory.mktemp("sources")
    for package in SOURCES:
        shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint(folder: Path) -> str:
    """What the linter says of the packages in a folder, on one line."""
    program = "import sys; sys.path.insert(0, ''); from importlinter.cli import lint_imports_command as c; c()"
    command = [sys.executable, "-c", program, "--no-cache"]
    outcome = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert outcome.stdout, outcome.stderr
    return " ".join(outcome.stdout.split())


def test_contracts_are_kept(copy: Path) -> None:
    said = lint(copy)
    assert f"{len(CONTRACTS)} kept, 0 broken" in said


def test_every_contract_is_tried() -> None:
    assert {name for name, _, _ in BREAKS} == set(CONTRACTS)


@pytest.mark.parametrize(("name", "module", "line"), BREAKS, ids=[f"{name}: {module}" for name, module, _ in BREAKS])
def test_a_broken_contract_is_seen(copy: Path, name: str, module: str, line: str) -> None:
    path = copy / module
    text = path.read_text(encoding="utf-8")
    path.write_text(
        f"{text}\n\ndef broken() -> None:\n    {line.replace(chr(10), chr(10) + '    ')}\n", encoding="utf-8"
    )
    try:
        said = lint(copy)
    finally:
        path.write_text(text, encoding="utf-8")
    assert f"{name} BROKEN" in said
