"""Bodies that come in pieces, packed or not, and their limit."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import pytest

from novita_sdk.wire.bodies import Body, BodyError, BodyTooLargeError

CONTENT = b"abc" * 1000

PACKED = {
    "plain": ("", CONTENT),
    "gzip": ("gzip", gzip.compress(CONTENT, mtime=0)),
    "two members": ("x-gzip", gzip.compress(CONTENT[:900], mtime=0) + gzip.compress(CONTENT[900:], mtime=0)),
    "deflate": ("deflate", zlib.compress(CONTENT)),
    "bare deflate": ("deflate", zlib.compress(CONTENT)[2:-4]),
}


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[begin : begin + size] for begin in range(0, len(data), size))


def fill(body: Body, packed: bytes, size: int) -> None:
    for piece in pieces(packed, size):
        body.feed(piece)


@pytest.mark.parametrize("size", [1, 7, 10**6])
@pytest.mark.parametrize("name", PACKED)
def test_a_body_is_unpacked_in_any_pieces(name: str, size: int) -> None:
    encoding, packed = PACKED[name]
    body = Body(encoding, len(CONTENT))
    fill(body, packed, size)
    assert body.end() == CONTENT


@pytest.mark.parametrize("size", [1, 7, 10**6])
@pytest.mark.parametrize("name", PACKED)
def test_a_body_over_the_limit_is_not_kept(name: str, size: int) -> None:
    encoding, packed = PACKED[name]
    body = Body(encoding, len(CONTENT) - 1)
    with pytest.raises(BodyTooLargeError, match="larger than 2,999 bytes"):
        fill(body, packed, size)
    assert len(body.so_far()) < len(CONTENT)


def test_a_body_that_was_cut_off_is_told() -> None:
    body = Body("gzip")
    body.feed(gzip.compress(CONTENT)[:-1])
    with pytest.raises(BodyError, match="ends before"):
        body.end()


def test_what_is_packed_otherwise_is_refused() -> None:
    with pytest.raises(BodyError, match="packed as 'br'"):
        Body("br")
    with pytest.raises(BodyError, match="can't be unpacked"):
        fill(Body("gzip"), b"no gzip at all", 3)


def test_nothing_is_a_body_too() -> None:
    assert Body("gzip").end() == b""
