"""The webhooks that are to be called."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from novita_gateway.board.rows import Row

__all__ = ["NoticeQueue"]


class NoticeQueue:
    """Final jobs whose webhooks wait, in the order in which they became final."""

    def __init__(self) -> None:
        self._rows: deque[Row] = deque()
        self._added = asyncio.Event()

    def add(self, rows: Iterable[Row]) -> None:
        """Puts final jobs at the end."""
        self._rows.extend(rows)
        self._added.set()

    async def first(self) -> Row:
        """The job at the front, where it stays; waits until there is one."""
        while not self._rows:
            self._added.clear()
            await self._added.wait()
        return self._rows[0]

    def remove_first(self) -> None:
        """Lets the job at the front go."""
        self._rows.popleft()
