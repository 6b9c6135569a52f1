"""Pydantic models. They say themselves what happens to unknown members (`model_config`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from novita_sdk.typed._violations import ContractError, Violation, cut, join
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

    def parse(self, value: JSONValue, *, lenient: bool = False) -> ModelT:  # noqa: ARG002  the model decides
        """As `Adapter.parse`."""
        # As text, because pydantic reads JSON by other rules than Python objects: a date is text in JSON.
        return self._read(payload.dump(value))

    def dump(self, value: ModelT) -> bytes:
        """As `Adapter.dump`."""
        if not isinstance(value, self._kind):
            message = f"must be a {self.name}"
            raise ContractError(self.name, [Violation(field="", rule="type", message=message, value=cut(value))])
        data = value.model_dump_json(by_alias=True, warnings=False).encode()
        self._read(data)
        return data

    def schema(self) -> dict[str, JSONValue]:
        """As `Adapter.schema`."""
        return self._kind.model_json_schema()

    def _read(self, data: bytes) -> ModelT:
        from pydantic import ValidationError

        try:
            return self._kind.model_validate_json(data)
        except ValidationError as error:
            violations = [
                Violation(field=_path(item["loc"]), rule=item["type"], message=item["msg"], value=cut(item["input"]))
                for item in error.errors(include_url=False, include_context=False)
            ]
            raise ContractError(self.name, violations) from None


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path = join(path, f"[{part}]" if isinstance(part, int) else part)
    return path
