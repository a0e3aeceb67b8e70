"""Why vLLM refuses a model before it plans any memory, in the order in which it finds out.

Source throughout: vllm 0.32.0 (file and line at each rule).
"""

from typing import Final

import msgspec

from probe.catalog.model_spec import Dimensions, ModelSpec
from probe.engines.vllm_formats import is_below, lowest_capability, written
from probe.engines.vllm_layers import ModelCache, implemented
from probe.engines.vllm_platform import Capability, refuses_fp8_cache
from probe.engines.vllm_states import is_mamba2
from probe.errors import FactValue
from probe.model_files.hf_quantization import stored_quantization

_STATEFUL: Final = frozenset("MLPC")  # letters of LayerKind that keep a state


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """One refusal; `values` fill the sentence named `kind` in messages.

    Kinds: unsupported_architecture, max_model_len, heads, quant_unsupported, groups,
    kv_heads, no_backend, fp8_unsupported.
    """

    kind: str
    values: dict[str, FactValue] = {}


def refused_by_config(
    spec: ModelSpec,
    d: Dimensions,
    *,
    tp: int,
    max_model_len: int,
    longest: int | None,
    capability: Capability,
) -> Rejection | None:
    """Refusals that follow from the config alone; None when there is none.

    Args:
        longest: what the config allows as context; None when it does not say.
    """
    name = spec.hf_architecture or spec.model_type
    own_class = implemented(spec)
    stateful = bool(_STATEFUL & set(d.layer_pattern or ""))
    if own_class is None and not stateful:
        return Rejection(kind="unsupported_architecture", values={"architecture": name})
    if longest is not None and max_model_len > longest:  # config/model.py#L2639
        return Rejection(kind="max_model_len", values={"asked": max_model_len, "longest": longest})
    if d.num_attention_heads % tp:  # config/model.py#L1545
        return Rejection(kind="heads", values={"heads": d.num_attention_heads, "tp": tp})
    quantization = _refused_quantization(spec, capability)
    if quantization is not None:
        return quantization
    if own_class is not True and stateful:  # models/transformers/base.py#L620
        return Rejection(kind="unsupported_architecture", values={"architecture": name})
    return _refused_split(d, tp)


def refused_by_backend(cache: ModelCache, *, capability: Capability) -> Rejection | None:
    """Refusals of the attention backends in use; None when they serve the model."""
    for layer in cache.layers:
        if layer.kind == "state":
            continue
        if layer.backend is None:  # platforms/cuda.py#L484
            return Rejection(kind="no_backend", values={"capability": written(capability)})
        if cache.fp8 and refuses_fp8_cache(layer.backend, capability):
            return Rejection(
                kind="fp8_unsupported", values={"backend": layer.backend, "capability": written(capability)}
            )
    return None


def _refused_quantization(spec: ModelSpec, capability: Capability) -> Rejection | None:
    """The method's gate against this GPU (config/vllm.py, get_quant_config)."""
    method = stored_quantization(spec.hf_config).method if spec.hf_config else spec.native_quantization
    least = lowest_capability(method) if method is not None else None
    if not is_below(capability, least):
        return None
    return Rejection(
        kind="quant_unsupported",
        values={"method": method, "least": least, "capability": written(capability)},
    )


def _refused_split(d: Dimensions, tp: int) -> Rejection | None:
    """Splits that a model class asserts: Mamba-2 groups and heads, then key and value heads."""
    mamba = bool({"M", "P"} & set(d.layer_pattern or ""))
    if mamba and is_mamba2(
        d
    ):  # model_executor/layers/mamba/mamba_mixer2.py: tp divides heads, and groups or 1
        groups = d.ssm_n_groups or 1
        if (d.ssm_num_heads or 0) % tp:
            return Rejection(kind="heads", values={"heads": d.ssm_num_heads, "tp": tp})
        if groups % tp and groups != 1:
            return Rejection(kind="groups", values={"groups": groups, "tp": tp})
    linear_heads = d.linear_num_value_heads or 0
    if linear_heads % tp:
        return Rejection(kind="heads", values={"heads": linear_heads, "tp": tp})
    if d.kv_lora_rank or not d.num_attention_heads:
        return None
    for heads in {
        *(d.layer_kv_heads or (d.num_key_value_heads,)),
        d.swa_num_key_value_heads or d.num_key_value_heads,
    }:
        if heads and (heads % tp if heads >= tp else tp % heads):
            return Rejection(kind="kv_heads", values={"kv_heads": heads, "tp": tp})
    return None
