"""`worker`: what it says of a file that can't serve."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import Cli


@pytest.mark.parametrize(
    ("source", "target", "code", "said"),
    [
        ("raise RuntimeError('no model')\n", "", 1, "RuntimeError: no model"),
        ("import sys; sys.exit(3)\n", "", 3, ""),
        (
            "from json import dumps\ndef other(job): return 1\nhandler = 3\n",
            ":handler",
            2,
            "has no function 'handler'; it has: other",
        ),
        ("def handler(): return 1\n", ":handler", 2, "takes no argument"),
    ],
)
def test_a_file_that_cannot_serve_is_named(
    cli: Cli, tmp_path: Path, source: str, target: str, code: int, said: str
) -> None:
    (tmp_path / "broken.py").write_text(source)
    done = cli("worker", f"broken.py{target}")
    assert done.code == code
    assert said in done.err


def test_a_traceback_begins_in_the_users_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import json\njson.loads('x')\n")
    done = cli("worker", "broken.py")
    assert done.code == 1
    assert done.err.splitlines()[1] == '  File "broken.py", line 2, in <module>'
    assert done.err.splitlines()[-1].startswith("json.decoder.JSONDecodeError")


def test_arguments_reach_the_script(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys, pathlib; print(sys.argv, sys.path[0], __name__)\n")
    done = cli("worker", "script.py", "--log_level", "debug", "more")
    assert done.out == f"['script.py', '--log_level', 'debug', 'more'] {tmp_path} __main__\n"
