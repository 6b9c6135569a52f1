from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

NOTES = """\
syntax = "proto3";

package notes.v1;

import "google/api/annotations.proto";
import "notes/v1/note.proto";

// Keeps notes.
service NoteService {
  // Reads one note.
  rpc GetNote(GetNoteRequest) returns (Note) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = {
      get: "/notes/{id}"
      response_body: "text"
    };
  }

  rpc WriteHTTPNote(Note.Draft) returns (Note) {
    option (google.api.http) = {
      put: "/notes/{note.id}"
      body: "note"
    };
  }
}
"""

NOTE = """\
syntax = "proto3";

package notes.v1;

message GetNoteRequest {
  string id = 1;
}

// One note.
message Note {
  message Draft {
    Note note = 1;
  }

  string id = 1;
  string text = 2;
}
"""


@pytest.fixture
def write_protos(tmp_path: Path) -> Callable[[Mapping[str, str]], Path]:
    """Writes protos, text by path, and returns their root."""

    def write(files: Mapping[str, str]) -> Path:
        root = tmp_path / "proto"
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return root

    return write


@pytest.fixture
def notes(write_protos: Callable[[Mapping[str, str]], Path]) -> Path:
    return write_protos({"notes/v1/note_service.proto": NOTES, "notes/v1/note.proto": NOTE})


@pytest.fixture
def repository() -> Path:
    return ROOT
