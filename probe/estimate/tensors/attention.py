"""Tensors of the attention variants, as llama.cpp names and shapes them.

Source: llama.cpp b11434, src/models/<architecture>.cpp, load_arch_tensors of each;
create_tensor_qkv in src/llama-model.cpp#L3413.
"""

from probe.catalog.model_spec import Dimensions
from probe.estimate.tensors.layer import LayerVariant, head_dim_of, integer
from probe.estimate.tensors.shape import Parts, Role, TensorPart, bias, norm, weight


def grouped_query(
    d: Dimensions,
    v: LayerVariant,
    *,
    fused: bool = False,
    qkv_bias: bool | None = None,
    output_bias: bool | None = None,
    qk_norm: str | None = None,
    qk_norm_bias: bool = False,
    query_factor: int = 1,
    sinks: bool = False,
    gate: int = 0,
    all_heads_are_kv: bool = False,
) -> Parts:
    """Multi-head or grouped-query attention without its layer norms.

    Args:
        fused: one `attn_qkv` matrix instead of three.
        qkv_bias, output_bias: None means as the model's `attention_bias` says.
        qk_norm: "head" (one head wide, shared), "layer" (all heads wide) or
            "heads" (a matrix with one row a head); None for none.
        query_factor: 2 where the query projection also makes the output gate.
        gate: width of a separate output gate projection; 0 for none.
        all_heads_are_kv: keys and values of every query head, whatever the config says.
    """
    hidden, heads, width = d.hidden_size, d.num_attention_heads, head_dim_of(d, v.kind)
    kv_heads = heads if all_heads_are_kv else v.kv_heads
    value_width = d.v_head_dim if d.v_head_dim is not None and d.kv_lora_rank is None else width
    query, keys, values = heads * width * query_factor, kv_heads * width, kv_heads * value_width
    has_bias = "qkv" in (d.attention_bias or "") if qkv_bias is None else qkv_bias
    has_output_bias = (d.attention_bias or "").endswith("o") if output_bias is None else output_bias

    parts: list[TensorPart] = []
    if fused:
        parts.append(weight("attn_qkv", hidden, query + keys + values, role=Role.ATTN))
        if has_bias:
            parts.append(bias("attn_qkv", query + keys + values, Role.ATTN))
    else:
        for name, size in (("attn_q", query), ("attn_k", keys), ("attn_v", values)):
            parts.append(weight(name, hidden, size, role=Role.ATTN))
            if has_bias:
                parts.append(bias(name, size, Role.ATTN))
    parts.append(weight("attn_output", heads * value_width, hidden, role=Role.ATTN))
    if has_output_bias:
        parts.append(bias("attn_output", hidden, Role.ATTN))
    if qk_norm == "head":
        parts += norm("attn_q_norm", width, biased=qk_norm_bias)
        parts += norm("attn_k_norm", width, biased=qk_norm_bias)
    elif qk_norm == "layer":
        parts += norm("attn_q_norm", heads * width)
        parts += norm("attn_k_norm", kv_heads * width)
    elif qk_norm == "heads":
        parts += norm("attn_q_norm", width, heads)
        parts += norm("attn_k_norm", width, kv_heads)
    if sinks:
        parts.append(weight("attn_sinks", heads, role=Role.ATTN))
    if gate:
        parts.append(weight("attn_gate", hidden, gate, role=Role.ATTN))
    return tuple(parts)


