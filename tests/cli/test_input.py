from __future__ import annotations

import io
from pathlib import Path

import click
import pytest

from novita_cli._input import open_lines, read_input
from novita_cli._options import parse_duration

pytestmark = pytest.mark.core


def test_no_option_is_no_input() -> None:
    assert read_input(None, []) is None


def test_json_keeps_every_digit_and_the_order() -> None:
    value = read_input('{"seed": 1125899906842624123, "cfg": 7.0, "z": null, "a": "ü"}', [])
    assert value == {"seed": 1125899906842624123, "cfg": 7.0, "z": None, "a": "ü"}
    assert list(value) == ["seed", "cfg", "z", "a"]


def test_a_file_holds_the_input(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text('{"prompt": "a red apple"}')
    assert read_input(f"@{tmp_path / 'in.json'}", []) == {"prompt": "a red apple"}


def test_standard_input_holds_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO('{"prompt": "grün"}'.encode())))
    assert read_input("-", []) == {"prompt": "grün"}


def test_fields_are_json_or_else_text_and_win(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("a red apple\n")
    fields = ["steps=10", "name=flux", "seed=null", f"prompt=@{tmp_path / 'prompt.txt'}", "url=http://x/?a=b", "e="]
    assert read_input('{"steps": 1, "cfg": 7}', fields) == {
        "steps": 10,
        "cfg": 7,
        "name": "flux",
        "seed": None,
        "prompt": "a red apple\n",
        "url": "http://x/?a=b",
        "e": "",
    }


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("[NaN]", "[NaN]"),
        ("1e999", "1e999"),
        ("@@mention", "@mention"),
        ("@@", "@"),
    ],
)
def test_what_json_does_not_have_is_text(given: str, value: str) -> None:
    assert read_input(None, [f"x={given}"]) == {"x": value}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_file_of_text_may_have_a_mark_of_its_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "prompt.txt").write_text("grün", encoding=encoding)
    assert read_input(None, [f"x=@{tmp_path / 'prompt.txt'}"]) == {"x": "grün"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_lines_may_be_in_each_encoding_of_json(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text('{"a": "grün\u2028x"}\r\n\n{"a": "😀"}\n', encoding=encoding, newline="")
    with open_lines(str(file)) as lines:
        assert list(lines.numbered()) == [(1, {"a": "grün\u2028x"}), (3, {"a": "😀"})]
        assert len(lines) == 2


def test_lines_that_are_not_what_they_begin_as_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes('{"a": 1}\n'.encode("utf-16") + b"x")
    with pytest.raises(click.UsageError, match="begins as utf-16 and is not"), open_lines(str(file)):
        pass


@pytest.mark.parametrize(
    ("text", "fields", "said"),
    [
        ("{prompt: 1}", [], "not JSON"),
        ("", [], "not JSON"),
        ("[1, 2]", [], "must be a JSON object"),
        ('"text"', [], "not str"),
        ("null", ["a=1"], "must be a JSON object"),
        ("[" * 100_000, [], "nested too deeply"),
        ("@missing.json", [], "can't read 'missing.json'"),
        (None, ["novalue"], "is not KEY=VALUE"),
        (None, ["=1"], "is not KEY=VALUE"),
        (None, ["a=@missing.txt"], "can't read 'missing.txt'"),
    ],
)
def test_what_is_no_json_object_is_refused(text: str | None, fields: list[str], said: str) -> None:
    with pytest.raises(click.UsageError, match=said):
        read_input(text, fields)


def test_a_binary_file_is_refused_as_a_value(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(click.UsageError, match="put binary data at a URL"):
        read_input(None, [f"image=@{tmp_path / 'image.png'}"])


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1.5m", 90), ("250ms", 0.25), ("2h", 7200), ("3", 3)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1d", "1 s", "soon", "nan"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="90s"):
        parse_duration(text)
