"""Headers of GGUF files: metadata without vocabularies, and every tensor's name, shape, type and size.

Nothing is trusted: each count and length is checked against the bytes that are left
before anything is allocated, and vocabularies are skipped, so that a file of 100 GB
costs milliseconds. Format: ggml's docs/gguf.md; limits as in ggml/src/gguf.cpp of
llama.cpp b11434 where it has any.
"""

import mmap
import stat
import struct
from pathlib import Path
from typing import Final

import msgspec

from probe.catalog.model_spec import StoredTensor
from probe.catalog.quantizations import gguf_type_by_number
from probe.errors import InputError

MetadataValue = int | float | bool | str | tuple[int | float | bool | str, ...]

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_MAX_ENTRIES: Final = 16_384  # metadata keys; real files have under 100
_MAX_TENSORS: Final = 65_536  # real files have under 3,000
_MAX_NAME: Final = 1_024  # bytes of a key or a tensor's name; ggml allows 64 for names
_MAX_TEXT: Final = 65_536  # longer values (chat templates) are skipped
_MAX_STRINGS: Final = 2_000_000  # in all arrays together; the largest vocabulary with merges has 800,000
_MAX_KEPT: Final = 1_024  # entries of an array that is kept: one a layer
_MAX_DIMENSIONS: Final = 4  # GGML_MAX_DIMS
_MAX_WEIGHTS: Final = 2**50
_DEFAULT_ALIGNMENT: Final = 32  # GGUF_DEFAULT_ALIGNMENT
_MAX_ALIGNMENT: Final = 2**20

_STRING, _ARRAY = 8, 9
_NUMBERS: Final = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")


class GgufHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What one GGUF file, or all parts of a split one together, say about themselves."""

    path: str
    version: int
    metadata: dict[str, MetadataValue]  # scalars, texts, and short arrays of numbers
    array_lengths: dict[str, int]  # of every array, the skipped ones too
    tensors: tuple[StoredTensor, ...]
    file_bytes: int
    parts: int = 1


class HeaderIncompleteError(Exception):
    """The header goes on behind the bytes at hand: `needed` bytes of the file are required to go on."""

    def __init__(self, needed: int) -> None:
        self.needed = needed
        super().__init__(needed)


class _Bytes:
    """A cursor over a mapped file, or its first bytes, that never reads beyond the file's end."""

    def __init__(self, data: mmap.mmap | bytes, size: int, name: str) -> None:
        self.data = data
        self.size = size  # of the file; `data` may be its beginning
        self.position = 0
        self.name = name
        self.strings = 0

    def fail(self, key: str, **facts: str | int) -> InputError:
        return InputError(f"model_files.{key}", path=self.name, **facts)

    def take(self, count: int) -> int:
        """Moves on by `count` bytes; returns where they start."""
        start = self.position
        if count < 0 or count > self.size - start:
            raise self.fail("gguf_ends_early", offset=start)
        self.position = start + count
        return start

    def here(self, count: int) -> int:
        """As `take`, for bytes that are read at once."""
        start = self.take(count)
        if self.position > len(self.data):
            raise HeaderIncompleteError(self.position)
        return start

    def u32(self) -> int:
        value: int = _U32.unpack_from(self.data, self.here(4))[0]
        return value

    def u64(self) -> int:
        value: int = _U64.unpack_from(self.data, self.here(8))[0]
        return value

    def count(self, smallest: int, limit: int, what: str) -> int:
        """A count of things that take at least `smallest` bytes each."""
        value = self.u64()
        if value > limit or value * smallest > self.size - self.position:
            raise self.fail("gguf_count_impossible", what=what, count=value)
        return value

    def text(self, limit: int) -> str | None:
        """A string; None when it is longer than `limit` and was skipped."""
        length = self.u64()
        if length > limit:
            self.take(length)
            return None
        start = self.here(length)
        try:
            return self.data[start : start + length].decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.fail("gguf_text_damaged", offset=start) from error

    def name_text(self) -> str:
        """A key or a tensor's name, which must be short."""
        value = self.text(_MAX_NAME)
        if value is None:
            raise self.fail("gguf_name_too_long", offset=self.position)
        return value


