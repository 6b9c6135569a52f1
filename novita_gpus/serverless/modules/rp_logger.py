"""`RunPodLogger`: runpod's logger, over the standard library's."""

from __future__ import annotations

import logging
import os
from typing import Final

__all__ = ["RunPodLogger"]

LOG_LEVELS: Final = ("NOTSET", "TRACE", "DEBUG", "INFO", "WARN", "ERROR")

_NUMBERS: Final = {
    "NOTSET": logging.CRITICAL + 1,
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "TIP": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
}
_log: Final = logging.getLogger("novita_worker.job")


class RunPodLogger:
    """Writes the log lines of a handler; each carries the job's id, and stands among the worker's own.

    `NOVITA_LOG_LEVEL` and `NOVITA_LOG_FORMAT` count, or what the program has set up of `logging` itself.
    """

    @property
    def level(self) -> str:
        """The level, as one of runpod's words."""
        number = _log.getEffectiveLevel()
        words = [word for word in LOG_LEVELS[1:] if _NUMBERS[word] >= number and word != "TRACE"]
        return words[0] if words else "NOTSET"

    def set_level(self, new_level: str | int) -> None:
        """Sets the level: one of runpod's words, or its number in runpod's order.

        Raises:
            ValueError: There is no such level.
        """
        _log.setLevel(_NUMBERS[_word(new_level)])

    def log(self, message: object, message_level: str = "INFO", job_id: str | None = None) -> None:
        """Writes one line.

        Args:
            message: Anything that can be text.
            message_level: `TRACE`, `DEBUG`, `INFO`, `TIP`, `WARN` or `ERROR`.
            job_id: Left out, the id of the job whose handler runs here.

        Raises:
            ValueError: There is no such level.
        """
        number = _NUMBERS["TIP" if message_level == "TIP" else _word(message_level)]
        set_up()
        _log.log(number, "%s", message, extra=None if job_id is None else {"job_id": job_id})

    def secret(self, secret_name: str, secret: object) -> None:
        """Writes that there is a secret, and nothing of it."""
        self.info(f"{secret_name}: {'***' if str(secret) else 'empty'}")

    def debug(self, message: object, request_id: str | None = None) -> None:
        """Writes one line at DEBUG."""
        self.log(message, "DEBUG", request_id)

    def info(self, message: object, request_id: str | None = None) -> None:
        """Writes one line at INFO."""
        self.log(message, "INFO", request_id)

    def warn(self, message: object, request_id: str | None = None) -> None:
        """Writes one line at WARN."""
        self.log(message, "WARN", request_id)

    def error(self, message: object, request_id: str | None = None) -> None:
        """Writes one line at ERROR."""
        self.log(message, "ERROR", request_id)

    def tip(self, message: object) -> None:
        """Writes one line at INFO."""
        self.log(message, "TIP")

    def trace(self, message: object, request_id: str | None = None) -> None:
        """Writes one line at DEBUG."""
        self.log(message, "TRACE", request_id)


def _word(level: object) -> str:
    if isinstance(level, str) and level.upper() in LOG_LEVELS:
        return level.upper()
    if isinstance(level, int) and not isinstance(level, bool) and 0 <= level < len(LOG_LEVELS):
        return LOG_LEVELS[level]
    raise ValueError(f"there is no log level {level!r}; levels are {', '.join(LOG_LEVELS)}")


def set_up() -> None:
    """Lets lines of a program be seen that has not called `start` yet: models are loaded before that."""
    if not logging.getLogger().handlers:
        from novita_worker._logs import set_up_logging

        set_up_logging(None, os.environ, os.environ.get("NOVITA_POD_ID") or os.environ.get("RUNPOD_POD_ID"))
