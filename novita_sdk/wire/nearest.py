"""The word that somebody may have meant by one that is not known."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like this one, whatever its case and joints; None where none is like it."""
    import difflib  # here alone: only errors need it

    plain = {_plain(name): name for name in known}
    found = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error's sentence: the word that may have been meant, else all that are known."""
    names = list(known)
    found = nearest(word, names)
    return f"known are {', '.join(names)}" if found is None else f"did you mean {found}?"


def _plain(word: str) -> str:
    return word.replace("_", "").replace("-", "").lower()
