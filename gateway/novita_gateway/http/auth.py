"""The gateway's keys: clients call by API key, workers by token."""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from novita_gateway._errors import ForbiddenError, UnauthorizedError
from novita_gateway._private_file import read_private, write_private

__all__ = ["Keys", "Role", "check_key", "kept_keys", "new_key"]

_LINE: Final = re.compile(r"export ([A-Z_]+)=(\S+)")
_HEAD: Final = "# Keys that the gateway made for itself. Source it; or remove it, to have them made anew.\n"


class Role(enum.Enum):
    """What a key is good for."""

    CLIENT = "client"
    WORKER = "worker"


def new_key(prefix: str) -> str:
    """Makes a key with 256 bits of randomness."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def check_key(name: str, key: str) -> str:
    """Returns a key that can be sent in a header.

    Raises:
        ValueError: It is empty, or has characters that a header can't hold.
    """
    if not key or not key.isprintable() or key != key.strip():
        raise ValueError(f"{name} must be printable text, without spaces around it and not empty")
    return key


def kept_keys(file: Path, makers: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """Reads keys from a file that a shell can source; those that it lacks are made, and kept in it.

    Args:
        file: Made where there is none, for its owner alone.
        makers: Make a key, by the name of its variable.

    Raises:
        OSError: The file can't be read or written.
        ValueError: It holds something else.
    """
    while True:
        content = read_private(file)
        kept = {} if content is None else _parse(file, content)
        made = {name: make() for name, make in makers.items() if name not in kept}
        if not made:
            return {name: kept[name] for name in makers}
        lines = "".join(f"export {name}={key}\n" for name, key in made.items())
        try:
            write_private(file, (content or _HEAD.encode()) + lines.encode(), replace=content is not None)
        except FileExistsError:
            continue  # another gateway was first
        return {name: {**kept, **made}[name] for name in makers}


def _parse(file: Path, content: bytes) -> dict[str, str]:
    keys: dict[str, str] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            # What stands there may be most of a key.
            raise ValueError(f"{file}: line {number} is no 'export NAME=key'; mend it, or remove the file for new keys")
        keys[match[1]] = check_key(f"{match[1]} in {file}", match[2])
    return keys


class Keys:
    """The keys of both roles, as SHA-256 digests.

    Plain SHA-256 is enough for keys of full entropy; it is not for passwords.

    Args:
        api_keys: Keys of clients.
        worker_tokens: Tokens of workers.
    """

    def __init__(self, *, api_keys: Iterable[str], worker_tokens: Iterable[str]) -> None:
        self._digests = {
            Role.CLIENT: tuple(map(_digest, api_keys)),
            Role.WORKER: tuple(map(_digest, worker_tokens)),
        }

    def check(self, authorization: str | None, role: Role) -> None:
        """Accepts an Authorization header, with or without "Bearer " before the key.

        Raises:
            UnauthorizedError: There is none, or its key is unknown.
            ForbiddenError: The key belongs to the other role.
        """
        if not authorization:
            raise UnauthorizedError(f"no Authorization header; send the gateway's {_WANTED[role]}")
        scheme, _, rest = authorization.partition(" ")
        digest = _digest(rest.strip() if scheme.lower() == "bearer" else authorization.strip())
        if self._knows(role, digest):
            return
        other = Role.WORKER if role is Role.CLIENT else Role.CLIENT
        if self._knows(other, digest):
            raise ForbiddenError(f"that is a {other.value}'s key; this route takes the {_WANTED[role]}")
        raise UnauthorizedError(f"this gateway does not know that key; send its {_WANTED[role]}")

    def check_any(self, authorization: str | None) -> None:
        """Accepts a key of either role.

        Raises:
            UnauthorizedError: There is none, or it is unknown.
        """
        try:
            self.check(authorization, Role.CLIENT)
        except ForbiddenError:
            return

    def _knows(self, role: Role, digest: bytes) -> bool:
        known = False
        for other in self._digests[role]:
            known |= hmac.compare_digest(other, digest)
        return known


_WANTED = {Role.CLIENT: "API key", Role.WORKER: "worker token"}


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
