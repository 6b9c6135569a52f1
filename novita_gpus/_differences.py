"""The one warning of what is not as it was with `runpod`."""

from __future__ import annotations

import functools
import logging

__all__ = ["tell_once"]


@functools.cache
def tell_once() -> None:
    """Says, once in a process, where the original was broken and this package differs."""
    logging.getLogger("novita_gpus").warning(
        "code written for runpod runs here as it is, except where that lost something: output() of a failed job raises "
        "its error instead of returning None; a result is posted until it is acknowledged, and one that can't be sent "
        "fails its job; progress stays in order and never follows the result. docs/migration.md has every name"
    )
