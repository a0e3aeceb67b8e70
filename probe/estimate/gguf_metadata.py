"""The GGUF metadata that llama.cpp's converter writes for a model: config.json names to GGUF keys.

Only what decides memory is written: sizes and layer patterns, no rope bases, no norms.
Source: conversion/*.py of llama.cpp b11434.
"""

from typing import Final

import msgspec

from probe.catalog.model_spec import Dimensions, LayerKind, ModelSpec
from probe.estimate.not_modeled import UNKNOWN_ARCHITECTURE, UNKNOWN_SHAPES, NotModeledError

Metadata = dict[str, object]

_LATENT: Final = frozenset({"deepseek2", "deepseek32", "glm-dsa", "mistral4", "kimi-linear", "kimi-k3"})
_PLAIN_LATENT: Final = frozenset({"minicpm3", "plm"})  # latent weights, full heads in the cache
_ZERO_KV: Final = frozenset(
    {LayerKind.MAMBA, LayerKind.LINEAR, LayerKind.CONV, LayerKind.MLP, LayerKind.EXPERTS}
)
# Layers without attention are marked by zero key/value heads in these.
_MARKED_BY_HEADS: Final = frozenset(
    {"jamba", "granitehybrid", "lfm2", "lfm2moe", "nemotron_h", "nemotron_h_moe", "kimi-linear", "plamo2"}
)
# (gating function, normalized weights) that converters write: 1 softmax, 2 sigmoid.
_ROUTERS: Final[dict[str, tuple[int, bool]]] = {
    "afmoe": (2, True),
    "bailingmoe": (1, True),
    "bailingmoe2": (2, True),
    "deepseek2": (2, True),
    "deepseek32": (2, True),
    "deepseek4": (4, True),
    "dots1": (2, True),
    "exaone-moe": (2, True),
    "glm-dsa": (2, True),
    "glm4moe": (2, True),
    "kimi-linear": (2, True),
    "lfm2moe": (2, True),
    "mimo2": (2, True),
    "minimax-m2": (2, True),
    "minimax-m3": (2, True),
    "mistral4": (1, True),
    "nemotron_h_moe": (2, True),
    "step35": (2, True),
}
_DROPS_PREDICTION: Final = frozenset({"deepseek4", "ernie4_5-moe", "minimax-m3"})
_SLIDING_ARRAYS: Final = frozenset({"gemma4", "mimo2", "step35", "granite_swa"})


def gguf_metadata(spec: ModelSpec) -> Metadata:
    """What a GGUF of this model says about its sizes; a file's own metadata is passed through.

    Raises:
        NotModeledError: not in upstream llama.cpp, or its shapes are not known.
    """
    if spec.gguf_metadata is not None:
        return dict(spec.gguf_metadata)
    if spec.architecture is None:
        raise NotModeledError(UNKNOWN_ARCHITECTURE, architecture=None)
    if spec.dimensions is None:
        raise NotModeledError(UNKNOWN_SHAPES, architecture=spec.architecture, missing="dimensions")
    arch, d = spec.architecture, _as_converted(spec, spec.dimensions)
    layers = d.num_hidden_layers
    mtp = d.mtp_layers or 0
    m: Metadata = {
        "block_count": layers + mtp,
        "embedding_length": d.hidden_size,
        "vocab_size": d.vocab_size,
        "context_length": spec.max_context or 0,
        "feed_forward_length": d.intermediate_size,
        "attention.head_count": d.num_attention_heads,
        "attention.head_count_kv": d.num_key_value_heads,
    }
    if mtp:
        m["nextn_predict_layers"] = mtp
    if d.head_dim and d.num_attention_heads:
        m["attention.key_length"] = d.head_dim
        m["attention.value_length"] = d.v_head_dim or d.head_dim
        # part of a head turns in Phi-4-mini (conversion/phi.py#L155)
        m["rope.dimension_count"] = int(d.head_dim * float(d.extra.get("partial_rotary_factor", 1)))
    if d.layer_kv_heads is not None:
        m["attention.head_count_kv"] = [*d.layer_kv_heads, *[d.num_key_value_heads] * mtp]
    if d.layer_intermediate_sizes is not None:
        m["feed_forward_length"] = [*d.layer_intermediate_sizes, *[d.intermediate_size] * mtp]
    _windows(m, arch, d)
    _experts(m, arch, d)
    _latent_attention(m, arch, d)
    _states(m, arch, d)
    _per_architecture(m, arch, d)
    return {"general.architecture": arch} | {f"{arch}.{key}": value for key, value in m.items()}


