"""The protobuf wire format over a mapped file: field headers only, every length checked.

Format: https://protobuf.dev/programming-guides/encoding
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from probe.errors import InputError

_MAX_FIELDS: Final = 5_000_000  # some seconds of work; graphs of large models have a tenth
_MAX_NAME: Final = 1_024
VARINT, _FIXED64, BYTES, _FIXED32 = 0, 1, 2, 5


class Field(NamedTuple):
    """One field and where its content lies."""

    number: int
    wire: int
    value: int  # of a varint; of bytes the length
    start: int
    end: int


class WireReader:
    """Reads messages of one file; what does not add up is an InputError."""

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self.data = data
        self.path = path
        self.count = 0

    def damaged(self, what: str) -> InputError:
        """The error that names `what` does not add up."""
        return InputError("model_files.onnx_damaged", path=self.path.name, what=ascii(what)[:120])

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """The number at `at`, and where it ends; ten bytes at most."""
        value = 0
        for shift in range(0, 70, 7):
            if at >= end:
                raise self.damaged("number")
            byte = self.data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & (2**64 - 1), at
        raise self.damaged("number")

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of one message; a length that leaves it is refused."""
        at = start
        while at < end:
            self.count += 1
            if self.count > _MAX_FIELDS:
                raise self.damaged("too many fields")
            key, at = self.varint(at, end)
            number, wire = key >> 3, key & 7
            if number == 0:
                raise self.damaged("field 0")
            value = 0
            if wire == VARINT:
                value, after = self.varint(at, end)
            elif wire in (_FIXED64, _FIXED32):
                after = at + (8 if wire == _FIXED64 else 4)
            elif wire == BYTES:
                value, at = self.varint(at, end)
                after = at + value
            else:
                raise self.damaged(f"wire type {wire}")
            if after > end:
                raise self.damaged(f"length of field {number}")
            yield Field(number, wire, value, at, after)
            at = after

    def text(self, field: Field) -> str:
        """A field's text, its first thousand bytes."""
        size = min(field.value, _MAX_NAME)
        if field.wire != BYTES or field.end > len(self.data):
            raise self.damaged("text")
        return self.data[field.start : field.start + size].decode("utf-8", "replace")

    def inside(self, field: Field) -> tuple[int, int]:
        """Where the message inside a field begins and ends."""
        if field.wire != BYTES or field.end > len(self.data):
            raise self.damaged(f"field {field.number}")
        return field.start, field.end
