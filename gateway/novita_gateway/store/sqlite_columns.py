"""The columns of the table `job`: the fields of a row that are kept, in their order."""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from types import NoneType, UnionType
from typing import Final, get_args, get_origin, get_type_hints

from novita_gateway.board.rows import NOT_KEPT, Row

__all__ = ["KEY", "Column", "columns_of"]

KEY: Final = "seq"
"""The field that is the table's primary key."""

_KINDS: Final = {int: "INTEGER", bool: "INTEGER", float: "REAL", str: "TEXT", bytes: "BLOB"}


@dataclass(frozen=True, slots=True)
class Column:
    """A field as SQLite keeps it."""

    name: str
    declaration: str
    """Such as `INTEGER NOT NULL`."""
    default: object
    """What the rows of an older file get; MISSING where the field has no default."""
    is_bool: bool
    """Whether it is read back as a bool, which SQLite does not have."""


def columns_of(row: type[Row]) -> tuple[Column, ...]:
    """Derives the columns; raises TypeError for a field of a type that SQLite can't keep."""
    types = get_type_hints(row)
    return tuple(_column(field, types[field.name]) for field in fields(row) if field.metadata != NOT_KEPT)


def _column(field: Field[object], annotation: object) -> Column:
    members = get_args(annotation) if get_origin(annotation) is UnionType else (annotation,)
    match [member for member in members if member is not NoneType]:
        case [type() as kind] if kind in _KINDS:
            pass
        case _:
            raise TypeError(
                f"{field.name}: {annotation} can't be a column; keep it as another type, or mark it NOT_KEPT"
            )
    constraint = " PRIMARY KEY" if field.name == KEY else "" if NoneType in members else " NOT NULL"
    return Column(field.name, _KINDS[kind] + constraint, field.default, kind is bool)
