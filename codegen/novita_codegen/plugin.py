"""`protoc-gen-novita`: a plugin of protoc that writes `<service>_novita.py` for each service, and comments of messages.

protoc starts it, writes a CodeGeneratorRequest to its standard input and reads a CodeGeneratorResponse from its output.
"""

from __future__ import annotations

import sys
from pathlib import PurePosixPath

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse

from novita_codegen import _comments, _render_http, _render_jobs
from novita_codegen._model import UnsupportedError, message_types, services, snake_case
from novita_codegen._names import module_path


def respond(request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """Answers protoc: one module per service of the files that were asked for, and their comments for protoc's own."""
    response = CodeGeneratorResponse(supported_features=CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL)
    types = message_types(request.proto_file)
    asked = set(request.file_to_generate)
    written: dict[str, str] = {}
    try:
        for file in request.proto_file:
            for service in services(file, types) if file.name in asked else ():
                renderer = _render_http if service.is_http else _render_jobs
                path = PurePosixPath(file.name).with_name(f"{snake_case(service.name)}_novita.py")
                name = str(path).replace("-", "_")
                if name in written:
                    reason = f"{service.name} would be a second {name}, beside the service at {written[name]}"
                    raise UnsupportedError(f"{service.place}: {reason}")
                written[name] = service.place
                response.file.add(name=name, content=renderer.render(file.name, service))
            if file.name in asked and (comments := _comments.render(file)):
                module = f"{module_path(file.name)}_pb2.py"
                response.file.add(name=module, insertion_point="module_scope", content=comments)
    except UnsupportedError as error:
        response.error = str(error)
    return response


def main() -> None:
    """Serves one request of protoc."""
    request = CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(respond(request).SerializeToString())


if __name__ == "__main__":
    main()
