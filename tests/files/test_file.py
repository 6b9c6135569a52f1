from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novita_sdk.files import File, LocalFile, has_local_files, revive
from novita_sdk.files._file import safe_name
from novita_sdk.wire.payload import PayloadError, dump

pytestmark = pytest.mark.core

SHA = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
OBJECT = {"url": "https://host/x?sig=1", "name": "x.png", "mediaType": "image/png", "size": 5, "sha256": SHA}


def test_a_file_is_its_json_object_with_methods() -> None:
    file = File.of(OBJECT)
    assert file == OBJECT
    assert json.loads(dump(file)) == OBJECT
    assert (file.url, file.name, file.media_type, file.size, file.sha256) == tuple(OBJECT.values())
    assert File.from_message(file.to_message()) == file
    assert File.of(OBJECT | {"size": "5"}) == file
    assert copy.deepcopy(file) == file
    assert "sig=1" not in repr(file)


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        "x",
        None,
        {"url": "https://host/x"},
        {**OBJECT, "more": 1},
        {**OBJECT, "sha256": "short"},
        {**OBJECT, "sha256": SHA.upper()},
        {**OBJECT, "url": 5},
        {**OBJECT, "size": "five"},
        {**OBJECT, "size": None},
        {**OBJECT, "size": True},
        {**OBJECT, "size": -1},
        {**OBJECT, "size": 1 << 63},
        {**OBJECT, "size": "9" * 5000},
        {**OBJECT, "size": "\u0663"},
    ],
)
def test_other_json_is_not_a_file(value: object) -> None:
    assert File.of(value) is None


def test_files_are_found_anywhere_in_an_output() -> None:
    output = revive({"images": [OBJECT, {"deep": [OBJECT]}], "n": 1})
    assert isinstance(output["images"][0], File)
    assert isinstance(output["images"][1]["deep"][0], File)
    assert output == {"images": [OBJECT, {"deep": [OBJECT]}], "n": 1}


def test_a_local_file_knows_itself(tmp_path: Path) -> None:
    path = tmp_path / "in.png"
    path.write_bytes(b"hello")
    for file in (File.from_path(path), File.from_bytes(b"hello", name="in.png")):
        assert (file.name, file.media_type, file.size, file.sha256) == ("in.png", "image/png", 5, SHA)
        assert file.read() == b"hello"


def test_a_local_file_that_was_not_sent_is_not_json() -> None:
    with pytest.raises(PayloadError, match=r"input\.image .*LocalFile"):
        dump({"image": LocalFile(data=b"x")})


def test_local_files_and_bytes_are_found_anywhere() -> None:
    assert has_local_files({"a": [1, (2, LocalFile(data=b""))]})
    assert has_local_files([{"a": bytearray(b"x")}])
    assert not has_local_files({"a": [1, "x", None, OBJECT]})
    loop: list[object] = []
    loop.append(loop)
    assert not has_local_files(loop)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\x.dll", "x.dll"),
        ("/", "file"),
        ("..", "file"),
        (".hidden", "hidden"),
        ("a\0b\nc.png", "a_b_c.png"),
        ("häß lich.png", "häß lich.png"),
        ("图" * 150 + ".png", "图" * 60 + ".png"),
        ("x" * 300, "x" * 180),
        ("x." + "y" * 300, "x." + "y" * 19),
        ("\ud800.png", "?.png"),
    ],
)
def test_a_name_from_elsewhere_is_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert File(url="u", name=name, size=0, sha256=SHA).name == safe


@given(st.text(max_size=300))
def test_every_name_stays_in_its_folder(name: str) -> None:
    safe = safe_name(name)
    assert safe not in {"", ".", ".."}
    assert Path("/root", safe).parent == Path("/root")
    assert len(safe.encode()) <= 200