def read_gguf(path: Path) -> GgufHeader:
    """The header of a GGUF file; of a split file (`-00001-of-00003`) all parts together.

    Raises:
        InputError: not readable, not a GGUF, a version or byte order we do not read, a
            header that contradicts itself or the file's length, or a part is missing.
    """
    first = _read_one(path)
    count = first.metadata.get("split.count")
    if not isinstance(count, int) or isinstance(count, bool) or count <= 1:
        return first
    from probe.model_files.gguf_split import join_parts, part_paths

    return join_parts([_read_one(part) for part in part_paths(path, count)], path)


def _read_one(path: Path) -> GgufHeader:
    name = path.name
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError("model_files.not_a_file", path=str(path))
        with path.open("rb") as file:
            if status.st_size < len(_MAGIC) or file.read(len(_MAGIC)) != _MAGIC:
                raise InputError("model_files.not_gguf", path=name)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _parse(_Bytes(data, len(data), name), str(path))
    except (OSError, ValueError) as error:
        raise InputError("model_files.unreadable", path=str(path), detail=_reason(error)) from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


def parse_gguf(beginning: bytes, *, file_bytes: int, name: str) -> GgufHeader:
    """The header of a file of which only the beginning is at hand.

    Raises:
        HeaderIncompleteError: more of the beginning is needed.
        InputError: as `read_gguf`, for this one part.
    """
    if not beginning.startswith(_MAGIC):
        raise InputError("model_files.not_gguf", path=name)
    return _parse(_Bytes(beginning, file_bytes, name), name)


