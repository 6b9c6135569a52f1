"""Makes the body of a submit from what the user passed, and refuses what can't be right before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from novita_sdk import errors
from novita_sdk._options import SubmitOptions
from novita_sdk.models import JobRequest
from novita_sdk.wire import payload
from novita_sdk.wire.codec import WireError, decode, encode
from novita_sdk.wire.payload import JSONValue, PayloadError

__all__ = ["Submission", "prepare"]


_MEMBERS: Final = (("webhook", "webhook"), ("policy", "policy"), ("s3_config", "s3Config"))
"""Options and the members of the body that carry them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A body that is known to be good."""

    request: JobRequest
    body: bytes


def prepare(value: JSONValue, options: SubmitOptions) -> Submission:
    """Checks and serialises.

    Args:
        value: The input; or, as in the published package, the whole body where it is an object with the key `input`,
            which then is sent exactly as it is.
        options: What goes beside the input.

    Raises:
        InvalidInputError: The value can't travel as JSON; the message names the path to what can't.
        PayloadTooLargeError: The input is over the limit.
    """
    is_whole = isinstance(value, Mapping) and "input" in value
    beside = {member: given for name, member in _MEMBERS if (given := options.get(name)) is not None}
    try:
        if not is_whole and not beside:
            request = JobRequest(input=payload.dump(value))
            body = encode(request)
        else:
            whole = {**(value if is_whole else {"input": value}), **beside}
            body = payload.dump(whole, "the request")
            request = decode(JobRequest, body)
        payload.check_size(request.input, "input")
    except payload.PayloadTooLargeError as error:
        raise errors.PayloadTooLargeError(f"{error} Nothing was sent.") from None
    except (PayloadError, WireError) as error:
        raise errors.InvalidInputError(f"{error}. Nothing was sent.") from None
    return Submission(request=request, body=body)