def _as_converted(spec: ModelSpec, d: Dimensions) -> Dimensions:
    """The shapes without prediction layers where the converter leaves them out of the file.

    Source: conversion/deepseek.py#L240 (DeepSeek-V3; GLM-4.7-Flash of the same architecture keeps
    them, glm.py#L278) and #L549 (V4), ernie.py#L100; MiniMax-M3's weights do not hold them.
    """
    dropped = spec.architecture in _DROPS_PREDICTION or (
        spec.architecture == "deepseek2" and spec.model_type != "glm4_moe_lite"
    )
    return msgspec.structs.replace(d, mtp_layers=None) if dropped and d.mtp_layers else d


def _windows(m: Metadata, arch: str, d: Dimensions) -> None:
    window = d.sliding_window or d.attention_chunk_size
    if not window or arch == "llama4":
        return
    m["attention.sliding_window"] = window
    if arch in _SLIDING_ARRAYS and d.layer_pattern:
        mtp = [False] * (d.mtp_layers or 0)
        m["attention.sliding_window_pattern"] = [letter == "S" for letter in d.layer_pattern] + mtp


def _experts(m: Metadata, arch: str, d: Dimensions) -> None:
    if not d.num_experts:
        return
    m["expert_count"] = d.num_experts
    m["expert_used_count"] = d.experts_per_token or 0
    if d.moe_intermediate_size:
        m["expert_feed_forward_length"] = d.moe_intermediate_size
    if d.shared_expert_intermediate_size:
        m["expert_shared_feed_forward_length"] = d.shared_expert_intermediate_size
    shared = d.n_shared_experts or (1 if d.shared_expert_intermediate_size else 0)
    if shared:
        m["expert_shared_count"] = shared
    if d.first_k_dense:
        m["leading_dense_block_count"] = d.first_k_dense
    if arch in _ROUTERS:
        m["expert_gating_func"], m["expert_weights_norm"] = _ROUTERS[arch]
    groups = _extra(d, "n_group", 0)
    if groups > 1:
        m["expert_group_count"] = groups
        m["expert_group_used_count"] = _extra(d, "topk_group", 1)
    if d.moe_latent_size:
        m["moe_latent_size"] = d.moe_latent_size
    if d.moe_layer_step:
        m["interleave_moe_layer_step"] = d.moe_layer_step
    if not m["feed_forward_length"]:
        m["feed_forward_length"] = d.moe_intermediate_size or 0


def _latent_attention(m: Metadata, arch: str, d: Dimensions) -> None:
    if d.kv_lora_rank is None:
        return
    rope = d.qk_rope_head_dim or 0
    nope = d.qk_nope_head_dim or 0
    m["attention.kv_lora_rank"] = d.kv_lora_rank
    if d.q_lora_rank:
        m["attention.q_lora_rank"] = d.q_lora_rank
    m["rope.dimension_count"] = rope
    if arch in _LATENT:
        m["attention.head_count_kv"] = 1
        m["attention.key_length"] = d.kv_lora_rank + rope
        m["attention.value_length"] = d.kv_lora_rank
        m["attention.key_length_mla"] = nope + rope
        m["attention.value_length_mla"] = d.v_head_dim or d.head_dim
    elif arch in _PLAIN_LATENT:
        m["attention.key_length"] = nope + rope
        m["attention.value_length"] = d.v_head_dim or d.head_dim
    if d.index_n_heads:
        _indexer(m, d)
        # A letter a layer, S: shares an earlier layer's. Prediction blocks have none: the loader asks for
        # n_layer() entries, which leaves them out (src/models/glm-dsa.cpp#L66, conversion/glm.py#L380).
        types = d.extra.get("indexer_types")
        if isinstance(types, str) and types:
            m["attention.indexer.types"] = [letter != "S" for letter in types]


def _indexer(m: Metadata, d: Dimensions) -> None:
    m["attention.indexer.head_count"] = d.index_n_heads or 0
    m["attention.indexer.key_length"] = d.index_head_dim or 0
    m["attention.indexer.top_k"] = d.index_topk or 0


