"""Pydantic models. They say themselves what happens to unknown members (`model_config`)."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from novita_sdk.typed._paths import OpenFile, expect_file, file_schema, has_paths, open_paths
from novita_sdk.typed._violations import ContractError, Violation, cut, join, too_deep
from novita_sdk.wire import payload
from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["ModelAdapter"]

ModelT = TypeVar("ModelT", bound="BaseModel")


class ModelAdapter(Generic[ModelT]):
    """Reads and writes one pydantic model."""

    def __init__(self, kind: type[ModelT]) -> None:
        self.name = kind.__name__
        self._kind = kind

    @functools.cached_property
    def has_paths(self) -> bool:
        """As `Adapter.has_paths`."""
        from pydantic import PydanticUserError

        try:
            return has_paths(self._schema)
        except PydanticUserError:  # no schema can describe it
            return False

    @functools.cached_property
    def _schema(self) -> dict[str, JSONValue]:
        return self._kind.model_json_schema()

    def parse(
        self,
        value: JSONValue,
        *,
        lenient: bool = False,  # noqa: ARG002  the model decides
        open_file: OpenFile = expect_file,
    ) -> ModelT:
        """As `Adapter.parse`."""
        # As text, because pydantic reads JSON by other rules than Python objects: a date is text in JSON.
        try:
            if not self.has_paths:
                return self._read(payload.dump(value, self.name))
            opened, violations = open_paths(value, self._schema, open_file)
            if violations:
                raise ContractError(self.name, violations)
            return self._read(msgspec.json.encode(opened, enc_hook=str))
        except RecursionError:
            raise ContractError(self.name, [too_deep(value)]) from None
        except (payload.PayloadError, UnicodeError) as error:
            problem = Violation(field="", rule="type", message=f"must fit into JSON: {error}", value=cut(value))
            raise ContractError(self.name, [problem]) from None

    def dump(self, value: object) -> bytes:
        """As `Adapter.dump`."""
        if not isinstance(value, self._kind):
            message = f"must be a {self.name}"
            raise ContractError(self.name, [Violation(field="", rule="type", message=message, value=cut(value))])
        data = value.model_dump_json(by_alias=True, warnings=False).encode()
        self.parse(payload.load(data))
        return data

    def schema(self) -> dict[str, JSONValue]:
        """As `Adapter.schema`."""
        return file_schema(self._schema)

    def _read(self, data: bytes) -> ModelT:
        from pydantic import ValidationError

        try:
            return self._kind.model_validate_json(data)
        except ValidationError as error:
            violations = [
                Violation(
                    field=_path(item["loc"]),
                    rule=item["type"],
                    message=_sentence(item["msg"]),
                    value=cut(item["input"]),
                )
                for item in error.errors(include_url=False, include_context=False)
            ]
            raise ContractError(self.name, violations) from None


def _sentence(reason: str) -> str:
    """What pydantic says, as it goes on after the path of a field."""
    known = {"Field required": "must be there", "Extra inputs are not permitted": "is not known"}
    should = re.fullmatch(r"(?:\w+ )+?should (?P<rest>.+)", reason, re.DOTALL)
    return known.get(reason) or (f"must {should['rest']}" if should else reason[:1].lower() + reason[1:])


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path = join(path, f"[{part}]" if isinstance(part, int) else part)
    return path
