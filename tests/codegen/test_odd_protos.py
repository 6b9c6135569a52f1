"""Protos that are right, but whose names or neighbours are in Python's way: they work, or the error says where."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from novita_codegen import GenerateError, generate
from tests.support.repository import ROOT

Write = Callable[[Mapping[str, str]], Path]

SYNTAX = 'syntax = "proto3";\n'
SERVICE = SYNTAX + "message M {}\nservice S {\n  rpc Do(M) returns (M);\n}\n"
TWINS = "service HTTPJob {\n  rpc Do(M) returns (M);\n}\nservice HttpJob {\n  rpc Do(M) returns (M);\n}\n"


def packaged(name: str) -> str:
    return SYNTAX + f"// Ours.\npackage {name};\nmessage M {{}}\n"


def run(out: Path, program: str) -> str:
    """Runs a program with the generated packages on its path."""
    code = f"import sys\nsys.path.insert(0, {str(out)!r})\n{program}"
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def packages(out: Path) -> set[str]:
    return {path.name for path in out.iterdir()}


def test_messages_from_modules_of_the_same_name_are_told_apart(write_protos: Write, tmp_path: Path) -> None:
    root = write_protos(
        {
            "a/v1/types.proto": SYNTAX + "package a.v1;\nmessage Request {}\n",
            "b/v1/types.proto": SYNTAX + "package b.v1;\nmessage Response {}\n",
            "c/v1/c.proto": SYNTAX
            + 'package c.v1;\nimport "a/v1/types.proto";\nimport "b/v1/types.proto";\nservice S {\n'
            "  rpc Do(a.v1.Request) returns (b.v1.Response);\n}\n",
        }
    )
    generate(root, tmp_path / "out")
    program = "from c.v1.s_novita import SMethods\nm = SMethods.DO\n"
    program += "print(m.request.DESCRIPTOR.full_name, m.response.DESCRIPTOR.full_name)"
    assert run(tmp_path / "out", program) == "a.v1.Request b.v1.Response\n"


def test_a_method_named_all_leaves_the_list_of_all_methods_alone(write_protos: Write, tmp_path: Path) -> None:
    text = SYNTAX + "message M {}\nservice S {\n  rpc All(M) returns (M);\n  rpc Do(M) returns (M);\n}\n"
    generate(write_protos({"a.proto": text}), tmp_path / "out")
    program = "from s_novita import SMethods as m\nprint(m.ALL_.name, *(method.name for method in m.ALL))"
    assert run(tmp_path / "out", program) == "All All Do\n"


def test_copies_of_installed_protos_do_not_hide_the_installed_packages(write_protos: Write, tmp_path: Path) -> None:
    """Editors and linters want such copies; a generated `google` or `novita_protocol` would hide the real ones."""
    text = 'package v;\nimport "google/protobuf/timestamp.proto";\nimport "novita_protocol/v1/file.proto";\n'
    text += "message M {\n  google.protobuf.Timestamp time = 1;\n  novita_protocol.v1.File file = 2;\n}\n"
    protocol = ROOT / "proto/novita_protocol/v1/file.proto"
    root = write_protos(
        {
            "v/v.proto": SYNTAX + text + "service S {\n  rpc Do(M) returns (M);\n}\n",
            "novita_protocol/v1/file.proto": protocol.read_text(encoding="utf-8"),
            "google/protobuf/timestamp.proto": SYNTAX
            + "package google.protobuf;\nmessage Timestamp {\n  int64 seconds = 1;\n  int32 nanos = 2;\n}\n",
        }
    )
    generate(root, tmp_path / "out")
    assert packages(tmp_path / "out") == {"v"}
    assert run(tmp_path / "out", "from v.s_novita import SMethods\nimport novita_sdk.rpc") == ""


def test_protos_in_hidden_folders_are_none_of_the_users(write_protos: Write, tmp_path: Path) -> None:
    environment = ".venv/lib/python3.11/site-packages/grpc_tools/_proto/google/protobuf/any.proto"
    generate(write_protos({"a.proto": SERVICE, environment: "not a proto"}), tmp_path / "out")
    assert "a_pb2.py" in packages(tmp_path / "out")


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"class/v1/a.proto": SERVICE}, r"class/v1/a\.proto:1:1: .* named 'class'"),
        ({"a b.proto": SERVICE}, r"a b\.proto:1:1: .* named 'a b'"),
        ({"a.proto": SERVICE.replace("Do(", "_do(")}, r"a\.proto:4:3: _do would be private"),
        (
            {"a.proto": SERVICE, "b.proto": SERVICE.replace("message M {}", "package b;\nmessage M {}")},
            r"b\.proto:4:1: S would be a second s_novita\.py, beside the service at a\.proto:3:1",
        ),
        (
            {"a.proto": SERVICE + TWINS},
            r"a\.proto:9:1: HttpJob would be a second http_job_novita\.py, beside the service at a\.proto:6:1",
        ),
        ({"a.proto": SYNTAX + "message M {\n  string a = 1\n}\n"}, r'^a\.proto:4:1: Expected ";"\.$'),
        ({"a.proto": SYNTAX + 'import "b.proto";\n'}, r'(?m)^a\.proto:2:1: Import "b\.proto" was not found'),
        ({"a.proto": "\u00ff"}, r"^a\.proto:1:1: "),
        (
            {"queue/v1/a.proto": packaged("queue.v1")},
            r"^queue/v1/a\.proto:3:1: a package queue would hide Python's own",
        ),
        ({"msgspec/a.proto": packaged("msgspec")}, r"^msgspec/a\.proto:3:1: .* would hide the package of msgspec"),
        ({"yarl/a.proto": packaged("yarl")}, r"^yarl/a\.proto:3:1: .* would hide the package of yarl"),
        ({"novita_sdk/a.proto": packaged("x")}, r"^novita_sdk/a\.proto:3:1: .* would hide the package of novita-gpus"),
        ({"types.v1.proto": packaged("x")}, r"^types\.v1\.proto:3:1: a package types would hide Python's own"),
        ({"a.proto": SYNTAX + "message class {}\n"}, r"^a\.proto:2:1: class is a word of Python's, .* the message"),
        ({"a.proto": SYNTAX + "enum None {\n  A = 0;\n}\n"}, r"^a\.proto:2:1: None is a word .* the enum"),
        ({"a.proto": SYNTAX + "message A {\n  message def {}\n}\n"}, r"^a\.proto:3:3: def is a word"),
        ({"a.proto": SYNTAX + "message A {\n  enum is {\n    B = 0;\n  }\n}\n"}, r"^a\.proto:3:3: is is a word"),
        (
            {"a.proto": 'edition = "2023";\n'},
            r"^a\.proto:1:1: edition 2023: editions are not supported.*write syntax = .proto3.; in its place",
        ),
        (
            {"a.proto": '\nedition = "2024";\n'},
            r"^a\.proto:\d:1: edition 2024: editions are not supported.*write syntax = .proto3.; in its place",
        ),
        (
            {"a-b.proto": SYNTAX, "a_b.proto": SYNTAX},
            r"^a_b\.proto:1:1: would be a second a_b_pb2\.py, beside a-b\.proto",
        ),
        ({"a.b.proto": SYNTAX, "a/b.proto": SYNTAX}, r"^a/b\.proto:1:1: would be a second a/b_pb2\.py, beside a\.b"),
        ({"B/x.proto": SYNTAX, "b/y.proto": SYNTAX}, r"^b/y\.proto:1:1: b differs from B of B/x\.proto in case alone"),
        ({"A.proto": SYNTAX, "a.proto": SYNTAX}, r"^a\.proto:1:1: a_pb2 differs from A_pb2 of A\.proto in case alone"),
        ({"a.proto": SYNTAX, "a_pb2/b.proto": SYNTAX}, r"^a_pb2/b\.proto:1:1: the package a_pb2 would hide the module"),
    ],
)
def test_what_cant_be_python_is_reported_with_file_line_and_column(
    write_protos: Write, tmp_path: Path, files: Mapping[str, str], problem: str
) -> None:
    with pytest.raises(GenerateError, match=problem) as caught:
        generate(write_protos(files), tmp_path / "out")
    assert "_out:" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_fields_values_and_methods_may_be_named_as_words_of_python(write_protos: Write, tmp_path: Path) -> None:
    text = "enum E {\n  else = 0;\n  True = 1;\n}\nmessage M {\n  E import = 1;\n  string self = 2;\n  oneof is {\n"
    text += (
        "    string from = 3;\n  }\n}\nservice None {\n  rpc Import(M) returns (M);\n  rpc class(M) returns (M);\n}\n"
    )
    generate(write_protos({"k/k.proto": SYNTAX + "package k;\n" + text}), tmp_path / "out")
    program = """
from k.k_pb2 import M
from k.none_novita import NoneClient, NoneMethods
from novita_sdk.typed import find_adapter
print([method.python_name for method in NoneMethods.ALL], NoneClient.class_)
print(find_adapter(M).dump(find_adapter(M).parse({"import": "True", "self": "a", "from": "b"})))
"""
    printed = run(tmp_path / "out", program)
    assert printed.startswith("['import_', 'class_'] <function NoneClient.class_")
    assert """{"import":"True","self":"a","from":"b"}""" in printed
    types = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "k"],
        cwd=tmp_path / "out",
        capture_output=True,
        text=True,
        check=False,
    )
    assert types.returncode == 0, types.stdout
