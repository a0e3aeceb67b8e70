"""How other engines differ from llama.cpp in speed: fitted by scripts/fit_engine_speed.py."""

from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.catalog.speed_constants import Spread
from probe.errors import CatalogError

ENGINE_SPEED_FILE: Final = "catalogs/engine_speed.json"


class EngineSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """Differences of one engine from the constants of a device's class; logarithms unless a unit is named."""

    efficiency: float  # share of peak bandwidth
    packed: float  # the same for weights that kernels unpack: AWQ, GPTQ, MLX at 3 and 4 bits
    narrow: float  # the same for other formats below 16 bits: FP8, INT8, NVFP4, MXFP4
    kernel: float  # arithmetic a weight byte
    layer: float  # overhead of a layer
    experts: float  # further overhead of a layer with routed experts
    tensor_sync_s: float  # exchanges of one layer among GPUs that share it
    prompt_rate: float  # arithmetic rate reached on prompts
    prompt_narrow: float  # the same for `narrow` formats, on top
    prompt_layer_s: float  # a prompt's fixed time a layer
    prompt_parallel: float  # exponent: n GPUs take n^this times the time that dividing by n would give
    prompt_batch: int  # tokens computed at once
    decode_spread: Spread  # one GPU, no routed experts
    decode_spread_divided: Spread  # several GPUs or routed experts
    prompt_spread: Spread
    rows: int  # single streams fitted
    devices: int


class EngineSpeeds(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file, with where it comes from."""

    schema_version: int
    script: str
    data: str
    data_sha256: str  # of the measurements and of the constants they are compared with
    engines: dict[str, EngineSpeed]


@cache
def engine_speeds() -> EngineSpeeds:
    """The file of this installation.

    Raises:
        CatalogError: the file is missing or damaged.
    """
    try:
        return msgspec.json.decode(read_data(ENGINE_SPEED_FILE), type=EngineSpeeds)
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=ENGINE_SPEED_FILE, detail=str(error)) from error
