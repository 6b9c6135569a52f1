"""Webhooks: the gateway signs them, and the service that receives them verifies that it did.

The scheme is Standard Webhooks 1.0 (https://www.standardwebhooks.com), so its libraries for other languages work too:
the headers `webhook-id`, `webhook-timestamp` (Unix seconds) and `webhook-signature` (`v1,` and the base64 HMAC-SHA256
of `id.timestamp.body`; several are separated by spaces). A secret is `whsec_` and the base64 of its bytes.

>>> verify(request.body, request.headers, secret="whsec_…")
>>> status = json.loads(request.body)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Final

__all__ = ["WebhookVerificationError", "sign", "verify"]

_ID: Final = "webhook-id"
_TIMESTAMP: Final = "webhook-timestamp"
_SIGNATURE: Final = "webhook-signature"
_PREFIX: Final = "whsec_"


class WebhookVerificationError(ValueError):
    """The request was not signed with the secret, or not lately. Answer 401 and ignore its body."""


def sign(body: bytes, *, message_id: str, secret: str, timestamp: int) -> dict[str, str]:
    """Makes the headers of a webhook.

    Args:
        body: Exactly what is sent.
        message_id: The same for every try of one message, so that a receiver can tell repetitions.
        secret: `whsec_…`.
        timestamp: Unix seconds.

    Raises:
        ValueError: The secret is not one.
    """
    signature = base64.b64encode(_mac(body, message_id, str(timestamp), _key(secret))).decode()
    return {_ID: message_id, _TIMESTAMP: str(timestamp), _SIGNATURE: f"v1,{signature}"}


def verify(
    body: bytes,
    headers: Mapping[str, str],
    *,
    secret: str,
    tolerance: float = 300.0,
    now: float | None = None,
) -> str:
    """Checks a webhook that was received; returns its message id.

    A message may come more than once: take note of the ids that were acted on.

    Args:
        body: The raw body, as it came; parse it afterwards.
        headers: The request's headers; names in any case.
        secret: `whsec_…`, as the gateway has it.
        tolerance: Seconds by which the timestamp may differ from now, against replays.
        now: Unix seconds; left out, the system's clock.

    Raises:
        WebhookVerificationError: A header is missing, the signature is not right, or the timestamp is too far off.
        ValueError: The secret is not one.
    """
    key = _key(secret)
    found = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in (_ID, _TIMESTAMP, _SIGNATURE) if name not in found]
    if missing:
        raise WebhookVerificationError(f"not a signed webhook: no {', '.join(missing)} header")
    message_id, timestamp = found[_ID], found[_TIMESTAMP]
    if not (timestamp.isascii() and timestamp.isdecimal()):
        raise WebhookVerificationError(f"{_TIMESTAMP} is not a number of seconds: {timestamp[:40]!r}")
    expected = _mac(body, message_id, timestamp, key)
    if not any(hmac.compare_digest(expected, given) for given in _signatures(found[_SIGNATURE])):
        raise WebhookVerificationError("the signature is not right: the secret differs, or the body was changed")
    age = (time.time() if now is None else now) - int(timestamp)
    if abs(age) > tolerance:
        raise WebhookVerificationError(f"the webhook is {age:.0f} seconds old; at most {tolerance:.0f} are tolerated")
    return message_id


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ValueError(f"a webhook secret is {_PREFIX!r} and base64")
    return key


def _mac(body: bytes, message_id: str, timestamp: str, key: bytes) -> bytes:
    return hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()


def _signatures(header: str) -> list[bytes]:
    signatures = []
    for item in header.split():
        version, _, text = item.partition(",")
        if version == "v1":
            try:
                signatures.append(base64.b64decode(text, validate=True))
            except (binascii.Error, ValueError):
                continue
    return signatures
