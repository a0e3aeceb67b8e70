"""GGUF files in several parts: finding the parts and joining their headers.

llama.cpp names parts `name-00001-of-00003.gguf` and numbers them in the metadata:
llama_split_path and split.no, split.count, split.tensors.count of src/llama-arch.cpp
at b11434.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from probe.catalog.model_spec import StoredTensor
from probe.errors import InputError

if TYPE_CHECKING:
    from probe.model_files.gguf import GgufHeader

_PART: Final = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_MAX_PARTS: Final = 1_000


def part_number(name: str) -> int | None:
    """The part that a file's name says it is, counted from 1; None when it is no part's name."""
    match = _PART.fullmatch(name)
    return int(match["number"]) if match else None


def part_names(name: str, count: int) -> list[str]:
    """The names of all `count` parts of the file that the part `name` belongs to.

    Raises:
        InputError: the name is not that of a part, or says another count.
    """
    match = _PART.fullmatch(name)
    if match is None:
        raise InputError("model_files.split_name", path=name, count=count)
    if int(match["count"]) != count or count > _MAX_PARTS:
        raise InputError("model_files.split_count", path=name, count=count)
    return [f"{match['stem']}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1)]


def part_paths(path: Path, count: int) -> list[Path]:
    """All parts of a split file, in order.

    Raises:
        InputError: the name is not that of a part, says another count than the
            metadata, or a part is missing beside it.
    """
    parts = [path.with_name(name) for name in part_names(path.name, count)]
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise InputError("model_files.split_missing", path=missing[0], missing=len(missing), count=count)
    return parts


def join_parts(parts: Sequence["GgufHeader"], path: Path) -> "GgufHeader":
    """One header of all parts: the first one's metadata, everybody's tensors.

    Raises:
        InputError: a part has another number than its name, a tensor is in two parts,
            or the parts do not hold as many tensors as the first one says.
    """
    tensors: dict[str, StoredTensor] = {}
    for number, part in enumerate(parts):
        if part.metadata.get("split.no") != number or part.metadata.get("split.count") != len(parts):
            raise InputError("model_files.split_order", path=Path(part.path).name, number=number + 1)
        for tensor in part.tensors:
            if tensor.name in tensors:
                raise InputError(
                    "model_files.gguf_twice", path=Path(part.path).name, what=ascii(tensor.name[:60])
                )
            tensors[tensor.name] = tensor
    stated = parts[0].metadata.get("split.tensors.count")
    if stated is not None and stated != len(tensors):
        raise InputError(
            "model_files.split_tensors", path=path.name, stated=str(stated)[:20], found=len(tensors)
        )
    return msgspec.structs.replace(
        parts[0],
        path=str(path),
        tensors=tuple(tensors.values()),
        file_bytes=sum(part.file_bytes for part in parts),
        parts=len(parts),
    )
