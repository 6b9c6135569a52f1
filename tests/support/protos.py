"""A user's protos, and writing them down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

KINDS = """\
syntax = "proto3";

package kinds.v1;

import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

enum Color {
  COLOR_UNSPECIFIED = 0;
  COLOR_RED = 1;
  COLOR_BLUE = 2;
}

message Kinds {
  int32 int_32 = 1;
  int64 int_64 = 2;
  uint32 uint_32 = 3;
  uint64 uint_64 = 4;
  sint64 sint_64 = 5;
  fixed32 fixed_32 = 6;
  float float_32 = 7;
  double float_64 = 8;
  bool flag = 9;
  string text = 10;
  bytes data = 11;
  Color color = 12;
  Kinds child = 13;
  optional int32 maybe = 14;
  repeated int64 numbers = 15;
  repeated string texts = 16;
  repeated Color colors = 17;
  repeated Kinds children = 18;
  map<string, int64> counts = 19;
  map<int32, string> names = 20;
  map<bool, Kinds> by_flag = 21;
  map<string, bytes> blobs = 22;
  oneof choice {
    string left = 23;
    int32 right = 24;
  }
  string renamed = 25 [json_name = "otherName"];
  google.protobuf.Timestamp time = 26;
  google.protobuf.Duration span = 27;
  google.protobuf.Struct free = 28;
  google.protobuf.Value any_json = 29;
  google.protobuf.Int64Value boxed = 30;
  google.protobuf.NullValue nothing = 31;
  repeated google.protobuf.Timestamp times = 32;
  google.protobuf.Any packed = 33;
  repeated float floats = 34;
}
"""

SHOP = """\
syntax = "proto3";

package shop.v1;

import "buf/validate/validate.proto";
import "novita_protocol/v1/file.proto";

message Draw {
  string prompt = 1 [(buf.validate.field).string.min_len = 1];
  int32 width = 2 [(buf.validate.field).int32 = {gte: 64, lte: 2048}];
  uint64 seed = 3;
  repeated Layer layers = 4;
  map<string, Layer> named = 5;
}

message Layer {
  float weight = 1 [(buf.validate.field).float.lte = 1];
}

message Drawn {
  repeated novita_protocol.v1.File images = 1 [(buf.validate.field).repeated.min_items = 1];
}

message Token {
  string text = 1 [(buf.validate.field).string.min_len = 1];
}

// Draws pictures.
service DrawService {
  // Draws one picture.
  rpc Draw(.shop.v1.Draw) returns (Drawn);
}

service TalkService {
  rpc Talk(.shop.v1.Draw) returns (stream Token);
}

service StudioService {
  rpc Sketch(.shop.v1.Draw) returns (Token);

  rpc Paint(.shop.v1.Draw) returns (Drawn);
}

service FeedService {
  rpc Words(.shop.v1.Draw) returns (stream Token);

  rpc Pictures(.shop.v1.Draw) returns (stream Drawn);
}
"""

OLD = """\
syntax = "proto2";

package old.v1;

message Old {
  required string name = 1;
  optional Inner inner = 2;
  repeated Inner inners = 3;
}

message Inner {
  required int32 count = 1;
}
"""

ALBUM = """\
syntax = "proto3";

package album.v1;

import "buf/validate/validate.proto";
import "novita_protocol/v1/file.proto";

message Album {
  string title = 1 [(buf.validate.field).string.min_len = 1];
  novita_protocol.v1.File cover = 2 [(buf.validate.field).required = true];
  repeated novita_protocol.v1.File photos = 3;
  map<string, novita_protocol.v1.File> named = 4;
  Album inner = 5;
}

service AlbumService {
  rpc Copy(Album) returns (Album);

  rpc Clear(Album) returns (Album);
}
"""

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


def write_protos(root: Path, files: Mapping[str, str]) -> Path:
    """Writes protos, text by path, and returns their root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root
