"""What llama.cpp allocates beside a catalog model's weights, laid out once by scripts/build_buffers.py.

A report judges hundreds of models at once, its searchable table at several contexts; laying
out a graph takes milliseconds, reading a row nothing. A test proves that the table equals the
computation.
"""

from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError

BUFFERS_FILE: Final = "catalogs/models/compute_buffers.json"
STORED_CONTEXTS: Final = (4096, 8192, 32768)
DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class StoredBuffers(msgspec.Struct, frozen=True, array_like=True):
    """Bytes of one model's buffers and caches for one conversation, all but the context by default."""

    cpu: int
    layers: int  # a GPU without and with the head, and the host beside it
    whole: int
    host: int
    first: int  # several GPUs at work together, and the host beside them
    middle: int
    last: int
    hosts: int
    readings: dict[str, int]  # in use on the GPU, at most, when this weight or cache is read
    output: int  # logits kept on the host
    prediction_layers: int
    brought_cache: tuple[int, int]  # the widest layer's keys and values, read from host memory
    kinds: tuple[tuple[int, int], ...]  # layers by (keys and values, recurrent state)
    cached: str  # one digit (base 36) a layer: its row of `kinds`


class _File(msgspec.Struct, frozen=True):
    schema_version: int
    contexts: dict[str, msgspec.Raw]


@cache
def _file() -> _File:
    try:
        return msgspec.json.decode(read_data(BUFFERS_FILE), type=_File)
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=BUFFERS_FILE, detail=str(error)) from error


@cache
def stored_buffers(context: int) -> dict[str, StoredBuffers]:
    """The rows by model id; empty for a context that the table does not hold.

    Raises:
        CatalogError: the table is missing or damaged.
    """
    raw = _file().contexts.get(str(context)) if context in STORED_CONTEXTS else None
    if raw is None:
        return {}
    try:
        return msgspec.json.decode(raw, type=dict[str, StoredBuffers])
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=BUFFERS_FILE, detail=str(error)) from error
