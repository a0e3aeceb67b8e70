"""vLLM's quantization methods by GPU generation, data types and attention backends."""

from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.catalog.versions import version_key
from probe.errors import CatalogError

_FILE: Final = "catalogs/engines/vllm_quantization.json"


class QuantizationMethod(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One method. `support` by generation: yes, weight_only, no, plugin, documented_only, unverified.

    `weight_only`: loads and saves memory, computes in 16 bits. `documented_only`: the
    docs say yes, the released wheel has no code for the GPU.
    """

    id: str
    cli: str | None = None
    min_cc: str | None = None
    gate_cc: str | None = None  # what the Python gate asks, below what the kernels need
    native_min_cc: str | None = None
    activation_dtypes: tuple[str, ...] = ()
    support: dict[str, str] = {}
    details: dict[str, str] = {}
    kernels: str | None = None
    plugin: str | None = None
    fallback: str | None = None
    deprecated: bool = False
    use_instead: str | None = None
    note: str | None = None
    source: tuple[str, ...]
    retrieved: str


class DtypeRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A data type and the compute capability it needs; `below` says what happens without."""

    name: str
    min_cc: str
    rule: str
    below: str | None = None
    note: str | None = None
    source: tuple[str, ...]
    retrieved: str


class AttentionBackend(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An attention backend; `min_cc` None = any."""

    name: str
    min_cc: str | None = None
    max_cc: str | None = None
    order: str | None = None
    note: str | None = None
    by_cc: dict[str, str] = {}
    source: tuple[str, ...]
    retrieved: str


class Recommended(msgspec.Struct, frozen=True, kw_only=True):
    """Methods worth taking first on a generation."""

    generation: str
    methods: tuple[str, ...]
    source: tuple[str, ...]
    retrieved: str


class QuantizationError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What vLLM prints when it refuses, and what it means."""

    text: str
    where: str | None = None
    meaning: str | None = None
    source: tuple[str, ...]
    retrieved: str


class VllmQuantization(msgspec.Struct, frozen=True):
    """The tables of one vLLM version."""

    version: str
    methods: tuple[QuantizationMethod, ...]
    dtypes: tuple[DtypeRule, ...]
    attention_backends: tuple[AttentionBackend, ...]
    recommended: tuple[Recommended, ...]
    errors: tuple[QuantizationError, ...]
    generation_columns: dict[str, tuple[str, ...]]
    registered_names: tuple[str, ...]


@cache
def vllm_quantization() -> VllmQuantization:
    """Methods, data types and attention backends of the vLLM version that was read.

    Raises:
        CatalogError: the file is missing or damaged.
    """
    try:
        return msgspec.json.decode(read_data(_FILE), type=VllmQuantization)
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error


def generation_of(compute_capability: str) -> str | None:
    """Our column of a compute capability (`8.6` -> `ampere`); None below Volta and above what was read."""
    for name, capabilities in vllm_quantization().generation_columns.items():
        if compute_capability in capabilities:
            return name
    return None


def method_named(name: str) -> QuantizationMethod | None:
    """The method of a config.json name or our id (`awq`, `compressed-tensors-w4a16`); None = not listed."""
    wanted = name.lower().replace("-", "_")
    return next((row for row in vllm_quantization().methods if row.id == wanted), None)


def support_on(method: QuantizationMethod, compute_capability: str) -> str | None:
    """How a method is supported on a GPU, by generation or else by its minimum; None = unknown."""
    generation = generation_of(compute_capability)
    if generation is not None and generation in method.support:
        return method.support[generation]
    if method.min_cc is None:
        return None
    return "no" if version_key(compute_capability) < version_key(method.min_cc) else None
