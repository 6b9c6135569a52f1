"""What stderr shows, on a real terminal and elsewhere."""

from __future__ import annotations

import json
import sys

import pytest

from novita_cli._display import Display, ProgressMode
from tests.support.command import Cli
from tests.support.terminal import run_on_terminal


def test_plain_is_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(ProgressMode.PLAIN) as display:
        display.show("IN_QUEUE")
        display.show("IN_QUEUE")
        display.show("IN_PROGRESS", {"message": "loading", "fraction": 0.25})
        display.show("IN_PROGRESS", {"step": 3})
        display.show("IN_PROGRESS", "x" * 300)
        display.show("COMPLETED")
    shown = [line.split("s  ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert shown == [
        "IN_QUEUE",
        "IN_PROGRESS 25% loading",
        'IN_PROGRESS {"step": 3}',
        f"IN_PROGRESS {'x' * 199}…",
        "COMPLETED",
    ]


def test_a_workers_text_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(ProgressMode.PLAIN) as display:
        display.show("IN_PROGRESS", "a\x1b]0;title\x07\r\nb")
    assert "\x1b" not in (err := capsys.readouterr().err)
    assert err.count("\n") == 1


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(ProgressMode.QUIET) as display:
        display.show("IN_QUEUE")
        display.say("hello")
    assert capsys.readouterr().err == ""


def test_auto_is_plain_where_stderr_is_no_terminal(cli: Cli, served: str) -> None:
    done = cli("run", served, "-i", "a=1")
    assert "\x1b" not in done.err


def test_tty_can_be_forced(cli: Cli, served: str) -> None:
    done = cli("run", served, "-i", "a=1", "--progress", "tty")
    assert "\x1b[" in done.err
    assert done.json == {"a": 1}


def test_on_a_terminal_it_moves_and_stdout_stays_data(environment: dict[str, str], served: str) -> None:
    wish = {"progress": "half way", "sleep": 0.8}
    command = [sys.executable, "-m", "novita_cli", "run", served, "--input", json.dumps(wish)]
    code, out, text = run_on_terminal(command, {**environment, "TERM": "xterm-256color"})
    assert code == 0
    assert json.loads(out) == wish
    assert "IN_PROGRESS half way" in text
    assert "COMPLETED" in text
    assert "\x1b[?25l" in text, "the cursor is hidden while it moves"
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "and shown again"