def _states(m: Metadata, arch: str, d: Dimensions) -> None:
    kinds = [d.kind_of(layer) for layer in range(d.num_hidden_layers)]
    mtp = d.mtp_layers or 0
    if arch in _MARKED_BY_HEADS and d.layer_kv_heads is None:
        own = 1 if arch == "kimi-linear" else d.num_key_value_heads
        m["attention.head_count_kv"] = [0 if kind in _ZERO_KV else own for kind in kinds] + [own] * mtp
    if arch in ("nemotron_h", "nemotron_h_moe") and d.layer_intermediate_sizes is None:
        width = d.intermediate_size or d.moe_intermediate_size or 1
        mixed = (LayerKind.MLP, LayerKind.EXPERTS)
        m["feed_forward_length"] = [width if kind in mixed else 0 for kind in kinds] + [width] * mtp
    if arch in ("qwen3next", "qwen35", "qwen35moe", "minimax-01"):
        m["attention.recurrent_layers"] = [kind is LayerKind.LINEAR for kind in kinds] + [False] * mtp
    if d.ssm_conv_kernel is not None:
        inner = (
            d.ssm_inner
            or (d.ssm_num_heads or 0) * (d.ssm_head_dim or 0)
            or (d.ssm_expand or 2) * d.hidden_size
        )
        m["ssm.conv_kernel"] = d.ssm_conv_kernel
        m["ssm.inner_size"] = inner
        m["ssm.state_size"] = d.ssm_state_size or 0
        m["ssm.time_step_rank"] = d.ssm_num_heads or d.ssm_dt_rank or -(-d.hidden_size // 16)
        if d.ssm_n_groups is not None and arch not in ("mamba", "jamba"):
            m["ssm.group_count"] = d.ssm_n_groups
    if d.linear_num_value_heads and d.linear_value_head_dim:
        m["ssm.conv_kernel"] = d.linear_conv_kernel_dim or 4
        m["ssm.inner_size"] = d.linear_num_value_heads * d.linear_value_head_dim
        m["ssm.state_size"] = d.linear_key_head_dim or 0
        m["ssm.time_step_rank"] = d.linear_num_value_heads
        m["ssm.group_count"] = d.linear_num_key_heads or 0
    if d.conv_l_cache is not None:
        m["shortconv.l_cache"] = d.conv_l_cache
    if arch == "kimi-linear":
        m["ssm.conv_kernel"] = d.linear_conv_kernel_dim or 4
        m["kda.head_dim"] = d.linear_key_head_dim or 128


def _per_architecture(m: Metadata, arch: str, d: Dimensions) -> None:
    layers = d.num_hidden_layers
    if arch == "gemma4":
        kinds = [d.kind_of(layer) for layer in range(layers)]
        full_heads = d.num_global_key_value_heads or d.num_key_value_heads
        m["attention.head_count_kv"] = [
            full_heads if kind is LayerKind.FULL else d.num_key_value_heads for kind in kinds
        ]
        m["attention.key_length"] = m["attention.value_length"] = d.global_head_dim or d.head_dim
        m["attention.key_length_swa"] = m["attention.value_length_swa"] = d.head_dim
        m["rope.dimension_count"] = d.global_head_dim or d.head_dim
        m["attention.shared_kv_layers"] = d.num_kv_shared_layers or 0
        m["embedding_length_per_layer_input"] = d.hidden_size_per_layer_input or 0
    elif arch == "gemma3n":
        m["embedding_length_per_layer_input"] = d.hidden_size_per_layer_input or 256
    elif arch == "step35":
        sliding_heads = _extra(d, "swa_num_attention_heads", d.num_attention_heads)
        kinds = [d.kind_of(layer) for layer in range(layers)]
        m["attention.head_count"] = [
            sliding_heads if kind is LayerKind.SLIDING else d.num_attention_heads for kind in kinds
        ] + [sliding_heads] * (d.mtp_layers or 0)
    elif arch == "mimo2":
        swa = d.swa_num_key_value_heads or d.num_key_value_heads
        kinds = [d.kind_of(layer) for layer in range(layers)]
        m["attention.head_count_kv"] = [
            swa if kind is LayerKind.SLIDING else d.num_key_value_heads for kind in kinds
        ] + [swa] * (d.mtp_layers or 0)
    elif arch == "deci" and d.layer_kv_heads is not None:  # layers without attention have no heads at all
        m["attention.head_count"] = [d.num_attention_heads if kv else 0 for kv in d.layer_kv_heads]
    elif arch == "deepseek4":
        m["attention.compress_ratios"] = [*(d.compress_ratios or (0,) * layers)]
        m["rope.dimension_count"] = d.qk_rope_head_dim or 64
        m["attention.key_length"] = m["attention.value_length"] = d.head_dim
        _indexer(m, d)
    elif arch in ("qwen3vl", "qwen3vlmoe"):  # len(deepstack_visual_indexes), 3 in all sizes
        m["n_deepstack_layers"] = 3
    elif arch == "minimax-m3":  # top_k counts blocks (conversion/minimax.py#L184)
        _indexer(m, d)
        m["attention.indexer.block_size"] = _extra(d, "index_block_size", 0)
    elif arch in ("rwkv6", "rwkv7", "arwkv7", "rwkv6qwen2"):
        m["wkv.head_size"] = d.head_dim or 64
        for key, name in _LOW_RANKS.items():
            if name in d.extra:
                m[key] = _extra(d, name, 0)


_LOW_RANKS = {
    "attention.decay_lora_rank": "decay_low_rank_dim",
    "attention.iclr_lora_rank": "a_low_rank_dim",
    "attention.value_residual_mix_lora_rank": "v_low_rank_dim",
    "attention.gate_lora_rank": "gate_low_rank_dim",
}


def _extra(d: Dimensions, name: str, default: int) -> int:
    value = d.extra.get(name, default)
    return int(value) if isinstance(value, (int, float)) else default
