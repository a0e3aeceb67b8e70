"""Weights of every catalog model in the usual quantizations, computed once by scripts/build_weights.py.

A report judges hundreds of models; their bytes never change, so they are read,
not computed again. A test proves that the table equals the computation.
"""

from functools import cache

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError

WEIGHTS_FILE = "catalogs/models/weights.json"


class StoredWeights(msgspec.Struct, frozen=True, array_like=True):
    """One model in one quantization, bytes. `layers` has one digit (base 36) a layer: its row of `kinds`."""

    file_bytes: int
    token_embedding_bytes: int
    per_layer_embedding_bytes: int
    position_embedding_bytes: int
    output_bytes: int
    output_is_tied: bool
    mtp_bytes: int
    kinds: tuple[tuple[int, int, int], ...]  # (all, routed experts, read for one token)
    layers: str


class _File(msgspec.Struct, frozen=True):
    schema_version: int
    quantizations: dict[str, msgspec.Raw]


@cache
def _file() -> _File:
    try:
        return msgspec.json.decode(read_data(WEIGHTS_FILE), type=_File)
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=WEIGHTS_FILE, detail=str(error)) from error


@cache
def stored_weights(quantization: str) -> dict[str, StoredWeights]:
    """Weights by model id in `quantization`; empty where the table does not hold it.

    Raises:
        CatalogError: the table is missing or damaged.
    """
    raw = _file().quantizations.get(quantization)
    if raw is None:
        return {}
    try:
        return msgspec.json.decode(raw, type=dict[str, StoredWeights])
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=WEIGHTS_FILE, detail=str(error)) from error