def _parse(b: _Bytes, path: str) -> GgufHeader:
    b.take(len(_MAGIC))
    version = b.u32()
    if version not in _VERSIONS:
        if version and version & 0xFFFF == 0:
            raise b.fail("gguf_big_endian")
        raise b.fail("gguf_version", version=version)
    tensor_count = b.count(8 + 4 + 8 + 4 + 8, _MAX_TENSORS, "tensors")
    entry_count = b.count(8 + 4 + 1, _MAX_ENTRIES, "metadata")
    metadata: dict[str, MetadataValue] = {}
    lengths: dict[str, int] = {}
    for _ in range(entry_count):
        key = b.name_text()
        if key in metadata or key in lengths:
            raise b.fail("gguf_twice", what=_short(key))
        value = _value(b, key, lengths)
        if value is not None:
            metadata[key] = value
    infos = [_tensor_info(b) for _ in range(tensor_count)]
    alignment = _alignment(b, metadata)
    start = -(-b.position // alignment) * alignment
    tensors = _sized(b, infos, start, alignment)
    return GgufHeader(
        path=path,
        version=version,
        metadata=metadata,
        array_lengths=lengths,
        tensors=tensors,
        file_bytes=b.size,
    )


def _short(text: str) -> str:
    """A name fit for one line of a message, whatever the file put in it."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:60])
    return shown if len(text) <= 60 else shown + "..."


def _alignment(b: _Bytes, metadata: dict[str, MetadataValue]) -> int:
    value = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(value, int) or not 0 < value <= _MAX_ALIGNMENT or value & (value - 1):
        raise b.fail("gguf_alignment", value=str(value)[:20])
    return value


def _value(b: _Bytes, key: str, lengths: dict[str, int]) -> MetadataValue | None:
    kind = b.u32()
    if kind == _STRING:
        return b.text(_MAX_TEXT)
    if kind == _ARRAY:
        return _array(b, key, lengths)
    return _number(b, kind)


def _number(b: _Bytes, kind: int) -> int | float | bool:
    code = _NUMBERS.get(kind)
    if code is None:
        raise b.fail("gguf_value_type", type=kind)
    value: int | float | bool = struct.unpack_from(code, b.data, b.here(struct.calcsize(code)))[0]
    return value


def _array(b: _Bytes, key: str, lengths: dict[str, int]) -> MetadataValue | None:
    """A short array of numbers; others are skipped, their length is kept."""
    kind = b.u32()
    if kind == _ARRAY:
        raise b.fail("gguf_nested_array", what=_short(key))
    if kind == _STRING:
        count = b.count(8, _MAX_STRINGS - b.strings, "strings")
        b.strings += count
        _skip_strings(b, count)
        lengths[key] = count
        return None
    code = _NUMBERS.get(kind)
    if code is None:
        raise b.fail("gguf_value_type", type=kind)
    width = struct.calcsize(code)
    count = b.count(width, b.size, "array")
    lengths[key] = count
    if count > _MAX_KEPT:
        b.take(count * width)
        return None
    start = b.here(count * width)
    return struct.unpack_from(f"<{count}{code[1]}", b.data, start)


def _skip_strings(b: _Bytes, count: int) -> None:
    """Steps over strings without reading them: the loop costs 0.1 us a string."""
    data, unpack, position, last = b.data, _U64.unpack_from, b.position, len(b.data) - 8
    for _ in range(count):
        if position > last:
            if position > b.size - 8:
                raise b.fail("gguf_ends_early", offset=b.position)
            raise HeaderIncompleteError(position + 8)
        position += 8 + unpack(data, position)[0]
    if position > b.size:
        raise b.fail("gguf_ends_early", offset=b.position)
    b.position = position


class _Info(msgspec.Struct, frozen=True):
    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


def _tensor_info(b: _Bytes) -> _Info:
    name = b.name_text()
    dimensions = b.u32()
    if not 0 < dimensions <= _MAX_DIMENSIONS:
        raise b.fail("gguf_tensor_shape", what=_short(name))
    start = b.here(8 * dimensions)
    shape: tuple[int, ...] = struct.unpack_from(f"<{dimensions}Q", b.data, start)
    weights = 1
    for size in shape:
        weights *= size
        if not 0 < weights <= _MAX_WEIGHTS:
            raise b.fail("gguf_tensor_shape", what=_short(name))
    return _Info(name, shape, b.u32(), b.u64())


def _sized(b: _Bytes, infos: list[_Info], start: int, alignment: int) -> tuple[StoredTensor, ...]:
    """Tensors with their bytes: by type, or up to the next tensor where the type is not known."""
    available = b.size - start
    if infos and available < 0:
        raise b.fail("gguf_ends_early", offset=b.size)
    by_offset = sorted(infos, key=lambda info: info.offset)
    sizes: dict[str, tuple[str, int]] = {}
    following = available
    for info in reversed(by_offset):
        if info.name in sizes:
            raise b.fail("gguf_twice", what=_short(info.name))
        if info.offset % alignment:
            raise b.fail("gguf_tensor_offset", what=_short(info.name))
        kind = gguf_type_by_number(info.type)
        size = following - info.offset
        if kind is not None:
            row = kind.row_bytes(info.shape[0])
            if row is None:
                raise b.fail("gguf_tensor_shape", what=_short(info.name))
            size = row
            for extent in info.shape[1:]:
                size *= extent
        if info.offset + size > available:
            raise b.fail(
                "gguf_truncated",
                what=_short(info.name),
                need_bytes=start + info.offset + size,
                have_bytes=b.size,
            )
        if size <= 0 or info.offset + size > following:
            raise b.fail("gguf_tensors_overlap", what=_short(info.name))
        following = info.offset
        sizes[info.name] = (kind.name if kind is not None else f"type {info.type}", size)
    return tuple(
        StoredTensor(name=i.name, shape=i.shape, type=sizes[i.name][0], size_bytes=sizes[i.name][1])
        for i in infos
    )
