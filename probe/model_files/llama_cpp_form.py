"""What a checkpoint becomes when llama.cpp's converter turns it into a GGUF."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec

from probe.catalog.files import read_data
from probe.catalog.model_spec import Dimensions, ModelSpec
from probe.errors import CatalogError

_FILE: Final = "catalogs/models/gguf_architectures.json"
_ROPE_TABLES: Final = frozenset({"llama3", "longrope"})
_GEMMA_3_TOKENS: Final = 262_144  # rows beyond belong to images and are cut, conversion/gemma.py#L150
_QKV_BIAS_ALWAYS: Final = frozenset({"qwen2", "qwen2vl", "qwen2moe"})


class _Row(msgspec.Struct, frozen=True):
    config_class: str
    architecture: str


class _File(msgspec.Struct, frozen=True):
    rows: tuple[_Row, ...]


@cache
def _table() -> Mapping[str, str]:
    try:
        rows = msgspec.json.decode(read_data(_FILE), type=_File).rows
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error
    return {row.config_class: row.architecture for row in rows}


# Written by converters that choose by the config's content, or named apart in llama.cpp.
_FURTHER: Final = frozenset(
    {
        "granite", "granitemoe", "nemotron_h_moe", "mistral4", "gemma-embedding", "llama-embed",
        "nomic-bert", "nomic-bert-moe", "jina-bert-v3",
    }
)  # fmt: skip


@cache
def known_architectures() -> frozenset[str]:
    """Every architecture that a converter of llama.cpp writes."""
    return frozenset(_table().values()) | _FURTHER


def llama_cpp_architecture(spec: ModelSpec) -> str | None:
    """llama.cpp's name of the architecture that `spec`'s config.json class converts to; None = no converter.

    Source: catalogs/models/gguf_architectures.json, and where a converter decides by the
    config's content: conversion/{granite,nemotron,mistral3}.py of llama.cpp b11434.
    """
    found = _table().get(spec.hf_architecture or "")
    d = spec.dimensions
    if found is None or d is None:
        return found
    if found == "granitehybrid" and d.ssm_state_size is None:
        return "granitemoe" if d.num_experts else "granite"
    if found == "granitehybrid" and d.layer_pattern is not None and "M" not in d.layer_pattern:
        return "granitemoe" if d.num_experts else "granite"
    if found == "nemotron_h" and "E" in (d.layer_pattern or ""):
        return "nemotron_h_moe"
    if found == "mistral3" and d.kv_lora_rank is not None:
        return "mistral4"
    return found


def as_llama_cpp_converts(spec: ModelSpec) -> ModelSpec:
    """The model with llama.cpp's architecture and the shapes its GGUF would have."""
    architecture = llama_cpp_architecture(spec)
    if architecture is None or spec.dimensions is None:
        return msgspec.structs.replace(spec, architecture=architecture)
    return msgspec.structs.replace(
        spec, architecture=architecture, dimensions=_converted(spec.dimensions, architecture, spec)
    )


def _converted(d: Dimensions, architecture: str, spec: ModelSpec) -> Dimensions:
    changes: dict[str, Any] = {}
    extra = dict(d.extra)
    rope = _rope_type(spec.hf_config or {})
    if rope in _ROPE_TABLES:
        extra["rope_type"] = rope
    if spec.model_type == "deepseek_v2":
        extra["scoring_func"] = "softmax"  # of all of V2; V3 brought the sigmoid with its correction
    if extra != d.extra:
        changes["extra"] = extra
    if architecture == "gemma3" and d.vocab_size > _GEMMA_3_TOKENS:
        changes["vocab_size"] = _GEMMA_3_TOKENS
    if architecture in _QKV_BIAS_ALWAYS and d.attention_bias is None:
        changes["attention_bias"] = "qkv"
    return msgspec.structs.replace(d, **changes) if changes else d


def _rope_type(config: Mapping[str, object]) -> str | None:
    """The kind of rotary scaling, wherever the config keeps it."""
    inner = config.get("text_config")
    for place in (config, inner if isinstance(inner, Mapping) else {}):
        for key in ("rope_scaling", "rope_parameters"):
            table = place.get(key)
            if isinstance(table, Mapping):
                kind = table.get("rope_type", table.get("type"))
                if isinstance(kind, str):
                    return kind.lower()
    return None
