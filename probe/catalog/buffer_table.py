"""Compute buffers of every catalog model for the usual batch, laid out once by scripts/build_buffers.py.

A report judges hundreds of models at once; laying out a graph takes a millisecond, reading
a row nothing. A test proves that the table equals the computation.
"""

from functools import cache

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError

BUFFERS_FILE = "catalogs/models/compute_buffers.json"


class StoredBuffers(msgspec.Struct, frozen=True, array_like=True):
    """Bytes of one model's compute buffers: 8,192 tokens, one conversation, all else by default."""

    cpu: int
    layers: int  # a GPU without and with the head, and the host beside it
    whole: int
    host: int
    first: int  # several GPUs at work together, and the host beside them
    middle: int
    last: int
    hosts: int
    readings: dict[str, int]  # in use on the GPU, at most, when this weight or cache is read


class _File(msgspec.Struct, frozen=True):
    schema_version: int
    models: dict[str, StoredBuffers]


@cache
def stored_buffers() -> dict[str, StoredBuffers]:
    """The rows by model id.

    Raises:
        CatalogError: the table is missing or damaged.
    """
    try:
        return msgspec.json.decode(read_data(BUFFERS_FILE), type=_File).models
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=BUFFERS_FILE, detail=str(error)) from error
