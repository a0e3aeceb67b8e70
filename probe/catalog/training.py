"""Constants of fine-tuning that no tensor's shape tells: catalogs/training.toml as types."""

import sys
from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE: Final = "catalogs/training.toml"


class ByteBand(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes between two ends."""

    low_bytes: int
    value_bytes: int
    high_bytes: int
    source: str


class ShareBand(msgspec.Struct, frozen=True, kw_only=True):
    """Shares between two ends."""

    low_share: float
    value_share: float = 1.0
    high_share: float
    source: str


class EightBit(msgspec.Struct, frozen=True, kw_only=True):
    """How bitsandbytes keeps 8-bit states: one fp32 scale a block, small tensors in 32 bits."""

    block: int
    smallest_tensor: int
    source: str


class ZeroBuffers(msgspec.Struct, frozen=True, kw_only=True):
    """Elements that DeepSpeed holds in communication buckets and in gathered layers by default."""

    bucket_elements: int
    live_elements: int
    source: str


class TrainingConstants(msgspec.Struct, frozen=True, kw_only=True):
    """All of them; each part carries its source."""

    runtime: ByteBand
    fragmentation: ShareBand
    loss: ByteBand
    eight_bit: EightBit
    zero: ZeroBuffers
    coarse: ShareBand


@cache
def training_constants() -> TrainingConstants:
    """The constants of this installation.

    Raises:
        CatalogError: catalogs/training.toml is missing or damaged.
    """
    try:
        return msgspec.convert(tomllib.loads(read_data(_FILE).decode("utf-8")), TrainingConstants)
    except (tomllib.TOMLDecodeError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error
