"""Every message, field, option and enum value of the protos has a reader and a writer in the code, or a reason.

Fields are found by their message's type, with mypy. Tables that go over all fields, as the codec's, use no particular
one and don't count. An enum value's word is read where it is compared and written anywhere else.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import Message

from novita_codegen import descriptors
from novita_sdk.models import wire_name

pytestmark = pytest.mark.sources

PACKAGE = "novita_protocol.v1."
ROOT = Path(__file__).resolve().parents[2]
PLUGIN = Path(__file__).with_name("uses_plugin.py")

# Names by the reason for which nothing here reads or writes them: `Message: field field`, or an option's name.
UNREAD: Mapping[str, tuple[str, ...]] = {
    "It is the whole body of the reply, which the client reads as it reads a GetStatusResponse.": ("RunResponse: job",),
    "The client hands the reply's JSON to its caller.": (
        "CancelResponse: job",
        "GetHealthResponse: health",
        "GetSchemaResponse: schema",
        "JobCounts: completed failed in_progress in_queue retried",
        "MethodSchema: is_stream output output_message",
        "PurgeQueueResponse: removed status",
        "RetryResponse: job",
        "WorkerCounts: idle running",
    ),
    "Our client submits and waits instead of calling runsync; others read the reply.": ("RunSyncResponse: job",),
    "Our client asks for the status of a job whose stream ended badly; others read it here.": (
        "ReadStreamResponse: error",
    ),
    "The worker takes members of the job's JSON object and hands the object to the handler.": (
        "Job: attempt extra s3_config webhook",
        "TakeJobResponse: job",
        "TakeJobsResponse: jobs",
    ),
    "The client takes it from the JSON inside a job's error, which may have any form.": (
        "HandlerError: code error_message error_type violations",
    ),
    "It is for people who look at a job's error.": ("HandlerError: hostname worker_id",),
    "Progress may be any JSON value; the command line shows these members where it has them.": (
        "Progress: fraction message",
    ),
    "Progress may be any JSON value, and this member is the handler's own.": ("Progress: data",),
    "Workers tell the platform; our gateway decides nothing by it.": (
        "FinishJobRequest: is_stream",
        "StreamJobRequest: is_stream",
        "TakeJobRequest: job_in_progress",
        "TakeJobsRequest: job_in_progress",
    ),
    "Published workers tell the platform their version.": ("PingRequest: runpod_version",),
    "A schema is the endpoint's, whichever worker told it.": ("PublishSchemaRequest: worker_id",),
    "A platform's word for a job that is not final, which is all that counts.": ("JobState: JOB_STATE_RUNNING",),
    "Protobuf wants a zero; states travel as words.": ("JobState: JOB_STATE_UNSPECIFIED",),
    "The tests hold the constants of the states to it.": ("wire_name",),
}
UNWRITTEN: Mapping[str, tuple[str, ...]] = {
    "The client sends its caller's JSON object, checked by decoding it.": (
        "ExecutionPolicy: execution_timeout low_priority ttl",
        "JobRequest: extra policy s3_config webhook",
    ),
    "The worker writes URLs from the templates in its environment and sends the body as JSON.": (
        "FinishJobRequest: endpoint id result worker_id",
        "PingRequest: endpoint worker_id",
        "PublishSchemaRequest: endpoint schema worker_id",
        "StreamJobRequest: chunk endpoint id worker_id",
        "TakeJobRequest: endpoint worker_id",
        "TakeJobsRequest: endpoint worker_id",
        "WatchStopsRequest: endpoint worker_id",
    ),
    "Only published workers tell it.": ("PingRequest: check reason runpod_version status",),
    "Our client submits and waits instead of calling runsync; others call it.": (
        "RunSyncRequest: endpoint idempotency_key request wait",
    ),
    "Our client pages with the gateway's own limit; others set one.": ("ListJobsRequest: limit",),
    "Only a platform tells this state.": ("JobState: JOB_STATE_IN_QUEUE JOB_STATE_RUNNING",),
    "Protobuf wants a zero; states travel as words.": ("JobState: JOB_STATE_UNSPECIFIED",),
}


@dataclass(frozen=True, slots=True)
class Uses:
    """Names of the protos, without their package, that something reads and that something writes."""

    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)


def used_fields(folder: Path, root: Path, *arguments: str) -> Uses:
    """The fields and messages that code uses.

    Args:
        folder: For mypy's configuration and the plugin's notes.
        root: The repository.
        arguments: What mypy checks; all of the project's packages, and no tests, where there are none.
    """
    settings = (root / "pyproject.toml").read_text(encoding="utf-8").replace("$MYPY_CONFIG_FILE_DIR", str(root))
    config = folder / "pyproject.toml"
    config.write_text(settings.replace("[tool.mypy]\n", f'[tool.mypy]\nplugins = ["{PLUGIN}"]\n'), encoding="utf-8")
    packages = tomllib.loads(settings)["tool"]["importlinter"]["root_packages"]
    checked = arguments or tuple(f"--package={name}" for name in packages)
    # Code that comes from a cache would not be looked at.
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), "--no-incremental", *checked]
    outcome = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    reads, writes = set[tuple[str, str]](), set[tuple[str, str]]()
    for line in (folder / "uses").read_text(encoding="utf-8").splitlines():
        use, name, place = line.split(maxsplit=2)
        (reads if use == "reads" else writes).add((name.removeprefix(PACKAGE), place))
    return Uses({name for name, _ in reads - writes}, {name for name, _ in writes})


def used_words(sources: Iterable[str]) -> Uses:
    """The names that stand in code, read where they are compared or matched, else written.

    A name of another module is told bare, also where the module's name stands before it; a member with its class.
    """
    uses = Uses()
    for source in sources:
        tree = ast.parse(source)
        imported = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("novita_")
            for alias in node.names
        }
        compared = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Compare, ast.MatchValue))
            for inner in ast.walk(node)
        }
        qualifiers = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for node in ast.walk(tree):
            match node:
                case ast.Name(id=name, ctx=ast.Load()) if name in imported and id(node) not in qualifiers:
                    pass
                case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=member):
                    name = member if owner in imported and owner.islower() else f"{owner}.{member}"
                case _:
                    continue
            (uses.reads if id(node) in compared else uses.writes).add(name)
    return uses


def sources(root: Path) -> Iterator[str]:
    """The code of all packages but the generated one."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    for package in settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        if not package.startswith("generated/"):
            for path in sorted((root / package).rglob("*.py")):
                yield path.read_text(encoding="utf-8")


