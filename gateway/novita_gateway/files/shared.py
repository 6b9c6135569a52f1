"""That all gateways of one store keep files in the same place: what each tells the others through the store."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Final, Protocol

from novita_gateway._errors import StoreError
from novita_gateway._private_file import write_private
from novita_sdk.threads import FILE_THREADS

__all__ = ["NOWHERE", "PlaceBoard", "agree_on", "agree_on_directory"]

NOWHERE: Final = "nowhere"
_MARKER: Final = "directory with "
_PREFIX: Final = ".seen-by-all-"
_LOOKS: Final = 20
_PAUSE: Final = 0.25
"""Seconds; a network's file system may show a new file to others some seconds later."""
_MOVED: Final = (
    "if the files were moved on purpose, stop all gateways and empty the table file_place; then the first one to start"
    " decides"
)


class PlaceBoard(Protocol):
    """Where gateways that share a store tell each other where they keep files."""

    async def file_place(self) -> str | None:
        """What the last of them told; None where none has."""
        ...

    async def set_file_place(self, place: str, *, before: str | None) -> bool:
        """Tells a place, if the last one is still that; returns whether it was."""
        ...


async def agree_on(board: PlaceBoard, place: str) -> None:
    """Keeps files in a place that can be named.

    Args:
        board: The store.
        place: The same text for each gateway that keeps them there; `NOWHERE` for one that keeps none.

    Raises:
        StoreError: The others keep theirs elsewhere.
    """
    while (before := await board.file_place()) != place:
        if before not in {None, NOWHERE}:
            raise StoreError(
                f"the other gateways of this database keep files in a {_words(before)}, and this one {_words(place)}:"
                f" give all of them the same; {_MOVED}"
            )
        if await board.set_file_place(place, before=before):
            return


async def agree_on_directory(board: PlaceBoard, directory: Path) -> None:
    """Keeps files in a directory that every gateway sees: each leaves a file in it that the next one must find.

    Args:
        board: The store.
        directory: The directory; it is there.

    Raises:
        OSError: Nothing can be written there.
        StoreError: It is not the one of the other gateways.
    """
    name = f"{_PREFIX}{secrets.token_hex(16)}"
    marker = directory / name
    await FILE_THREADS.run(write_private, marker, b"A gateway of this store keeps files here.\n")
    try:
        for look in range(_LOOKS):
            before = await board.file_place()
            other = _marked(before)
            if other is None and before not in {None, NOWHERE}:
                break
            is_seen = other is None or await FILE_THREADS.run((directory / other).exists)
            if is_seen and await board.set_file_place(f"{_MARKER}{name}", before=before):
                if other is not None:
                    (directory / other).unlink(missing_ok=True)  # this one's takes its place
                return
            if not is_seen and look < _LOOKS - 1:
                await asyncio.sleep(_PAUSE)
    except BaseException:
        marker.unlink(missing_ok=True)
        raise
    marker.unlink(missing_ok=True)
    raise StoreError(
        f"the other gateways of this database keep files in a {_words(before)}, and that is not {directory}: name a"
        f" directory that all of them share, or a bucket with BUCKET_ENDPOINT_URL and the like; {_MOVED}"
    )


def _marked(place: str | None) -> str | None:
    """The name of the file that the last gateway left in its directory."""
    return place.removeprefix(_MARKER) if place is not None and place.startswith(_MARKER) else None


def _words(place: str | None) -> str:
    return "directory" if _marked(place) is not None else str(place)
