"""How a checkpoint's weights are stored, read from `quantization_config`, in our catalog's names."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

_COMPRESSED_TENSORS: Final = {
    "pack-quantized": {4: "w4a16", 8: "gptq-int8"},
    "int-quantized": {8: "int8"},
    "naive-quantized": {8: "fp8"},
    "float-quantized": {8: "fp8"},
    "nvfp4-pack-quantized": {4: "nvfp4"},
    "mxfp4-pack-quantized": {4: "mxfp4"},
    "mxfp8-quantized": {8: "mxfp8"},
}
_GPTQ_LIKE: Final = ("gptq", "gptq_marlin", "auto_gptq", "auto-round", "inc", "intel/auto-round")
_AWQ_LIKE: Final = ("awq", "awq_marlin", "auto_awq")


class StoredQuantization(msgspec.Struct, frozen=True, kw_only=True):
    """What `quantization_config` says; `method` as the file spells it, `format` as our catalog does."""

    method: str | None = None
    format: str | None = None
    group_size: int | None = None
    quantized_kv_cache: bool = False  # the checkpoint asks for an FP8 KV cache by itself
    weight_only: bool = False


def quantization_table(config: Mapping[str, object]) -> Mapping[str, Any]:
    """`quantization_config` wherever the file keeps it; empty when it has none."""
    nested = config.get("text_config")
    for place in (config, nested if isinstance(nested, Mapping) else {}):
        for key in ("quantization_config", "compression_config"):
            table = place.get(key)
            if isinstance(table, Mapping):
                return table
    return {}


def stored_format(config: Mapping[str, object]) -> str | None:
    """Our name of the checkpoint's weight format; None when it is not quantized or not known."""
    return stored_quantization(config).format


def stored_quantization(config: Mapping[str, object]) -> StoredQuantization:
    """Method, format and group size of a checkpoint; all None when it is not quantized."""
    mlx = config.get("quantization")
    if isinstance(mlx, Mapping) and isinstance(mlx.get("bits"), int):
        return StoredQuantization(method="mlx", format=f"mlx-{mlx['bits']}bit", group_size=_group(mlx))
    table = quantization_table(config)
    method = _method(table)
    if method is None:
        return StoredQuantization()
    if method == "compressed-tensors":
        return _compressed_tensors(table)
    bits = table.get("bits", table.get("w_bit"))
    name: str | None = None
    if method in _AWQ_LIKE:
        name = "awq" if bits in (None, 4) else None
    elif method in _GPTQ_LIKE:
        name = {8: "gptq-int8", 4: "gptq-int4", None: "gptq-int4"}.get(
            bits if isinstance(bits, int) else None
        )
    elif method in {"fp8", "fbgemm_fp8", "deepseek_v4_fp8"}:
        name = "fp8-block" if table.get("weight_block_size") else "fp8"
    elif method in {"mxfp4", "gpt_oss_mxfp4"}:
        name = "mxfp4"
    elif method == "bitsandbytes":
        name = _bitsandbytes(table)
    elif method.startswith("modelopt"):
        name = {"modelopt_fp4": "nvfp4", "modelopt_mxfp8": "mxfp8"}.get(method, "fp8")
    return StoredQuantization(
        method=method,
        format=name,
        group_size=_group(table),
        quantized_kv_cache=_asks_for_fp8_kv(table),
        weight_only=method in (*_AWQ_LIKE, *_GPTQ_LIKE, "bitsandbytes"),
    )


def _method(table: Mapping[str, Any]) -> str | None:
    """`quant_method` in one spelling; ModelOpt files name their producer instead.

    Source: vllm 0.32.0, transformers_utils/model_arch_config_convertor.py#L292.
    """
    producer = table.get("producer")
    inner = table.get("quantization")
    if isinstance(inner, Mapping) and isinstance(producer, Mapping) and producer.get("name") == "modelopt":
        return "modelopt_fp4" if str(inner.get("quant_algo", "")).upper() == "NVFP4" else "modelopt"
    written = table.get("quant_method")
    if not isinstance(written, str) or not written:
        return None
    method = written.lower().replace("compressed_tensors", "compressed-tensors")
    if method == "modelopt" and str(table.get("quant_algo", "")).upper() == "NVFP4":
        return "modelopt_fp4"
    return method


def _group(table: Mapping[str, Any]) -> int | None:
    size = table.get("group_size", table.get("q_group_size"))
    return size if isinstance(size, int) and 0 < size <= 65_536 else None


def _bitsandbytes(table: Mapping[str, Any]) -> str | None:
    if table.get("load_in_8bit"):
        return "bnb-int8"
    return "bnb-nf4-double" if table.get("bnb_4bit_use_double_quant") else "bnb-nf4"


def _asks_for_fp8_kv(table: Mapping[str, Any]) -> bool:
    """compressed-tensors `kv_cache_scheme`, ModelOpt `kv_cache_quant_algo`.

    Source: vllm 0.32.0, utils/torch_utils.py (resolve_kv_cache_dtype_string).
    """
    inner = table.get("quantization")
    algorithm = (inner if isinstance(inner, Mapping) else table).get("kv_cache_quant_algo")
    return bool(table.get("kv_cache_scheme")) or str(algorithm or "").upper() == "FP8"


def _compressed_tensors(table: Mapping[str, Any]) -> StoredQuantization:
    """The first group of `config_groups` speaks for the file: linears share one scheme in practice."""
    groups = table.get("config_groups")
    first: object = next(iter(groups.values()), {}) if isinstance(groups, Mapping) and groups else {}
    weights = first.get("weights") if isinstance(first, Mapping) else None
    bits = weights.get("num_bits") if isinstance(weights, Mapping) else None
    layout = first.get("format") if isinstance(first, Mapping) else None
    layout = layout if isinstance(layout, str) else table.get("format")
    names = _COMPRESSED_TENSORS.get(str(layout), {})
    activations = first.get("input_activations") if isinstance(first, Mapping) else None
    return StoredQuantization(
        method="compressed-tensors",
        format=names.get(bits) if isinstance(bits, int) else next(iter(names.values()), None),
        group_size=_group(weights) if isinstance(weights, Mapping) else None,
        quantized_kv_cache=_asks_for_fp8_kv(table),
        weight_only=not activations,
    )
