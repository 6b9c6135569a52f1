"""The words of hints: what happened, as those who wait know it. No name has a blank or a slash in it."""

from __future__ import annotations

from collections.abc import Iterable

from novita_gateway.board.commands import Event, EventKind
from novita_gateway.board.rows import Row

__all__ = ["NOTICE", "chunks", "endpoint_of", "final", "heard", "of_events", "queued", "revised", "stopped"]

NOTICE = "N"
"""A webhook is to be called."""


def queued(endpoint: str) -> str:
    """A job waits for a worker."""
    return f"Q:{endpoint}"


def endpoint_of(word: str) -> str | None:
    """The endpoint of `queued`; None for every other word."""
    return word[2:] if word.startswith("Q:") else None


def final(endpoint: str, id: str) -> str:
    """A job is over, or gone."""
    return f"F:{endpoint}/{id}"


def revised(endpoint: str, id: str) -> str:
    """A job has another revision."""
    return f"R:{endpoint}/{id}"


def chunks(endpoint: str, id: str) -> str:
    """A job's stream went on, or began anew."""
    return f"C:{endpoint}/{id}"


def stopped(endpoint: str, worker_id: str) -> str:
    """A worker is to stop something."""
    return f"S:{endpoint}/{worker_id}"


def heard(word: str) -> Iterable[str]:
    """What a word means for those who wait: the end of a job is a revision, and the end of its stream."""
    return (word, f"R{word[1:]}", f"C{word[1:]}") if word.startswith("F:") else (word,)


def of_events(events: Iterable[Event]) -> Iterable[str]:
    """What those who wait are told of events; of queued jobs, only that they were revised."""
    for event in events:
        row: Row = event.row
        match event.kind:
            case EventKind.FINISHED:
                yield final(row.endpoint, row.id)
                if row.notify:
                    yield NOTICE
            case EventKind.QUEUED | EventKind.TAKEN | EventKind.PROGRESSED:
                yield revised(row.endpoint, row.id)
            case EventKind.APPENDED | EventKind.RESTARTED:
                yield chunks(row.endpoint, row.id)
            case EventKind.FORGOTTEN:
                yield final(row.endpoint, row.id)
            case EventKind.STOP_ORDERED:
                yield stopped(row.endpoint, event.worker_id)
            case _:
                pass
