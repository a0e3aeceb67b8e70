"""GGUF files made byte by byte: real headers over data that takes no room on the disk."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

STRING, ARRAY = 8, 9
_NUMBERS = {bool: (7, "<?"), int: (4, "<I"), float: (6, "<f")}


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def value(entry: object) -> bytes:
    """A metadata value with its type; lists must hold one type."""
    if isinstance(entry, str):
        return struct.pack("<I", STRING) + text(entry)
    if isinstance(entry, (list, tuple)):
        if isinstance(entry[0], str):
            return struct.pack("<IIQ", ARRAY, STRING, len(entry)) + b"".join(text(item) for item in entry)
        kind, code = _NUMBERS[type(entry[0])]
        return struct.pack("<IIQ", ARRAY, kind, len(entry)) + b"".join(struct.pack(code, e) for e in entry)
    if isinstance(entry, int) and not isinstance(entry, bool) and not 0 <= entry < 2**32:
        return struct.pack("<Iq", 11, entry)
    kind, code = _NUMBERS[type(entry)]
    return struct.pack("<I", kind) + struct.pack(code, entry)


def header(
    metadata: Mapping[str, object],
    tensors: Sequence[tuple[str, tuple[int, ...], int, int]],
    *,
    version: int = 3,
    alignment: int = 32,
) -> tuple[bytes, int]:
    """A header padded to the data, and the bytes of data; tensors as (name, shape, type number, bytes)."""
    out = [b"GGUF", struct.pack("<IQQ", version, len(tensors), len(metadata))]
    out += [text(key) + value(entry) for key, entry in metadata.items()]
    offset = 0
    for name, shape, kind, size in tensors:
        out.append(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset))
        offset += -(-size // alignment) * alignment
    data = b"".join(out)
    return data + b"\0" * (-len(data) % alignment), offset


def write(
    path: Path,
    metadata: Mapping[str, object],
    tensors: Sequence[tuple[str, tuple[int, ...], int, int]],
    **how: int,
) -> Path:
    """A sparse file: the header, then a hole as long as the tensors."""
    head, size = header(metadata, tensors, **how)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + size)
    return path
