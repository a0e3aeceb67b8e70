"""What a device's runtime takes before llama.cpp's first tensor: published figures, not ours."""

from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError
from probe.machine.ranges import ByteRange

_FILE: Final = "catalogs/engines/llama_cpp_memory.json"


class _Row(msgspec.Struct, frozen=True):
    low_bytes: int
    value_bytes: int
    high_bytes: int
    source: str
    retrieved: str


class _Table(msgspec.Struct, frozen=True):
    runtime: dict[str, _Row]


@cache
def _table() -> _Table:
    try:
        return msgspec.json.decode(read_data(_FILE), type=_Table)
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error


@cache
def runtime_band(backend: str) -> ByteRange:
    """Bytes of context, libraries and pools on a device of this backend; `cpu`: of the process.

    A backend without a row of its own is taken for the dearest one.
    """
    rows = _table().runtime
    row = rows.get(backend, rows["cuda"])
    return ByteRange(low=row.low_bytes, value=row.value_bytes, high=row.high_bytes)
