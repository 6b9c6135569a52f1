"""The changes of a contract's rules that break its callers, which buf does not look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass, GetMessageClassesForFiles

from novita_codegen._change import REFUSED, UNREADABLE, BreakingChange
from novita_codegen._parts import parts, place
from novita_codegen._protoc import GenerateError
from novita_codegen._rules import stricter

__all__ = ["rule_changes"]

_Part: TypeAlias = Descriptor | FieldDescriptor | OneofDescriptor

_LEFT_OUT: Final = "callers that don't know it leave it out, and are refused"
_FOREIGN: Final = ("google.", "buf.", "novita_protocol.")


class _Version:
    """One version of a contract, with all of its messages by their full names."""

    def __init__(self, files: FileDescriptorSet) -> None:
        self._pool = DescriptorPool()
        # Its own, because a validator knows messages by their names, and both versions have the same.
        self.validator = protovalidate.Validator()
        for file in files.file:
            self._pool.Add(file)
        names = [file.name for file in files.file]
        # Also makes the extensions known, which the rules are.
        GetMessageClassesForFiles(names, self._pool)
        self.places = {name: place(file, *path) for file in files.file for _, name, path in parts(file)}
        found = [self._pool.FindFileByName(name) for name in names]
        messages = [inner for file in found for top in file.message_types_by_name.values() for inner in _nested(top)]
        self.messages = {
            message.full_name: message for message in messages if not message.full_name.startswith(_FOREIGN)
        }
        methods = [method for file in found for service in file.services_by_name.values() for method in service.methods]
        self.outputs = _reached(method.output_type for method in methods)
        inputs = _reached(method.input_type for method in methods)
        # What no service has is perhaps what a function takes or returns.
        self.inputs = {name for name in self.messages if name in inputs or name not in self.outputs}

    def rules(self, part: _Part, options: str) -> Message | None:
        """The rules of a part; its options, of the named type, are read anew, because they hide what is not global."""
        data = part.GetOptions().SerializeToString()
        if not data:
            return None
        found = GetMessageClass(self._pool.FindMessageTypeByName(f"google.protobuf.{options}")).FromString(data)
        values = [value for field, value in found.ListFields() if field.full_name.startswith("buf.validate.")]
        return values[0] if values and isinstance(values[0], Message) else None


def rule_changes(old_files: bytes, new_files: bytes) -> Iterator[BreakingChange]:
    """Compares the rules of two versions of a contract.

    Inputs break where rules became stricter, outputs where they became looser: callers check by their own version.

    Args:
        old_files: A serialised FileDescriptorSet.
        new_files: Likewise.

    Raises:
        GenerateError: A rule is wrong.
    """
    old, new = _Version(FileDescriptorSet.FromString(old_files)), _Version(FileDescriptorSet.FromString(new_files))
    for name in old.messages.keys() & new.messages.keys():
        if name in new.inputs:
            yield from _required(old.messages[name], new.messages[name], new)
        for title, before, after, kind in _pairs(old.messages[name], new.messages[name]):
            old_rules, new_rules = old.rules(before, kind), new.rules(after, kind)
            where = new.places.get(after.full_name, after.full_name)
            if name in new.inputs:
                for text in stricter(old_rules, new_rules):
                    yield BreakingChange(place=where, rule="RULE_STRICTER", change=f"{title}: {text}.", effect=REFUSED)
            if name in new.outputs:
                for text in stricter(new_rules, old_rules):
                    change = f"{title} has a looser rule; of the old version's, {text.replace('(before', '(now')}."
                    yield BreakingChange(place=where, rule="RULE_LOOSER", change=change, effect=UNREADABLE)


def _pairs(old: Descriptor, new: Descriptor) -> Iterator[tuple[str, _Part, _Part, str]]:
    """What both versions of a message have: what to call it, both of it, and the type of its options."""
    yield f'Message "{new.name}"', old, new, "MessageOptions"
    for number, field in old.fields_by_number.items():
        if (other := new.fields_by_number.get(number)) is not None:
            yield f'Field "{other.name}" of message "{new.name}"', field, other, "FieldOptions"
    for name, oneof in old.oneofs_by_name.items():
        if (same := new.oneofs_by_name.get(name)) is not None:
            yield f'Oneof "{name}" of message "{new.name}"', oneof, same, "OneofOptions"


def _required(old: Descriptor, new: Descriptor, version: _Version) -> Iterator[BreakingChange]:
    """The new fields that a message is wrong without, as protovalidate itself says."""
    added = {field.name: field for number, field in new.fields_by_number.items() if number not in old.fields_by_number}
    added_oneofs = {name: oneof for name, oneof in new.oneofs_by_name.items() if name not in old.oneofs_by_name}
    if not added:
        return
    try:
        found = version.validator.collect_violations(GetMessageClass(new)())
    except protovalidate.CompilationError as error:
        raise GenerateError(f"a rule of {new.full_name} is wrong: {error}") from None
    for violation in found:
        path = violation.proto.field
        name = path.elements[0].field_name if path is not None and path.elements else None
        part: _Part | None = added.get(name or "") or added_oneofs.get(name or "")
        if part is not None:
            kind = "oneof" if name in added_oneofs else "field"
            change = f'The new {kind} "{name}" of message "{new.name}" can\'t be left out: {violation.proto.rule_id}.'
            where = version.places.get(part.full_name, part.full_name)
            yield BreakingChange(place=where, rule="NEW_FIELD_REQUIRED", change=change, effect=_LEFT_OUT)


def _nested(message: Descriptor) -> Iterator[Descriptor]:
    yield message
    for inner in message.nested_types:
        yield from _nested(inner)


def _reached(messages: Iterable[Descriptor]) -> set[str]:
    """The full names of messages, and of those inside them."""
    waiting, reached = list(messages), set[str]()
    while waiting:
        message = waiting.pop()
        if message.full_name not in reached:
            reached.add(message.full_name)
            waiting += [field.message_type for field in message.fields if field.message_type is not None]
    return reached
