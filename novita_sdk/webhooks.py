"""Webhooks: the gateway signs them, and the service that receives them verifies that it did.

The scheme is Standard Webhooks 1.0 (https://www.standardwebhooks.com), so its libraries for other languages work too:
the headers `webhook-id`, `webhook-timestamp` (Unix seconds) and `webhook-signature` (`v1,` and the base64 HMAC-SHA256
of `id.timestamp.body`; several are separated by spaces). A secret is `whsec_` and the base64 of its bytes.

>>> webhook = receive(request.body, request.headers, secret="whsec_…")
>>> webhook.info.status, webhook.output(TextToImageResponse)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar, overload

if TYPE_CHECKING:
    from novita_sdk.flows.job_info import JobInfo
    from novita_sdk.wire.payload import JSONValue

__all__ = ["Webhook", "WebhookVerificationError", "receive", "sign", "verify"]

OutputT = TypeVar("OutputT")

_ID: Final = "webhook-id"
_TIMESTAMP: Final = "webhook-timestamp"
_SIGNATURE: Final = "webhook-signature"
_PREFIX: Final = "whsec_"


class WebhookVerificationError(ValueError):
    """The request was not signed with the secret, or not lately. Answer 401 and ignore its body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """What a gateway told about a job that ended.

    Attributes:
        message_id: The same for every repetition: take note of those that were acted on.
        info: The job's final state, as `Job.info` gives it.
    """

    message_id: str
    info: JobInfo

    @overload
    def output(self, output_type: type[OutputT]) -> OutputT: ...

    @overload
    def output(self, output_type: None = None) -> JSONValue: ...

    def output(self, output_type: type[OutputT] | None = None) -> OutputT | JSONValue:
        """The job's output, as `Job.output` gives it; blocks only where a gateway put a large one elsewhere.

        Args:
            output_type: What to make of it: a message, dataclass, TypedDict or pydantic model; None for plain JSON.

        Raises:
            JobFailedError: The worker reported an error; type, message and traceback are in it.
            JobCancelledError: Somebody cancelled the job.
            JobTimedOutError: The job ran into its own time limit.
            UnreadableOutputError: Python can't read the output; its bytes are in the error.
            OutputError: The output is not of the type; lists every violation.
            FileError: An output that is elsewhere could not be fetched.
            TypeError: The type is none of these.
        """
        from novita_sdk.files._in_values import UnreadableFileError, fetch, is_elsewhere
        from novita_sdk.flows.errors_of import job_error, unreadable

        if error := job_error(self.info, ""):
            raise error
        value = self.info.output
        if is_elsewhere(value):
            try:
                value = fetch(value)
            except UnreadableFileError as reason:
                raise unreadable(str(reason), reason.data, f"Job {self.info.job_id}", self.info.job_id) from None
        if output_type is None:
            return value
        from novita_sdk.client.output_types import output_adapter
        from novita_sdk.typed._checked import parse_output

        return parse_output(output_adapter(output_type), value)


def receive(
    body: bytes,
    headers: Mapping[str, str],
    *,
    secret: str,
    tolerance: float = 300.0,
    now: float | None = None,
) -> Webhook:
    """Checks a webhook as `verify` does, and reads the job's final state from its body.

    Raises:
        WebhookVerificationError: As in `verify`.
        ProtocolError: The body, which the gateway signed, is no state of a job.
        ValueError: The secret is not one.
    """
    message_id = verify(body, headers, secret=secret, tolerance=tolerance, now=now)
    from novita_sdk.errors import ProtocolError
    from novita_sdk.flows.job_info import JobInfo
    from novita_sdk.models import JobStatus
    from novita_sdk.wire.codec import WireError, decode
    from novita_sdk.wire.payload import PayloadError

    try:
        return Webhook(message_id=message_id, info=JobInfo.from_message(decode(JobStatus, body)))
    except (WireError, PayloadError) as error:
        raise ProtocolError(f"Webhook {message_id} is signed, but its body is no state of a job: {error}.") from None


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