def gaps(protos: Path, fields: Uses, words: Uses) -> Uses:
    """What of the protos nothing reads and what nothing writes."""
    files = [
        file for file in FileDescriptorSet.FromString(descriptors(protos)).file if file.package == PACKAGE.rstrip(".")
    ]
    missing = Uses()
    for message, names in (pair for file in files for pair in messages(file.message_type)):
        missing.reads.update(names - fields.reads)
        missing.writes.update((names or {message}) - fields.writes)
    for enum in (enum for file in files for enum in enums(file)):
        for value in enum.value:
            name = f"{enum.name}.{value.name}"
            either = {name, value.options.Extensions[wire_name]}
            if not either & words.reads:
                missing.reads.add(name)
            if not either & words.writes:
                missing.writes.add(name)
    chosen = {option for file in files for option in options(file)}
    for extension in (extension for file in files for extension in file.extension):
        if extension.name not in words.reads | words.writes:
            missing.reads.add(extension.name)
        if extension.name not in chosen:
            missing.writes.add(extension.name)
    return missing


def messages(siblings: Iterable[DescriptorProto], within: str = "") -> Iterator[tuple[str, set[str]]]:
    """The names of messages and of those inside them, each with its fields' names."""
    for message in siblings:
        if not message.options.map_entry:
            name = within + message.name
            yield name, {f"{name}.{field.name}" for field in message.field}
            yield from messages(message.nested_type, f"{name}.")


def enums(scope: FileDescriptorProto | DescriptorProto) -> Iterator[EnumDescriptorProto]:
    """The enums of a file or message, and of the messages in it."""
    yield from scope.enum_type
    for message in scope.message_type if isinstance(scope, FileDescriptorProto) else scope.nested_type:
        yield from enums(message)


def options(message: Message) -> Iterator[str]:
    """The names of the options that are set anywhere in a descriptor."""
    for described, value in message.ListFields():
        if described.is_extension:
            yield described.name
        for inner in value if isinstance(value, Iterable) else [value]:
            if isinstance(inner, Message):
                yield from options(inner)


def names_of(entry: str) -> list[str]:
    """The full names in one entry of a table."""
    scope, colon, names = entry.partition(": ")
    return [f"{scope}.{name}" for name in names.split()] if colon else [scope]


