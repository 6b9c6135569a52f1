"""What a proto says in words reaches those who read the Python and the JSON Schema; what is old is marked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from novita_codegen import generate

Write = Callable[[Mapping[str, str]], Path]

WORDS = """\
syntax = "proto3";

package words.v1;

// A request.
// In two lines, with "quotes" and a \\\\ \u2713.
message Ask {
  // Seconds to draw.
  int32 seconds = 1;
  Style style = 2; // How it looks.
  // buf:lint:ignore FIELD_LOWER_SNAKE_CASE
  string plain = 3;
  string old = 4 [deprecated = true];
  repeated Inner inners = 5;

  // Inside.
  message Inner {
    option deprecated = true;

    // Deep.
    string deep = 1;
  }
}

// Styles.
enum Style {
  STYLE_UNSPECIFIED = 0;
  STYLE_OIL = 1 [deprecated = true];
}

// Answers.
service AnswerService {
  // Answers once.
  rpc Answer(Ask) returns (Ask);

  // Answered once.
  rpc Reply(Ask) returns (Ask) {
    option deprecated = true;
  }
}
"""


@pytest.fixture
def out(write_protos: Write, tmp_path: Path) -> Path:
    generate(write_protos({"words/v1/words.proto": WORDS}), tmp_path / "out")
    return tmp_path / "out"


def python(out: Path, program: str, *options: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys\nsys.path.insert(0, {str(out)!r})\n{program}"
    return subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=False)


def test_comments_are_descriptions_in_the_schema_and_what_is_old_is_marked(out: Path) -> None:
    program = "import json\nfrom words.v1.words_pb2 import Ask\nfrom novita_sdk.typed import find_adapter\n"
    done = python(out, program + "print(json.dumps(find_adapter(Ask).schema()))")
    assert done.returncode == 0, done.stderr
    definitions = json.loads(done.stdout)["$defs"]
    ask, inner = definitions["words.v1.Ask"], definitions["words.v1.Ask.Inner"]
    assert ask["description"] == 'A request.\nIn two lines, with "quotes" and a \\\\ \u2713.'
    fields = ask["properties"]
    assert fields["seconds"]["description"] == "Seconds to draw."
    assert fields["style"]["description"] == "How it looks."
    assert fields["style"]["anyOf"] == [
        {"enum": ["STYLE_UNSPECIFIED", "STYLE_OIL"], "description": "Styles."},
        {"const": "STYLE_OIL", "deprecated": True},
        {"type": "integer"},
    ]
    assert fields["old"]["deprecated"] is True
    assert not {"description", "deprecated"} & fields["plain"].keys()
    assert inner["description"] == "Inside."
    assert inner["deprecated"] is True
    assert inner["properties"]["deep"]["description"] == "Deep."


def test_comments_are_docstrings_of_messages_fields_services_and_methods(out: Path) -> None:
    stubs = (out / "words/v1/words_pb2.pyi").read_text(encoding="utf-8")
    module = (out / "words/v1/answer_service_novita.py").read_text(encoding="utf-8")
    assert all(text in stubs for text in ("A request.", "Seconds to draw.", "Inside."))
    assert all(module.count(text) >= 3 for text in ('"""Answers."""', '"""Answers once."""'))
    assert module.count("\n        Deprecated.\n") == 3  # both clients and the worker


def test_a_deprecated_method_warns_who_calls_it_and_tells_the_type_checker(out: Path, tmp_path: Path) -> None:
    program = """
import warnings
from types import SimpleNamespace
from words.v1.answer_service_novita import AnswerClient
from words.v1.words_pb2 import Ask
client = AnswerClient(SimpleNamespace(run=lambda *_, **__: "job"))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(client.answer(Ask()), len(caught), client.reply(Ask()), len(caught), caught[0].category.__name__)
"""
    assert python(out, program).stdout == "job 0 job 1 DeprecationWarning\n"
    caller = tmp_path / "out" / "caller.py"
    lines = "from words.v1.answer_service_novita import AnswerClient\nfrom words.v1.words_pb2 import Ask\n"
    caller.write_text(
        f"{lines}def f(c: AnswerClient) -> None:\n    c.answer(Ask())\n    c.reply(Ask())\n", encoding="utf-8"
    )
    options = ["--strict", "--enable-error-code", "deprecated", "--cache-dir", str(tmp_path / "cache"), "caller.py"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options], cwd=out, capture_output=True, text=True, check=False
    )
    assert "caller.py:5: error: function words.v1.answer_service_novita.AnswerClient.reply is deprecated" in done.stdout
    assert "caller.py:4" not in done.stdout