def latent(d: Dimensions, *, indexer: bool = False, absorbed: bool = True) -> Parts:
    """Multi-head latent attention (DeepSeek V2 and later, Kimi, GLM-5, MiniCPM3).

    `absorbed`: the up-projection is stored split into `attn_k_b` and `attn_v_b`, as
    converters write it since 2025; MiniCPM3 keeps one `attn_kv_b`.
    """
    hidden, heads = d.hidden_size, d.num_attention_heads
    rank, rope = d.kv_lora_rank or 0, d.qk_rope_head_dim or 0
    nope, value = d.qk_nope_head_dim or 0, d.v_head_dim or 0
    parts: list[TensorPart] = []
    if d.q_lora_rank:
        parts += norm("attn_q_a_norm", d.q_lora_rank)
        parts.append(weight("attn_q_a", hidden, d.q_lora_rank, role=Role.ATTN))
        parts.append(weight("attn_q_b", d.q_lora_rank, heads * (nope + rope), role=Role.ATTN))
    else:
        parts.append(weight("attn_q", hidden, heads * (nope + rope), role=Role.ATTN))
    parts += norm("attn_kv_a_norm", rank)
    parts.append(weight("attn_kv_a_mqa", hidden, rank + rope, role=Role.ATTN))
    if absorbed:
        parts.append(weight("attn_k_b", nope, rank, heads, role=Role.ATTN))
        parts.append(weight("attn_v_b", rank, value, heads, role=Role.ATTN))
    else:
        parts.append(weight("attn_kv_b", rank, heads * (nope + value), role=Role.ATTN))
    parts.append(weight("attn_output", heads * value, hidden, role=Role.ATTN))
    if indexer:
        parts += _indexer(d)
    return tuple(parts)


def _indexer(d: Dimensions) -> Parts:
    """The sparse-attention indexer of DeepSeek V3.2 and GLM-5."""
    width, heads = d.index_head_dim or 0, d.index_n_heads or 0
    return (
        *norm("indexer.k_norm", width, biased=True),
        weight("indexer.proj", d.hidden_size, heads, role=Role.INDEXER),
        weight("indexer.attn_k", d.hidden_size, width, role=Role.INDEXER),
        weight("indexer.attn_q_b", d.q_lora_rank or 0, heads * width, role=Role.INDEXER),
    )


def compressed(d: Dimensions, v: LayerVariant) -> Parts:
    """Attention of DeepSeek-V4: one latent head, grouped output, caches compressed by 4 or 128.

    Source: llama.cpp b11434, src/models/deepseek4.cpp#L82.
    """
    hidden, heads, width = d.hidden_size, d.num_attention_heads, d.head_dim
    rank, groups, out_rank = d.q_lora_rank or 0, integer(d, "o_groups"), integer(d, "o_lora_rank")
    parts: list[TensorPart] = [
        weight("attn_sinks", heads, role=Role.ATTN),
        weight("attn_q_a", hidden, rank, role=Role.ATTN),
        *norm("attn_q_a_norm", rank),
        weight("attn_q_b", rank, heads * width, role=Role.ATTN),
        weight("attn_kv", hidden, width, role=Role.ATTN),
        *norm("attn_kv_a_norm", width),
        weight("attn_output_a", heads * width // max(groups, 1), out_rank * groups, role=Role.ATTN),
        weight("attn_output_b", groups * out_rank, hidden, role=Role.ATTN),
    ]
    if v.compress_ratio:
        wide = (2 if v.compress_ratio == 4 else 1) * width
        parts += _compressor("attn_compressor", hidden, wide, width, v.compress_ratio)
    if v.compress_ratio == 4:
        index_heads, index_width = d.index_n_heads or 0, d.index_head_dim or 0
        parts.append(weight("indexer.proj", hidden, index_heads, role=Role.INDEXER))
        parts.append(weight("indexer.attn_q_b", rank, index_heads * index_width, role=Role.INDEXER))
        parts += _compressor("indexer_compressor", hidden, 2 * index_width, index_width, v.compress_ratio)
    return tuple(parts)


def _compressor(name: str, hidden: int, wide: int, width: int, ratio: int) -> Parts:
    return (
        weight(f"{name}_kv", hidden, wide, role=Role.INDEXER),
        weight(f"{name}_gate", hidden, wide, role=Role.INDEXER),
        weight(f"{name}_ape", wide, ratio, role=Role.INDEXER),
        *norm(f"{name}_norm", width),
    )
