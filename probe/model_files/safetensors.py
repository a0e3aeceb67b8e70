"""Headers of safetensors files and of sharded checkpoints: every tensor's shape, type and bytes.

Format: https://huggingface.co/docs/safetensors: eight bytes of header length, a JSON
object, the data. Only headers are read; each length and offset is checked against the
file before it is used.
"""

import re
import stat
from pathlib import Path
from typing import Final

import msgspec

from probe.catalog.model_spec import StoredTensor
from probe.errors import InputError

MAX_HEADER_BYTES: Final = 16 * 2**20  # the format allows 100 MB; 70,000 tensors of one file need 10
MAX_INDEX_BYTES: Final = 32 * 2**20  # DeepSeek-V3's has 9
_MAX_TENSORS: Final = 200_000
_MAX_WEIGHTS: Final = 2**50
_MAX_SHARDS: Final = 2_000
_BITS: Final = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16,
    "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F4": 4,
    "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
INDEX_NAME: Final = "model.safetensors.index.json"
_SHARD: Final = re.compile(r"model-\d{5,6}-of-\d{5,6}\.safetensors")


class SafetensorsHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What one file, or all shards of a checkpoint together, say about themselves."""

    path: str
    tensors: tuple[StoredTensor, ...]
    file_bytes: int
    shards: int = 1


class _Entry(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


class _Index(msgspec.Struct, frozen=True):
    weight_map: dict[str, str]


def read_safetensors(path: Path) -> SafetensorsHeader:
    """The header of one safetensors file.

    Raises:
        InputError: not readable, not a safetensors file, or a header that contradicts
            itself or the file's length.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError("model_files.not_a_file", path=str(path))
        with path.open("rb") as file:
            length = header_length(file.read(8), status.st_size, path.name)
            text = file.read(length)
    except (OSError, ValueError) as error:
        detail = getattr(error, "strerror", None) or type(error).__name__
        raise InputError("model_files.unreadable", path=str(path), detail=detail) from error
    tensors = parse_header(text, path.name, data_bytes=status.st_size - 8 - length)
    return SafetensorsHeader(path=str(path), tensors=tensors, file_bytes=status.st_size)


def header_length(prefix: bytes, file_bytes: int, name: str) -> int:
    """The header's length from a file's first eight bytes.

    Raises:
        InputError: beyond the file's end or beyond any header.
    """
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or not 2 <= length <= file_bytes - 8:
        raise InputError("model_files.not_safetensors", path=name)
    if length > MAX_HEADER_BYTES:
        raise InputError("model_files.header_too_long", path=name, length=length, limit=MAX_HEADER_BYTES)
    return length


def parse_header(text: bytes, name: str, *, data_bytes: int) -> tuple[StoredTensor, ...]:
    """Tensors of a header, checked against the bytes that follow it.

    Raises:
        InputError: not the JSON of a header, or offsets outside the data or against the shapes.
    """
    try:
        entries = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError("model_files.header_damaged", path=name) from error
    entries.pop("__metadata__", None)
    if len(entries) > _MAX_TENSORS:
        raise InputError("model_files.too_many_tensors", path=name, count=len(entries))
    tensors = [_tensor(key, raw, name, data_bytes) for key, raw in entries.items()]
    _check_overlap(tensors, name)
    return tuple(tensor for tensor, _ in tensors)


