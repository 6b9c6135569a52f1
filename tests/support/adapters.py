"""What reads and writes a user's type."""

from __future__ import annotations

from typing import Any

from novita_sdk.typed import Adapter, find_adapter


def adapter(kind: Any) -> Adapter[Any]:
    """The adapter of a type that has one."""
    found = find_adapter(kind)
    assert found is not None
    return found
