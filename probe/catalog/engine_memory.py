"""The rules by which engines divide memory, from catalogs/engines/memory_rules.toml."""

import sys
from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError
from probe.machine.ranges import ByteRange

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE: Final = "catalogs/engines/memory_rules.toml"


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """A size that nobody publishes: our estimate with its ends."""

    low_bytes: int
    value_bytes: int
    high_bytes: int
    source: str
    retrieved: str

    @property
    def bytes(self) -> ByteRange:
        """The band as a range."""
        return ByteRange(low=self.low_bytes, value=self.value_bytes, high=self.high_bytes)


class SglangTier(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults by GPU memory; `wide` holds from four GPUs of tensor parallelism on."""

    below_bytes: int
    prefill_tokens: int
    graph_sequences: int
    graph_sequences_wide: int


class SglangRules(msgspec.Struct, frozen=True, kw_only=True):
    """What SGLang keeps back for activations and CUDA graphs."""

    basis: str
    least_reserve_bytes: int
    bytes_per_prefill_token: int
    least_prefill_tokens: int
    bytes_per_parallel_gpu: int
    bytes_per_graph_sequence: int
    bytes_per_prefill_graph: int
    latent_prefill_graph_bytes: int
    floor_above_bytes: int
    floor_bytes: int
    vision_share: float
    source: str
    retrieved: str
    architectures: tuple[str, ...]
    tier: tuple[SglangTier, ...]
    outside: Band

    def tier_of(self, gpu_bytes: int) -> SglangTier:
        """The defaults for a GPU of this size."""
        return next((row for row in self.tier if gpu_bytes < row.below_bytes), self.tier[-1])


class TensorRtRules(msgspec.Struct, frozen=True, kw_only=True):
    """What TensorRT-LLM leaves for its cache."""

    basis: str
    free_gpu_memory_fraction: float
    tokens_per_block: int
    max_num_tokens: int
    activation_values_per_token: int
    source: str
    retrieved: str
    outside: Band


class ExllamaRules(msgspec.Struct, frozen=True, kw_only=True):
    """What ExLlama leaves free on each device, and how it rounds."""

    basis: str
    reserve_bytes: int
    second_reserve_bytes: int
    page_tokens: int
    chunk_tokens: int
    output_rows: int
    scale_bytes: int
    architectures: tuple[str, ...]
    source: str
    retrieved: str
    outside: Band


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds a layer and token that are not spent on reading weights."""

    low_s: float
    value_s: float
    high_s: float
    source: str
    retrieved: str


class TransformersRules(msgspec.Struct, frozen=True, kw_only=True):
    """What Transformers takes besides tensors whose shapes are known."""

    basis: str
    max_memory_share: float
    source: str
    retrieved: str
    outside: Band
    process: Band
    launch: Launch


class EngineMemoryRules(msgspec.Struct, frozen=True, kw_only=True):
    """All engines' rules."""

    sglang: SglangRules
    tensorrt_llm: TensorRtRules
    exllamav3: ExllamaRules
    exllamav2: ExllamaRules
    transformers: TransformersRules


@cache
def engine_memory_rules() -> EngineMemoryRules:
    """The rules as the catalog has them.

    Raises:
        CatalogError: the file is damaged.
    """
    try:
        return msgspec.convert(tomllib.loads(read_data(_FILE).decode("utf-8")), EngineMemoryRules)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error