def _short(text: str) -> str:
    """A name fit for one line of a message, whatever the file put in it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:60])


def _tensor(key: str, raw: msgspec.Raw, name: str, data_bytes: int) -> tuple[StoredTensor, int]:
    try:
        entry = msgspec.json.decode(raw, type=_Entry)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError("model_files.header_damaged", path=name) from error
    begin, end = entry.data_offsets
    if not 0 <= begin <= end:
        raise InputError("model_files.tensor_offsets", path=name, what=_short(key))
    if end > data_bytes:
        raise InputError("model_files.truncated", path=name, what=_short(key), missing_bytes=end - data_bytes)
    weights = 1
    for size in entry.shape:
        if size < 0 or size > _MAX_WEIGHTS:
            raise InputError("model_files.tensor_shape", path=name, what=_short(key))
        weights *= size
        if weights > _MAX_WEIGHTS:
            raise InputError("model_files.tensor_shape", path=name, what=_short(key))
    bits = _BITS.get(entry.dtype)
    if bits is not None and -(-weights * bits // 8) != end - begin:
        raise InputError("model_files.tensor_offsets", path=name, what=_short(key))
    stored = StoredTensor(name=key, shape=entry.shape, type=entry.dtype[:20], size_bytes=end - begin)
    return stored, begin


def _check_overlap(tensors: list[tuple[StoredTensor, int]], name: str) -> None:
    following = 0
    for tensor, begin in sorted(tensors, key=lambda pair: (pair[1], pair[0].size_bytes)):
        if begin < following:
            raise InputError("model_files.tensor_offsets", path=name, what=_short(tensor.name))
        following = begin + tensor.size_bytes


def shard_names(index: bytes, name: str) -> tuple[str, ...]:
    """The shards that an index names, in order; their names may not lead out of the folder.

    Raises:
        InputError: not an index, too many shards, or a name with path parts.
    """
    try:
        weight_map = msgspec.json.decode(index, type=_Index).weight_map
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError("model_files.index_damaged", path=name) from error
    shards = sorted(set(weight_map.values()))
    if not shards or len(shards) > _MAX_SHARDS:
        raise InputError("model_files.index_damaged", path=name)
    for shard in shards:
        if not is_plain_name(shard):
            raise InputError("model_files.shard_name", path=name, what=_short(shard))
    return tuple(shards)


def is_plain_name(name: str) -> bool:
    """Whether `name` is a file's name alone: no folders, no drive, nothing hidden."""
    return bool(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,200}\.safetensors", name)) and ".." not in name


def read_checkpoint(folder: Path) -> SafetensorsHeader | None:
    """All tensors of a folder's checkpoint; None when it holds no safetensors files.

    An index decides which files belong to it. Without one: `model.safetensors`, else
    the numbered shards, else every file (Mistral's `consolidated` copies left out).

    Raises:
        InputError: a file is missing or damaged, or a tensor is stored twice.
    """
    paths = _checkpoint_files(folder)
    if not paths:
        return None
    tensors: dict[str, StoredTensor] = {}
    total = 0
    for path in paths:
        if not path.is_file():
            raise InputError("model_files.shard_missing", path=path.name)
        header = read_safetensors(path)
        total += header.file_bytes
        for tensor in header.tensors:
            if tensor.name in tensors:
                raise InputError("model_files.gguf_twice", path=path.name, what=_short(tensor.name))
            tensors[tensor.name] = tensor
    return SafetensorsHeader(
        path=str(folder), tensors=tuple(tensors.values()), file_bytes=total, shards=len(paths)
    )


def _checkpoint_files(folder: Path) -> list[Path]:
    index = folder / INDEX_NAME
    if index.is_file():
        return [folder / shard for shard in shard_names(read_small(index, MAX_INDEX_BYTES), INDEX_NAME)]
    try:
        names = sorted(path.name for path in folder.iterdir() if path.suffix == ".safetensors")
    except OSError as error:
        raise InputError("model_files.unreadable", path=str(folder), detail=str(error.strerror)) from error
    if "model.safetensors" in names:
        return [folder / "model.safetensors"]
    shards = [name for name in names if _SHARD.fullmatch(name)]
    kept = shards or [name for name in names if not name.startswith("consolidated")] or names
    if len(kept) > _MAX_SHARDS:
        raise InputError("model_files.index_damaged", path=folder.name)
    return [folder / name for name in kept]


def read_small(path: Path, limit: int) -> bytes:
    """A whole file that must not be larger than `limit`.

    Raises:
        InputError: not a file, not readable, or larger.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError("model_files.not_a_file", path=str(path))
        if status.st_size > limit:
            raise InputError(
                "model_files.header_too_long", path=path.name, length=status.st_size, limit=limit
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:
        detail = getattr(error, "strerror", None) or type(error).__name__
        raise InputError("model_files.unreadable", path=str(path), detail=detail) from error
