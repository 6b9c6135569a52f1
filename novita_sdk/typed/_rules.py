"""The rules of `buf/validate` in a proto, checked by protovalidate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message

from novita_sdk.typed._fields import descriptor
from novita_sdk.typed._violations import LISTED, Violation, cut

if TYPE_CHECKING:
    from protovalidate import FieldPathPb

__all__ = ["Check", "find_check"]

Check: TypeAlias = Callable[[Message], list[Violation]]
"""Lists what is wrong with a message."""


def find_check(kind: type[Message]) -> Check | None:
    """What checks the messages of a type; None where no proto of it has rules.

    Raises:
        ModuleNotFoundError: There are rules, and nothing to check them with.
        ValueError: A rule in the proto is wrong.
    """
    if not _has_rules(descriptor(kind).file, set()):
        return None
    try:
        import protovalidate
    except ModuleNotFoundError as error:
        reason = (
            f"{kind.DESCRIPTOR.full_name} has rules of buf/validate; to check them: pip install 'novita-gpus[typed]'"
        )
        raise ModuleNotFoundError(reason, name=error.name) from None
    # Of its own: a validator knows messages by name, and a schema of the gateway's may have another of the same name.
    collect = protovalidate.Validator().collect_violations
    try:
        collect(kind())
    except protovalidate.CompilationError as error:
        raise ValueError(f"a rule of {kind.DESCRIPTOR.full_name} is wrong: {error}") from None

    def check(message: Message) -> list[Violation]:
        found = collect(message)
        return [
            Violation(
                field=_path(item.proto.field),
                rule=item.proto.rule_id or "",
                message=item.proto.message or "",
                value=cut(item.field_value),
            )
            for item in found[: LISTED + 1]
        ]

    return check


def _has_rules(file: FileDescriptor, seen: set[str]) -> bool:
    if file.name == "buf/validate/validate.proto":
        return True
    seen.add(file.name)
    return any(_has_rules(other, seen) for other in file.dependencies if other.name not in seen)


def _path(field: FieldPathPb | None) -> str:
    """`images[0].labels["a"]`."""
    if field is None:
        return ""
    parts = []
    for element in field.elements:
        parts.append(f".{element.field_name}")
        if element.subscript is not None:
            key = element.subscript.value
            parts.append(f'["{key}"]' if isinstance(key, str) else f"[{key}]")
    return "".join(parts).removeprefix(".")
