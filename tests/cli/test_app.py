"""The group: help, version, completion, and what loads when."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import novita_cli.commands
from novita_cli._app import app
from novita_gateway import Gateway
from tests.support.command import Cli
from tests.support.web import serve_answers

FOLDER = Path(novita_cli.commands.__file__).parent
COMMANDS = app.list_commands(click.Context(app))

HEAVY = ("aiohttp", "boto3", "google.protobuf", "grpc", "novita_gateway", "novita_worker", "requests", "rich")


def test_every_module_of_the_folder_is_a_command_of_its_name() -> None:
    files = [path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__"]
    assert sorted(name.replace("_", "-") for name in files) == COMMANDS
    assert len(COMMANDS) == 20


@pytest.mark.parametrize("name", ["__init__", "commands", "worker_env", "map.map", "../init", ""])
def test_nothing_else_is_a_command(name: str) -> None:
    assert app.get_command(click.Context(app), name) is None


def test_every_command_has_a_module_and_help(inline: Cli) -> None:
    context = click.Context(app)
    for name in COMMANDS:
        command = app.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help
        done = inline(name, "-h")
        assert (done.code, done.err) == (0, "")


def test_help_lists_the_commands_and_the_exit_codes(inline: Cli) -> None:
    text = inline("--help").out
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", text, re.MULTILINE)
    assert "124 the wait ran out" in text
    assert "130 Ctrl-C" in text


def test_version(inline: Cli) -> None:
    from novita_sdk import __version__

    assert __version__ in inline("--version").out


def test_an_unknown_command_exits_with_2(inline: Cli) -> None:
    done = inline("rnu")
    assert done.code == 2
    assert "There is no command 'rnu'. Did you mean run?" in done.err
    assert "Did you mean" not in inline("xyzzy").err


def test_help_loads_neither_client_nor_gateway_nor_worker() -> None:
    script = (
        "import sys\nfrom novita_cli._app import app\n"
        "try:\n    app(['--help'], prog_name='novita-gpus')\nexcept SystemExit:\n    pass\n"
        f"print('loaded:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.endswith("loaded: []\n")


def test_the_installed_script_is_the_command(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("novita-gpus")
    done = subprocess.run([script, "--version"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("novita-gpus, version ")


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_prints_a_script(self, inline: Cli, shell: str) -> None:
        done = inline("completion", shell)
        assert done.code == 0
        assert "_NOVITA_GPUS_COMPLETE" in done.out

    def test_works_in_bash(self, cli: Cli) -> None:
        done = cli(env={"_NOVITA_GPUS_COMPLETE": "bash_complete", "COMP_WORDS": "novita-gpus wor", "COMP_CWORD": "1"})
        assert done.out.split() == ["plain,worker", "plain,worker-env"]


class TestWorkerEnv:
    def test_prints_what_a_shell_evaluates(self, inline: Cli) -> None:
        done = inline(
            "worker-env", "ep", "--gateway", "http://127.0.0.1:8000/v1", "--token", "secret", "--worker-id", "w"
        )
        assert done.code == 0
        assert "export NOVITA_AI_API_KEY='Bearer secret'" in done.out
        assert all(line.startswith("export NOVITA_") for line in done.out.splitlines())

    def test_has_the_names_of_the_other_flavour(self, inline: Cli) -> None:
        url = "http://127.0.0.1:8000/v1"
        done = inline("worker-env", "ep", "--gateway", url, "--token", "t", "--flavour", "runpod")
        assert all(line.startswith("export RUNPOD_") for line in done.out.splitlines())

    def test_refuses_a_bad_endpoint(self, inline: Cli) -> None:
        done = inline("worker-env", "a/b", "--gateway", "http://127.0.0.1:8000/v1", "--token", "t")
        assert done.code == 2

    @pytest.mark.parametrize(
        "url",
        ["http://127.0.0.1:8000", "http://127.0.0.1:8000/v", "127.0.0.1:8000/v1", "http://<host>/v1", "http:///v1"],
    )
    def test_refuses_a_url_that_no_worker_can_use(self, inline: Cli, url: str) -> None:
        done = inline("worker-env", "ep", "--gateway", url, "--token", "t")
        assert (done.code, done.out) == (2, "")
        assert "as http://host:8000/v1" in " ".join(done.err.split())


class TestDoctor:
    def test_says_that_the_gateway_answers(self, inline: Cli) -> None:
        done = inline("doctor")
        assert done.code == 0
        assert done.json["gateway"]["state"] == "answers and takes the API key, and refuses one that is made up"
        assert done.json["packages"]["click"]

    def test_exits_with_3_for_a_refused_key_and_does_not_show_it(self, inline: Cli) -> None:
        done = inline("doctor", "--api-key", "wrong-secret-key", "--json")
        assert done.code == 3
        assert "does not accept the API key" in done.json["gateway"]["problem"]
        assert "wrong-secret-key" not in done.out + done.err

    def test_works_without_a_key(self, inline: Cli) -> None:
        done = inline("doctor", env={"NOVITA_API_KEY": None})
        assert done.code == 3
        assert "NOVITA_API_KEY" in done.json["gateway"]["problem"]

    def test_names_the_api_version_that_the_url_lacks(self, inline: Cli, gateway: Gateway) -> None:
        url = gateway.url.removesuffix("/v1")
        done = inline("doctor", "--base-url", url)
        assert done.code == 3
        assert done.json["gateway"]["problem"] == f"{url} lacks the API version; {url}/v1 answers as the API does"

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (200, b"<html>hello</html>"),
            (200, b'{"hello": 1}'),
            (404, b"<html>no such page</html>"),
            (404, b""),
            (405, b""),
        ],
    )
    def test_knows_a_web_server_that_is_no_gateway(self, inline: Cli, status: int, body: bytes) -> None:
        with serve_answers(lambda *_: (status, body)) as url:
            done = inline("doctor", "--base-url", f"{url}/v1")
        assert done.code == 3
        assert f"{url}/v1 is something else than the API" in done.json["gateway"]["problem"]

    def test_does_not_praise_a_key_where_every_key_is_taken(self, inline: Cli) -> None:
        with serve_answers(lambda *_: (200, b'{"jobs": {}, "workers": {}}')) as url:
            done = inline("doctor", "--base-url", f"{url}/v1")
        assert done.code == 0
        assert "can't be told" in done.json["gateway"]["state"]

    def test_takes_an_answer_about_an_endpoint_that_is_not_there(self, inline: Cli) -> None:
        with serve_answers(lambda *_: (404, b'{"code": 404, "message": "endpoint not found"}')) as url:
            done = inline("doctor", "--base-url", f"{url}/v1", "--endpoint", "mine")
        assert done.code == 0
        assert done.json["gateway"]["endpoint"] == "mine: not known, or not to this key"
        assert "can't be told" in done.json["gateway"]["state"]
