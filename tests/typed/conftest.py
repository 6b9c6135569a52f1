from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from novita_codegen import generate
from novita_gateway import Gateway
from novita_sdk import Client, Endpoint

KINDS = """\
syntax = "proto3";

package kinds.v1;

import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

enum Color {
  COLOR_UNSPECIFIED = 0;
  COLOR_RED = 1;
  COLOR_BLUE = 2;
}

message Kinds {
  int32 int_32 = 1;
  int64 int_64 = 2;
  uint32 uint_32 = 3;
  uint64 uint_64 = 4;
  sint64 sint_64 = 5;
  fixed32 fixed_32 = 6;
  float float_32 = 7;
  double float_64 = 8;
  bool flag = 9;
  string text = 10;
  bytes data = 11;
  Color color = 12;
  Kinds child = 13;
  optional int32 maybe = 14;
  repeated int64 numbers = 15;
  repeated string texts = 16;
  repeated Color colors = 17;
  repeated Kinds children = 18;
  map<string, int64> counts = 19;
  map<int32, string> names = 20;
  map<bool, Kinds> by_flag = 21;
  map<string, bytes> blobs = 22;
  oneof choice {
    string left = 23;
    int32 right = 24;
  }
  string renamed = 25 [json_name = "otherName"];
  google.protobuf.Timestamp time = 26;
  google.protobuf.Duration span = 27;
  google.protobuf.Struct free = 28;
  google.protobuf.Value any_json = 29;
  google.protobuf.Int64Value boxed = 30;
  google.protobuf.NullValue nothing = 31;
  repeated google.protobuf.Timestamp times = 32;
  google.protobuf.Any packed = 33;
  repeated float floats = 34;
}
"""

SHOP = """\
syntax = "proto3";

package shop.v1;

import "buf/validate/validate.proto";
import "novita_protocol/v1/file.proto";

message Draw {
  string prompt = 1 [(buf.validate.field).string.min_len = 1];
  int32 width = 2 [(buf.validate.field).int32 = {gte: 64, lte: 2048}];
  uint64 seed = 3;
  repeated Layer layers = 4;
  map<string, Layer> named = 5;
}

message Layer {
  float weight = 1 [(buf.validate.field).float.lte = 1];
}

message Drawn {
  repeated novita_protocol.v1.File images = 1 [(buf.validate.field).repeated.min_items = 1];
}

message Token {
  string text = 1 [(buf.validate.field).string.min_len = 1];
}

// Draws pictures.
service DrawService {
  // Draws one picture.
  rpc Draw(.shop.v1.Draw) returns (Drawn);
}

service TalkService {
  rpc Talk(.shop.v1.Draw) returns (stream Token);
}

service StudioService {
  rpc Sketch(.shop.v1.Draw) returns (Token);

  rpc Paint(.shop.v1.Draw) returns (Drawn);
}

service FeedService {
  rpc Words(.shop.v1.Draw) returns (stream Token);

  rpc Pictures(.shop.v1.Draw) returns (stream Drawn);
}
"""


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source root with the code of the protos above, importable."""
    folder = tmp_path_factory.mktemp("typed")
    for name, text in {"kinds/v1/kinds.proto": KINDS, "shop/v1/shop.proto": SHOP}.items():
        path = folder / "proto" / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    generate(folder / "proto", folder / "out")
    sys.path.insert(0, str(folder / "out"))
    return folder / "out"


@pytest.fixture(scope="session")
def kinds(generated: Path) -> ModuleType:
    return importlib.import_module("kinds.v1.kinds_pb2")


@pytest.fixture(scope="session")
def shop(generated: Path) -> ModuleType:
    return importlib.import_module("shop.v1.shop_pb2")


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parents[2]


@pytest.fixture
def serve(
    gateway: Gateway, plain_environment: dict[str, str], generated: Path, tmp_path: Path
) -> Iterator[Callable[..., Endpoint]]:
    """Starts a worker of `typed_worker.py` and returns its endpoint."""
    path = os.pathsep.join([str(generated), os.environ.get("PYTHONPATH", "")])
    workers: list[subprocess.Popen[bytes]] = []
    with Client(api_key=gateway.api_key, base_url=gateway.url) as client:

        def start(kind: str, **config: Any) -> Endpoint:
            name = f"{kind}-{len(workers)}-{tmp_path.name}".replace("_", "-").lower()
            command = [sys.executable, str(Path(__file__).parent / "typed_worker.py"), kind, json.dumps(config)]
            environment = {**plain_environment, **gateway.worker_env(name), "PYTHONPATH": path}
            workers.append(subprocess.Popen(command, env=environment, cwd=tmp_path))
            return client.endpoint(name)

        yield start
    for worker in workers:
        worker.terminate()
    assert [worker.wait(10) for worker in workers] == [0] * len(workers)


@pytest.fixture
def run_process(plain_environment: dict[str, str], tmp_path: Path) -> Callable[..., AbstractContextManager[None]]:
    """Runs a script with variables while a block lasts, and sees that it ends cleanly."""

    @contextmanager
    def run(script: Path, variables: dict[str, str]) -> Iterator[None]:
        process = subprocess.Popen([sys.executable, str(script)], env={**plain_environment, **variables}, cwd=tmp_path)
        try:
            yield
        finally:
            process.terminate()
            assert process.wait(20) == 0

    return run
