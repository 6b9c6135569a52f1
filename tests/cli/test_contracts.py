"""`generate` and `contract diff`: what they print and how they exit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Cli

PROTO = """\
syntax = "proto3";

package shop.v1;

message Draw {
  string prompt = 1;
  int32 width = 2;
}

message Drawn {
  string url = 1;
}

service DrawService {
  rpc Draw(.shop.v1.Draw) returns (Drawn);
}
"""


Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a proto below a folder of this name and returns the folder."""

    def write(name: str, text: str = PROTO) -> str:
        file = tmp_path / name / "shop" / "v1" / "shop.proto"
        file.parent.mkdir(parents=True)
        file.write_text(text)
        return str(tmp_path / name)

    return write


class TestGenerate:
    def test_writes_and_then_finds_it_up_to_date(self, inline: Cli, write: Write, tmp_path: Path) -> None:
        command = ("generate", write("protos"), "--out", str(tmp_path / "out"))
        assert inline(*command, "--check").code == 1
        done = inline(*command)
        assert (done.code, done.out) == (0, "")
        assert "draw_service_novita.py" in done.err
        assert inline(*command, "--check").code == 0

    def test_names_the_place_of_an_error(self, inline: Cli, write: Write, tmp_path: Path) -> None:
        broken = PROTO.replace("string url", "strin url")
        done = inline("generate", write("protos", broken), "--out", str(tmp_path / "out"))
        assert done.code == 1
        assert "shop.proto:11:3" in done.err
        assert "Traceback" not in done.err


class TestDiff:
    def test_prints_what_breaks_callers_and_exits_with_1(self, inline: Cli, write: Write) -> None:
        old, new = write("old"), write("new", PROTO.replace("  int32 width = 2;\n", ""))
        done = inline("contract", "diff", old, new)
        assert done.code == 1
        assert "width" in done.out
        (change,) = inline("contract", "diff", old, new, "--json").json
        assert change["rule"] == "FIELD_NO_DELETE"

    def test_of_a_harmless_change_prints_nothing(self, inline: Cli, write: Write) -> None:
        old, new = write("old"), write("new", PROTO.replace("width = 2;", "width = 2;\n  int32 height = 3;"))
        done = inline("contract", "diff", old, new)
        assert (done.code, done.out) == (0, "")
