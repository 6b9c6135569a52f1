"""The pages of a job's stream: where a reader is in it, and what comes from there on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from novita_gateway._errors import BadRequestError, ChunkMissingError
from novita_gateway.board.commands import Append
from novita_gateway.board.rows import Row
from novita_gateway.store.journal import FIRST_CHUNK, Part, Payloads
from novita_sdk.models import ReadStreamResponse, StreamChunk
from novita_sdk.wire.payload import MAX_PAYLOAD

__all__ = ["Place", "check_gap", "stream_page"]

CHUNKS: Final = 1000
"""In one reply."""
_CURSOR: Final = re.compile(r"(?:([0-9]{1,9})-)?([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reader is: in the stream of which take of the job, and before which chunk of it."""

    take: int
    number: int

    @classmethod
    def parse(cls, cursor: str) -> Self:
        """Reads a cursor; raises BadRequestError for one of nowhere."""
        match = _CURSOR.fullmatch(cursor)
        if match is None or (match[1] is None and match[2] != "0"):
            raise BadRequestError(
                f"cursor {cursor[:40]!r} is not one that this gateway gave out; a stream begins with cursor 0"
            )
        return cls(int(match[1] or 0), int(match[2]))

    def __str__(self) -> str:
        return f"{self.take}-{self.number}"

    def in_stream(self, row: Row) -> int:
        """The number of the next chunk, which is the first one where the stream began anew."""
        return self.number if self.take == row.takes and self.number <= row.chunks else 0

    def is_at_end(self, row: Row) -> bool:
        """Whether the reader has all there is."""
        return self.number == self.in_stream(row) == row.chunks


def stream_page(row: Row, payloads: Payloads, first: int) -> ReadStreamResponse:
    """The job's state, and its chunks from number `first` on: as many as fit into one reply, and one in any case."""
    chunks: list[StreamChunk] = []
    room = MAX_PAYLOAD
    for number in range(first, min(row.chunks, first + CHUNKS)):
        chunk = payloads.get(row, FIRST_CHUNK + number)
        room -= len(chunk)
        if chunks and room < 0:
            break
        chunks.append(StreamChunk(output=chunk))
    error = payloads.get(row, Part.ERROR) if row.has_error else None
    return ReadStreamResponse(id=row.id, status=row.status, stream=chunks, error=error)


def check_gap(row: Row, append: Append) -> None:
    """Raises ChunkMissingError for a chunk that was not taken because one before it never came."""
    is_held = row.is_running and row.worker_id == append.worker_id and append.take in {None, row.takes}
    if is_held and append.number is not None and append.number > row.chunks:
        raise ChunkMissingError(
            f"chunk {append.number} of job {row.id!r} came after {row.chunks} chunks: one before it is missing",
            job_id=row.id,
        )
