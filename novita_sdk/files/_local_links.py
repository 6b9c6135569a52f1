"""Links that only this process can have made: to content that it holds, or to a file of this machine.

They are signed with a key of the process. Both sides copy links from what others sent them, and nobody's words may make
a program upload a file.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Final

__all__ = ["LINK", "data_link", "follow", "path_link"]

LINK: Final = "novita-local:"
"""What these links begin with."""

_KEY: Final = secrets.token_bytes(32)


def data_link(data: bytes) -> str:
    """The link that holds some content."""
    return _link(f"data,{base64.b64encode(data).decode()}")


def path_link(path: Path, state: str) -> str:
    """The link to a file as it is; see `NamedFile.state`."""
    return _link(f"path,{state},{path.absolute()}")


def follow(url: str) -> tuple[Path, str] | bytes | None:
    """The file and its state, or the content, behind a link; None where this process has not made it."""
    signature, _, content = url.removeprefix(LINK).partition(",")
    kind, _, rest = content.partition(",")
    if not hmac.compare_digest(signature.encode(), _sign(content).encode()):
        return None
    if kind == "data":
        return base64.b64decode(rest)
    state, _, path = rest.partition(",")
    return Path(path), state


def _link(content: str) -> str:
    return f"{LINK}{_sign(content)},{content}"


def _sign(content: str) -> str:
    return hmac.new(_KEY, content.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