def complaints(missing: Uses) -> list[str]:
    """What the gaps and the two tables disagree about."""
    found = []
    for kind, names, table in (("reader", missing.reads, UNREAD), ("writer", missing.writes, UNWRITTEN)):
        listed = {name for group in table.values() for entry in group for name in names_of(entry)}
        found += [f"{name} has no {kind}" for name in sorted(names - listed)]
        found += [f"{name} is listed without a {kind} but has one, or is gone" for name in sorted(listed - names)]
    return found


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Uses:
    """What all packages use."""
    return used_fields(tmp_path_factory.mktemp("uses"), ROOT)


@pytest.fixture(scope="module")
def words() -> Uses:
    return used_words(sources(ROOT))


def test_everything_has_a_reader_and_a_writer_or_a_reason(fields: Uses, words: Uses) -> None:
    found = complaints(gaps(ROOT / "proto", fields, words))
    assert not found, "\n".join(found)


def test_what_nobody_uses_is_named(fields: Uses, words: Uses, tmp_path: Path) -> None:
    protos = shutil.copytree(ROOT / "proto", tmp_path / "proto")
    change(
        protos, "status", "optional int64 revision = 9;", "optional int64 revision = 9;\n  optional string mood = 1000;"
    )
    change(protos, "status", "message JobCounts {", "message Unused {\n  int32 count = 1;\n}\n\nmessage JobCounts {")
    change(protos, "status", "JOB_STATE_TIMED_OUT = 8", 'JOB_STATE_PAUSED = 9 [(wire_name) = "PAUSED"];\n  \\g<0>')
    change(protos, "options", "string header = 51004;", "\\g<0>\n  bool hidden = 51005;")
    change(protos, "worker_messages", r"message PingResponse \{\}", "\\g<0>\n\nmessage Empty {}")
    names = ["JobState.JOB_STATE_PAUSED", "JobStatus.mood", "Unused.count", "hidden"]
    assert complaints(gaps(protos, fields, words)) == [
        *[f"{name} has no reader" for name in names],
        "Empty has no writer",
        *[f"{name} has no writer" for name in names],
    ]


def change(protos: Path, file: str, old: str, new: str) -> None:
    path = protos / "novita_protocol" / "v1" / f"{file}.proto"
    text, count = re.subn(old, new, path.read_text(encoding="utf-8"))
    assert count == 1
    path.write_text(text, encoding="utf-8")


def test_an_entry_that_is_no_longer_needed_is_named(fields: Uses, words: Uses) -> None:
    used = Uses({*fields.reads, "RunSyncResponse.job"}, {*fields.writes, "ListJobsRequest.limit"})
    assert complaints(gaps(ROOT / "proto", used, words)) == [
        "RunSyncResponse.job is listed without a reader but has one, or is gone",
        "ListJobsRequest.limit is listed without a writer but has one, or is gone",
    ]


CODE = """
from novita_sdk.models import Job, JobCounts, JobResult, JobStatus

class Other:
    retries = 1

def use(status: JobStatus | None, job: Job, other: Other) -> JobResult:
    if status is not None and status.HasField("error"):
        status.revision = other.retries
    print(job.policy.ttl, JobCounts(failed=1).retried)
    return JobResult(output=job.input, **{})
"""


def test_a_field_is_told_by_the_type_of_its_message(tmp_path: Path) -> None:
    code = tmp_path / "code.py"
    code.write_text(CODE, encoding="utf-8")
    uses = used_fields(tmp_path, ROOT, str(code))
    assert {name for name in uses.reads if name.startswith("Job")} == {
        "JobStatus.error",
        "Job.policy",
        "Job.input",
        "JobCounts.retried",
    }
    assert uses.writes == {"JobStatus.revision", "JobCounts", "JobCounts.failed", "JobResult", "JobResult.output"}


def test_a_word_is_read_where_it_is_compared() -> None:
    code = """
from novita_sdk.wire import states
from novita_sdk.wire.states import FAILED
from novita_sdk import models
from novita_worker import Phase
number = models.JobState.JOB_STATE_PENDING
status = states.PENDING if states.COMPLETED == old or old in {FAILED} else Phase.RUNNING
match old:
    case states.CANCELLED:
        pass
"""
    uses = used_words([code])
    assert uses.reads == {"COMPLETED", "FAILED", "CANCELLED"}
    assert uses.writes == {"PENDING", "Phase.RUNNING", "JobState", "JobState.JOB_STATE_PENDING"}
