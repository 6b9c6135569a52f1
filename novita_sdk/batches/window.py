"""The window over a batch: the items under way, and the results that may be handed out. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeAlias, TypeVar

__all__ = ["Failed", "Result", "Value", "Window"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Value(Generic[T]):
    """An item that came to its end."""

    value: T

    def unwrap(self) -> T:
        """Returns the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Failed:
    """An item that ended in an error."""

    error: Exception

    def unwrap(self) -> NoReturn:
        """Raises the error."""
        raise self.error


Result: TypeAlias = Value[T] | Failed


class Window(Generic[T]):
    """A batch of unknown length of which at most `size` items are begun and not yet handed out.

    Args:
        size: At least 1.
        ordered: Hand results out in the order in which their items were begun, else as they come.
    """

    def __init__(self, size: int, *, ordered: bool) -> None:
        self._size = size
        self._ordered = ordered
        self._begun = 0
        self._handed_out = 0
        self._finished: dict[int, Result[T]] = {}
        self._arrived: deque[Result[T]] = deque()

    @property
    def has_room(self) -> bool:
        """Whether another item may begin."""
        return self._begun - self._handed_out < self._size

    @property
    def is_empty(self) -> bool:
        """Whether every item that was begun was handed out."""
        return self._begun == self._handed_out

    def begin(self) -> int:
        """Counts an item in and returns its number."""
        self._begun += 1
        return self._begun - 1

    def finish(self, number: int, result: Result[T]) -> None:
        """Takes the result of an item."""
        if self._ordered:
            self._finished[number] = result
        else:
            self._arrived.append(result)

    def pop(self) -> Result[T] | None:
        """The next result to hand out, or None if there is none yet."""
        result: Result[T] | None = None
        if self._ordered:
            result = self._finished.pop(self._handed_out, None)
        elif self._arrived:
            result = self._arrived.popleft()
        if result is not None:
            self._handed_out += 1
        return result
