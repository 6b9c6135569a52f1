"""The descriptors of messages, read in one way for all supported versions of protobuf and with strict types."""

from __future__ import annotations

from typing import cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

__all__ = [
    "descriptor",
    "enum",
    "fields",
    "has_required",
    "is_delegated",
    "is_repeated",
    "is_required",
    "map_fields",
    "message_class",
    "real_oneof",
]


def descriptor(kind: type[Message]) -> Descriptor:
    """The descriptor of a message type."""
    return cast("Descriptor", kind.DESCRIPTOR)


def fields(kind: type[Message]) -> list[FieldDescriptor]:
    """The fields of a message type, in the proto's order."""
    return cast("list[FieldDescriptor]", list(kind.DESCRIPTOR.fields))


def enum(field: FieldDescriptor) -> EnumDescriptor:
    """The type of an enum field."""
    return cast("EnumDescriptor", field.enum_type)


def message_class(field: FieldDescriptor) -> type[Message]:
    """The class of a message field."""
    return GetMessageClass(cast("Descriptor", field.message_type))


def is_repeated(field: FieldDescriptor) -> bool:
    """Whether it is a list or a map."""
    # `is_repeated` is absent from 5.29, and `label` is on its way out in 7.
    flag: bool | None = getattr(field, "is_repeated", None)
    return getattr(field, "label", None) == FieldDescriptor.LABEL_REPEATED if flag is None else flag


def is_required(field: FieldDescriptor) -> bool:
    """Whether it is a `required` field of proto2."""
    flag: bool | None = getattr(field, "is_required", None)
    return getattr(field, "label", None) == FieldDescriptor.LABEL_REQUIRED if flag is None else flag


def has_required(kind: Descriptor) -> bool:
    """Whether a message, or one inside it, has fields that proto2 requires."""
    waiting, seen = [kind], {kind.full_name}
    while waiting:
        for field in waiting.pop().fields:
            if is_required(field):
                return True
            inner = field.message_type
            if inner is not None and inner.full_name not in seen:
                seen.add(inner.full_name)
                waiting.append(inner)
    return False


def map_fields(field: FieldDescriptor) -> tuple[FieldDescriptor, FieldDescriptor] | None:
    """Key and value of a map; None for all other fields."""
    kind = field.message_type
    if kind is None or not kind.GetOptions().map_entry:
        return None
    return kind.fields_by_name["key"], kind.fields_by_name["value"]


def is_delegated(kind: Descriptor) -> bool:
    """Whether its JSON form is google's own affair: well-known types, and messages with extensions."""
    return kind.full_name.startswith("google.protobuf.") or kind.is_extendable


def real_oneof(field: FieldDescriptor) -> str | None:
    """The oneof that the field is in; `optional` makes none."""
    oneof = field.containing_oneof
    if oneof is None or (len(oneof.fields) == 1 and oneof.name.startswith("_")):
        return None
    return oneof.name
