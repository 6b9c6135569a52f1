"""A URL that a stranger named, as a file of this machine."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from urllib.parse import unquote, urlsplit

from novita_sdk.files._download import Download
from novita_sdk.files._errors import FileError, without_secrets
from novita_sdk.files._file import safe_name
from novita_sdk.files._policy import FetchPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A file that was fetched.

    Attributes:
        path: Where it is, absolute: a random name with the extension that the file has elsewhere.
        name: What the server calls it, or else the URL.
    """

    path: Path
    name: str


def name_in(url: str) -> str:
    """The file name that a URL ends with.

    Raises:
        FileError: It is no http(s) URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise FileError(f"{without_secrets(url)[:200]!r} is not an http(s) URL", code="INVALID")
    return safe_name(unquote(parts.path))


def fetch(url: str, directory: Path, policy: FetchPolicy) -> Fetched:
    """Fetches a URL into a file of its own; what came of a fetch that fails is removed.

    Args:
        url: Where from.
        directory: Where to; made where there is none.
        policy: What may be fetched from where.

    Raises:
        FileError: It could not be fetched, or may not be.
        OSError: It could not be written.
    """
    from novita_sdk.files._guard import GuardedSession

    name = name_in(url)
    directory.mkdir(parents=True, exist_ok=True)
    part = directory.absolute() / uuid.uuid4().hex
    download = Download(url=url, part=part, policy=policy)
    try:
        with GuardedSession(policy) as session:
            download.run(session)
        name = _name_from(download.disposition) or name
        return Fetched(path=part.replace(part.with_name(part.name + Path(name).suffix)), name=name)
    finally:
        part.unlink(missing_ok=True)


def _name_from(disposition: str) -> str | None:
    """The name in a Content-Disposition header, also in the form for other than ASCII (RFC 6266)."""
    header = Message()
    header["Content-Disposition"] = disposition.replace("\r", " ").replace("\n", " ")
    name = header.get_filename()
    return safe_name(name) if name else None
