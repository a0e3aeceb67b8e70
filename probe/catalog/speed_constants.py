"""Constants of the speed model: fitted by scripts/fit_speed.py, read from catalogs/speed.json."""

from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError

SPEED_FILE: Final = "catalogs/speed.json"


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How far measurements of devices never fitted lie from the middle figure: factors below and above 1."""

    low: float
    high: float


class DecodeConstants(msgspec.Struct, frozen=True, kw_only=True):
    """Terms of the time of one generated token.

    Every term is a logarithm that is summed over the keys of a device's class, from the
    widest to the narrowest: "" (all), "nvidia", "nvidia/cuda", "nvidia:ada"; terms of
    kernels also over "|k4" and "nvidia/cuda|k4". A key that is absent adds nothing, so a
    device of an unknown class is estimated with its parents' constants.
    """

    sharpness: float  # exponent that joins reading and unpacking: 1 = one after the other, large = the slower
    efficiency: dict[str, float]  # share of peak bandwidth
    kernel: dict[str, float]  # arithmetic per weight byte, by kernel class
    layer: dict[str, float]  # seconds a layer
    experts: dict[str, float]  # further seconds a layer with routed experts
    cache: dict[str, float]  # time of a cache byte against a weight byte
    attention: dict[str, float]  # attention arithmetic of one token against the arithmetic rate
    core_rate: dict[str, float]  # arithmetic a second of one CPU core, by instruction set
    device_sd: dict[str, float]  # how far a device lies from its class, and a run from the next


class PromptConstants(msgspec.Struct, frozen=True, kw_only=True):
    """Terms of the time of a prompt; logarithms over the same keys."""

    rate: dict[str, float]  # share of the arithmetic rate reached
    attention: dict[str, float]  # attention arithmetic against matrix arithmetic
    core_rate: dict[str, float]


class SplitConstants(msgspec.Struct, frozen=True, kw_only=True):
    """What dividing a model among devices costs."""

    boundary_s: float  # a token's hop from one device to the next, layer split
    tensor_sync_s: float  # one layer's exchanges, tensor split over PCIe
    offload_low: float  # measured speed of CPU-and-GPU runs against the sum of both times
    offload_high: float
    overlap: float  # share of the possible overlap that prompts reach on several GPUs, layer split
    overlap_low: float
    overlap_high: float


class SpeedConstants(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file, with where it comes from."""

    schema_version: int
    script: str
    data: str
    data_sha256: str
    fitted: str  # day of the newest measurement used
    decode: DecodeConstants
    prompt: PromptConstants
    split: SplitConstants
    flops_per_byte: dict[str, float]  # FP32 operations a byte of bandwidth, where a device's rate is unknown
    matrix_ratio: dict[str, float]  # rate of the matrix units against FP32, likewise
    decode_spread: dict[str, Spread]
    prompt_spread: dict[str, Spread]


@cache
def speed_constants() -> SpeedConstants:
    """The constants of this installation.

    Raises:
        CatalogError: the file is missing or damaged.
    """
    try:
        return msgspec.json.decode(read_data(SPEED_FILE), type=SpeedConstants)
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=SPEED_FILE, detail=str(error)) from error
