"""The generated protocol of this project: it imports little, and its tables agree with the protos."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

import novita_protocol
from novita_protocol.method import Method
from novita_protocol.v1 import jobs_service_novita, jobs_service_pb2, worker_service_novita, worker_service_pb2

JobsTable = type[jobs_service_novita.JobsServiceMethods]
WorkerTable = type[worker_service_novita.WorkerServiceMethods]

SERVICES = [
    (jobs_service_novita.JobsServiceMethods, jobs_service_pb2.DESCRIPTOR.services_by_name["JobsService"]),
    (worker_service_novita.WorkerServiceMethods, worker_service_pb2.DESCRIPTOR.services_by_name["WorkerService"]),
]


def python(code: str, *options: str) -> str:
    outcome = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def light_modules() -> list[str]:
    """All generated modules but those that stand for google.api options or gRPC."""
    folder = Path(novita_protocol.__path__[0])
    names = [
        path.relative_to(folder.parent).with_suffix("").as_posix().replace("/", ".") for path in folder.rglob("*.py")
    ]
    return sorted(name for name in names if not name.endswith(("_service_pb2", "_grpc", "__init__")))


def test_messages_and_tables_import_nothing_but_protobuf() -> None:
    imports = ", ".join(light_modules())
    loaded = python(f"import sys, {imports}\nprint(*sys.modules)").split()
    assert len(light_modules()) >= 10
    assert [name for name in loaded if name.startswith(("google.api", "grpc"))] == []


def test_each_message_module_imports_without_a_warning() -> None:
    code = "import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(name)"
    subprocess.run([sys.executable, "-W", "error", "-c", code, *light_modules()], check=True)


@pytest.mark.parametrize(("table", "descriptor"), SERVICES)
def test_every_rpc_is_in_its_table_with_binding_and_idempotency(
    table: JobsTable | WorkerTable, descriptor: ServiceDescriptor
) -> None:
    methods: dict[str, Method[Message, Message]] = {method.name: method for method in table.ALL}
    assert list(methods) == [rpc.name for rpc in descriptor.methods]
    levels = ["unknown", "no_side_effects", "idempotent"]
    for rpc in descriptor.methods:
        method, rule = methods[rpc.name], rpc.GetOptions().Extensions[annotations_pb2.http]
        assert method.service == descriptor.full_name
        assert (method.request.DESCRIPTOR, method.response.DESCRIPTOR) == (rpc.input_type, rpc.output_type)
        assert getattr(rule, method.verb.lower()) == method.path
        assert (method.body, method.response_body) == (rule.body, rule.response_body)
        assert method.idempotency == levels[rpc.GetOptions().idempotency_level]


def test_tables_cant_be_changed() -> None:
    with pytest.raises(AttributeError):
        jobs_service_novita.JobsServiceMethods.RUN.path = "/elsewhere"  # type: ignore[misc] # the mistake
