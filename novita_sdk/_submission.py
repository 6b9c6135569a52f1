"""Makes the body of a submit from what the user passed, and refuses what can't be right before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from novita_sdk import errors
from novita_sdk.models import JobRequest
from novita_sdk.wire import payload
from novita_sdk.wire.codec import WireError, decode, encode
from novita_sdk.wire.payload import JSONValue, PayloadError

__all__ = ["Submission", "prepare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A body that is known to be good."""

    request: JobRequest
    body: bytes


def prepare(value: JSONValue, options: Mapping[str, JSONValue] | None = None) -> Submission:
    """Checks and serialises.

    Args:
        value: The input; or, as in the published package, the whole body where it is an object with the key `input`,
            which then is sent exactly as it is.
        options: Members that go beside `input`: `webhook`, `policy`, `s3Config`.

    Raises:
        InvalidInputError: The value can't travel as JSON; the message names the path to what can't.
        PayloadTooLargeError: The input is over the limit.
    """
    is_whole = isinstance(value, Mapping) and "input" in value
    try:
        if not is_whole and not options:
            request = JobRequest(input=payload.dump(value))
            body = encode(request)
        else:
            whole = {**(value if is_whole else {"input": value}), **(options or {})}
            body = payload.dump(whole, "the request")
            request = decode(JobRequest, body)
        payload.check_size(request.input, "input")
    except payload.PayloadTooLargeError as error:
        raise errors.PayloadTooLargeError(f"{error} Nothing was sent.") from None
    except (PayloadError, WireError) as error:
        raise errors.InvalidInputError(f"{error}. Nothing was sent.") from None
    return Submission(request=request, body=body)
