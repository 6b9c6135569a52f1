"""The changes of a contract that break those who call it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from novita_codegen._change import BreakingChange
from novita_codegen._generate import descriptors
from novita_codegen._protoc import GenerateError
from novita_codegen._rule_changes import rule_changes
from novita_codegen._schema_changes import read_schema, schema_changes

__all__ = ["BreakingChange", "breaking_changes"]

_GONE: Final = "callers that send it are refused, and those that read it find nothing"
_RENAMED: Final = "in JSON it is another member: callers that send the old one are refused, readers find nothing"
_RETYPED: Final = "values of callers and workers of the other version can't be read, or mean something else"
_REMOVED_CALL: Final = "jobs that name it fail"
_EFFECTS: Final = {
    "ENUM_NO_DELETE": _GONE,
    "ENUM_VALUE_NO_DELETE": "callers that send it are refused",
    "ENUM_VALUE_SAME_NAME": _RENAMED,
    "FIELD_NO_DELETE": _GONE,
    "FIELD_SAME_JSON_NAME": _RENAMED,
    "FIELD_SAME_ONEOF": "members that could stand together can't any more, or one that was always there may be missing",
    "FIELD_WIRE_JSON_COMPATIBLE_CARDINALITY": "a list is now a single value, or the other way round",
    "FIELD_WIRE_JSON_COMPATIBLE_TYPE": _RETYPED,
    "MESSAGE_NO_DELETE": _GONE,
    "MESSAGE_SAME_REQUIRED_FIELDS": "callers that leave it out are refused",
    "RPC_NO_DELETE": _REMOVED_CALL,
    "RPC_SAME_CLIENT_STREAMING": "callers of the other version can't talk to it",
    "RPC_SAME_REQUEST_TYPE": "the inputs of callers are refused",
    "RPC_SAME_RESPONSE_TYPE": "callers can't read the output",
    "RPC_SAME_SERVER_STREAMING": "callers wait for one output and get a stream, or the other way round",
    "SERVICE_NO_DELETE": _REMOVED_CALL,
}
"""The rules of buf that matter to callers, with what breaking each one does to them."""


def breaking_changes(old: Path, new: Path) -> list[BreakingChange]:
    """Compares two versions of a contract.

    Args:
        old: A directory of protos, a file with a FileDescriptorSet, or the JSON of an endpoint's schema, as
            `novita-gpus schema` prints it.
        new: Likewise.

    Raises:
        GenerateError: A proto is wrong, a file holds no descriptors or schema, or only one of both is a schema.
        FileNotFoundError: `buf` is not installed.
    """
    old_schema, new_schema = read_schema(old), read_schema(new)
    if old_schema is not None and new_schema is not None:
        return list(schema_changes(old_schema, new_schema, new.name))
    if old_schema is not None or new_schema is not None:
        raise GenerateError(
            f"{old} and {new} can't be compared: one is the schema of an endpoint, the other has protos"
        )
    with TemporaryDirectory(prefix="novita-codegen-") as folder:
        old_set, new_set = (descriptors(source) if source.is_dir() else source.read_bytes() for source in (old, new))
        images = [Path(folder) / "old.binpb", Path(folder) / "new.binpb"]
        for image, content in zip(images, (old_set, new_set), strict=True):
            image.write_bytes(content)
        config = {"version": "v2", "breaking": {"use": list(_EFFECTS), "ignore": ["google", "buf"]}}
        command: list[str | Path] = [_buf(), "breaking", images[1], "--against", images[0], "--error-format", "json"]
        outcome = subprocess.run(  # noqa: S603
            [*command, "--config", json.dumps(config)], capture_output=True, text=True, check=False, cwd=folder
        )
    if outcome.returncode not in (0, 100):
        raise GenerateError(outcome.stderr.strip())
    changes = [_change(json.loads(line)) for line in outcome.stdout.splitlines()]
    return sorted([*changes, *rule_changes(old_set, new_set)], key=lambda item: (item.place, item.change))


def _change(found: dict[str, str | int]) -> BreakingChange:
    rule = str(found["type"])
    place = str(found.get("path", "a removed file"))
    if "start_line" in found:
        place += f":{found['start_line']}:{found.get('start_column', 1)}"
    return BreakingChange(
        place=place, rule=rule, change=str(found["message"]).partition(" See http")[0], effect=_EFFECTS[rule]
    )


def _buf() -> str:
    """The program, which its package puts beside the interpreter."""
    path = shutil.which("buf", path=sysconfig.get_path("scripts")) or shutil.which("buf")
    if path is None:
        raise FileNotFoundError("comparing contracts needs buf: pip install 'novita-gpus[codegen]'")
    return path
