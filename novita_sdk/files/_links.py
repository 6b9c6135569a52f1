"""Links that carry their own permission, as those of a bucket and of the embedded gateway's store do."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from novita_sdk.files._errors import FileError

if TYPE_CHECKING:
    import requests

_EXPIRES: Final = "expires"
_SIGNATURE: Final = "signature"


def no_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """The `auth` of sessions that no ~/.netrc may give a password to: a store refuses it beside a link or a key."""
    return request


class LinkSigner:
    """Signs and checks the query of a link, bound to its verb and path.

    Args:
        secret: Known to the store alone; links stop working when it changes.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def query(self, verb: str, path: str, *, expires: int, **parameters: str) -> str:
        """The signed query of a link.

        Args:
            verb: GET or PUT.
            path: The link's path, percent-encoded as it will be asked for.
            expires: When it stops working, in seconds since the epoch.
            parameters: What else it says.
        """
        signed = {**parameters, _EXPIRES: str(expires)}
        return urlencode({**signed, _SIGNATURE: self._signature(verb, path, signed)})

    def check(self, verb: str, path: str, query: Mapping[str, str], *, now: float) -> dict[str, str]:
        """The parameters of a link that may be used.

        Raises:
            FileError: The link has expired (``EXPIRED``) or was not made here (``REFUSED``).
        """
        signed = {name: value for name, value in query.items() if name != _SIGNATURE}
        expected = self._signature(verb, path, signed)
        if not hmac.compare_digest(expected.encode(), query.get(_SIGNATURE, "").encode()):
            raise FileError("this link was not made by this store", code="REFUSED")
        if int(signed.pop(_EXPIRES)) < now:
            raise FileError("this link has expired", code="EXPIRED")
        return signed

    def _signature(self, verb: str, path: str, signed: Mapping[str, str]) -> str:
        text = "\n".join((verb, path, urlencode(sorted(signed.items()))))
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()
