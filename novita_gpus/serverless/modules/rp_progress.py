"""runpod's `progress_update`: the worker's own."""

from __future__ import annotations

from novita_worker import progress_update

__all__ = ["progress_update"]
