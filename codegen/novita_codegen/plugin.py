"""`protoc-gen-novita`: a plugin of protoc that writes `<name>_novita.py` for each proto with services.

protoc starts it, writes a CodeGeneratorRequest to its standard input and reads a CodeGeneratorResponse from its output.
"""

from __future__ import annotations

import sys

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse

from novita_codegen._model import message_types, services
from novita_codegen._render import render


def respond(request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """Answers protoc: one module per file that was asked for and has services."""
    response = CodeGeneratorResponse(supported_features=CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL)
    types = message_types(request.proto_file)
    asked = set(request.file_to_generate)
    for file in request.proto_file:
        if file.name in asked and file.service:
            content = render(file.name, services(file, types))
            response.file.add(name=f"{file.name.removesuffix('.proto')}_novita.py".replace("-", "_"), content=content)
    return response


def main() -> None:
    """Serves one request of protoc."""
    request = CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(respond(request).SerializeToString())


if __name__ == "__main__":
    main()
