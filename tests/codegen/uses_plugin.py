"""A mypy plugin that notes which fields of the protocol's messages the checked code reads and writes.

It changes no type. Each use is a line in the file `uses` beside mypy's configuration: `reads` or `writes`, the name of
the field, and the place. A constructor's keyword and an assignment write; any other attribute and `HasField` read. mypy
looks at the target of an assignment twice, so that such a place has a line of each kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from mypy.options import Options
from mypy.plugin import AttributeContext, FunctionContext, MethodContext, Plugin
from mypy.types import Type

PROTOCOL = "novita_protocol"
MEMBER = re.compile(rf"({PROTOCOL}\..+)\.\w+_pb2(\..+)")
"""A message, field or method of the generated modules; the groups make its name in the protos."""
STRING = re.compile(r"Literal\['(\w+)'\]")


class UsesPlugin(Plugin):
    def __init__(self, options: Options) -> None:
        super().__init__(options)
        assert options.config_file is not None
        self.uses = Path(options.config_file).with_name("uses")

    def get_attribute_hook(self, fullname: str) -> Callable[[AttributeContext], Type] | None:
        member = MEMBER.fullmatch(fullname)
        if member is None:
            return None
        name = member[1] + member[2]

        def note(context: AttributeContext) -> Type:
            self.note("writes" if context.is_lvalue else "reads", name, context)
            return context.default_attr_type

        return note

    def get_function_hook(self, fullname: str) -> Callable[[FunctionContext], Type] | None:
        member = MEMBER.fullmatch(fullname)
        if member is None:
            return None
        message = member[1] + member[2]

        def note(context: FunctionContext) -> Type:
            self.note("writes", message, context)
            for names in context.arg_names:
                for name in filter(None, names):
                    self.note("writes", f"{message}.{name}", context)
            return context.default_return_type

        return note

    def get_method_hook(self, fullname: str) -> Callable[[MethodContext], Type] | None:
        member = MEMBER.fullmatch(fullname)
        if member is None or not fullname.endswith(".HasField"):
            return None
        message = (member[1] + member[2]).removesuffix(".HasField")

        def note(context: MethodContext) -> Type:
            for type_ in context.arg_types[0]:
                for name in STRING.findall(str(type_)):
                    self.note("reads", f"{message}.{name}", context)
            return context.default_return_type

        return note

    def note(self, use: str, name: str, context: AttributeContext | FunctionContext | MethodContext) -> None:
        path, place = context.api.path, context.context
        if PROTOCOL in Path(path).parts:
            return  # generated code takes part in no decision
        with self.uses.open("a", encoding="utf-8") as file:
            file.write(f"{use} {name} {path}:{place.line}:{place.column}-{place.end_line}:{place.end_column}\n")


def plugin(version: str) -> type[Plugin]:
    """Where mypy starts."""
    del version
    return UsesPlugin
