"""Whose answer it is: what names a job must name the one that was asked about."""

from __future__ import annotations

from google.protobuf.message import Message

from novita_sdk.wire.codec import WireError

__all__ = ["WrongJobError", "check_job", "job_named_in"]


class WrongJobError(WireError):
    """An answer of the protocol, but about another job, as a proxy that mixes answers up gives it."""


def check_job(found: object, expected: str) -> None:
    """Refuses an answer about another job; one that names none may be about this one.

    Raises:
        WrongJobError: It names another.
    """
    if found and found != expected:
        raise WrongJobError(f"it is about job {found!r:.80}, not {expected!r}")


def job_named_in(response: Message) -> str:
    """The job that a response message is about; empty where it names none."""
    return str(getattr(getattr(response, "job", response), "id", ""))
