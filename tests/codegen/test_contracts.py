"""What is generated for a user's own services, from nothing but the user's own files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from novita_codegen import GenerateError, generate

Write = Callable[[Mapping[str, str]], Path]

SHOP = """\
syntax = "proto3";

package shop;

import "buf/validate/validate.proto";
import "novita_protocol/v1/file.proto";

message Draw {
  string prompt = 1 [(buf.validate.field).string.min_len = 1];
}

message Drawn {
  repeated novita_protocol.v1.File images = 1;
}

// Draws pictures.
service DrawService {
  // Draws one picture.
  rpc Draw(.shop.Draw) returns (Drawn);
}

service Live {
  rpc Follow(.shop.Draw) returns (stream Drawn);
}
"""


def test_protos_of_ours_and_of_buf_need_not_be_on_disk(write_protos: Write, tmp_path: Path) -> None:
    out = tmp_path / "out"
    generate(write_protos({"shop.proto": SHOP}), out)
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"shop_pb2.py", "shop_pb2.pyi", "draw_service_novita.py", "live_novita.py"} <= names
    assert "buf/validate/validate_pb2.py" in names
    assert not any(name.startswith(("novita_protocol", "google")) for name in names)
    assert not any(name.endswith("_grpc.py") for name in names)


def test_rules_are_bundled_only_where_they_are_used(write_protos: Write, tmp_path: Path) -> None:
    generate(write_protos({"a.proto": 'syntax = "proto3";\nmessage A {}\n'}), tmp_path / "out")
    assert not (tmp_path / "out" / "buf").exists()


def test_the_service_module_reads_like_this(write_protos: Write, tmp_path: Path) -> None:
    generate(write_protos({"shop.proto": SHOP}), tmp_path / "out")
    text = (tmp_path / "out" / "draw_service_novita.py").read_text(encoding="utf-8")
    assert text[text.index("class DrawClient:") :] == GOLDEN


GOLDEN = '''\
class DrawClient:
    """Draws pictures."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def draw(self, request: shop_pb2.Draw, **options: Unpack[RunOptions]) -> TypedJob[shop_pb2.Drawn]:
        """Draws one picture."""
        return self._endpoint.run(request, output_type=shop_pb2.Drawn, **options)


class AsyncDrawClient:
    """Draws pictures."""

    def __init__(self, endpoint: AsyncEndpoint) -> None:
        self._endpoint = endpoint

    async def draw(self, request: shop_pb2.Draw, **options: Unpack[RunOptions]) -> AsyncTypedJob[shop_pb2.Drawn]:
        """Draws one picture."""
        return await self._endpoint.run(request, output_type=shop_pb2.Drawn, **options)


class DrawWorker(ServiceWorker):
    """Draws pictures."""

    METHODS: ClassVar[dict[str, Method[Message, Message]]] = {
        "draw": DrawServiceMethods.DRAW,
    }

    @abstractmethod
    def draw(self, request: shop_pb2.Draw, context: JobContext) -> shop_pb2.Drawn | Awaitable[shop_pb2.Drawn]:
        """Draws one picture."""


def register_draw(worker: DrawWorker) -> dict[str, object]:
    """Returns the config with which `novita_gpus.start` serves the worker."""
    return {"handler": worker}
'''


@pytest.mark.parametrize(
    ("methods", "problem"),
    [
        ("rpc A(stream M) returns (M);", r"a\.proto:4:3: A takes a stream of requests"),
        (
            "rpc A(M) returns (M);\n  rpc B(M) returns (stream M);",
            r"a\.proto:5:3: a service of jobs has either streams",
        ),
        ("rpc GetUrl(M) returns (M);\n  rpc GetURL(M) returns (M);", r"a\.proto:5:3: GetURL would be a second method"),
        ("", r"a\.proto:3:1: S has no methods"),
    ],
)
def test_a_service_that_cant_be_generated_is_reported_with_file_line_and_column(
    write_protos: Write, tmp_path: Path, methods: str, problem: str
) -> None:
    text = f'syntax = "proto3";\nmessage M {{}}\nservice S {{\n  {methods}\n}}\n'
    with pytest.raises(GenerateError, match=problem):
        generate(write_protos({"a.proto": text}), tmp_path / "out")


def test_names_that_python_keeps_for_itself_get_an_underscore(write_protos: Write, tmp_path: Path) -> None:
    text = 'syntax = "proto3";\nmessage M {}\nservice S {\n  rpc Import(M) returns (M);\n}\n'
    generate(write_protos({"my-protos/a-b.proto": text}), tmp_path / "out")
    source = (tmp_path / "out" / "my_protos" / "s_novita.py").read_text(encoding="utf-8")
    assert "def import_(" in source
    assert "from my_protos import a_b_pb2" in source
    compile(source, "s_novita.py", "exec")
