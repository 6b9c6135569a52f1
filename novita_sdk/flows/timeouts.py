"""The check of a timeout before anything is sent: a wrong one found later would cost the handle of a queued job."""

from __future__ import annotations

import math
from numbers import Real
from typing import Literal

from novita_sdk import errors

__all__ = ["check_timeout"]


def check_timeout(timeout: object, *, least: Literal["positive", "any"] = "any") -> None:
    """Refuses what is no number of seconds.

    Args:
        timeout: As it was passed.
        least: Whether it must be more than 0.

    Raises:
        InvalidInputError: It is something else; nothing was sent.
    """
    if not isinstance(timeout, Real):
        hint = " (use .total_seconds())" if hasattr(timeout, "total_seconds") else ""
        raise errors.InvalidInputError(
            f"timeout must be a number of seconds, not {type(timeout).__name__}{hint}. Nothing was sent."
        )
    seconds = float(timeout)
    if math.isnan(seconds) or (least == "positive" and not seconds > 0):
        must = "be positive" if least == "positive" else "be a number of seconds"
        raise errors.InvalidInputError(f"timeout must {must}, not {timeout!r}. Nothing was sent.")
