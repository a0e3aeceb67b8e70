"""Tensors of Gemma 3n and Gemma 4: per-layer embeddings, alternating updates, unequal layers.

Source: llama.cpp b11434, src/models/gemma3n.cpp#L21 and src/models/gemma4.cpp#L37;
conversion/gemma.py for which of the optional tensors a file holds.
"""

from typing import Final

from probe.catalog.model_spec import Dimensions, LayerKind
from probe.estimate.tensors.attention import grouped_query
from probe.estimate.tensors.feed_forward import dense, experts
from probe.estimate.tensors.layer import LayerVariant, head_dim_of, integer
from probe.estimate.tensors.shape import Parts, Role, TensorPart, norm, weight

_NORMS: Final = ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
_ALTUP_INPUTS: Final = 4  # altup_num_inputs and laurel_rank of both published sizes
_LAUREL_RANK: Final = 64
_PER_LAYER: Final = 256  # hidden_size_per_layer_input of both published sizes


def _per_layer_width(d: Dimensions) -> int:
    return _PER_LAYER if d.hidden_size_per_layer_input is None else d.hidden_size_per_layer_input


def _per_layer_tables(d: Dimensions, width: int) -> Parts:
    rows = d.vocab_size  # converters pad Gemma 3n's shorter table to the vocabulary
    total = width * d.num_hidden_layers
    return (
        weight("per_layer_token_embd", total, rows, role=Role.PER_LAYER_EMBD),
        weight("per_layer_model_proj", d.hidden_size, total, role=Role.OTHER),
        *norm("per_layer_proj_norm", width),
    )


def _per_layer_input(d: Dimensions, width: int) -> Parts:
    return (
        weight("inp_gate", d.hidden_size, width, role=Role.FFN),
        weight("proj", width, d.hidden_size, role=Role.FFN),
        *norm("post_norm", d.hidden_size),
    )


def altup_tables(d: Dimensions) -> Parts:
    """What Gemma 3n keeps outside its layers."""
    inputs = integer(d, "altup_num_inputs", _ALTUP_INPUTS)
    return (
        weight("altup_proj", d.hidden_size, d.hidden_size, inputs - 1, role=Role.OTHER),
        weight("altup_unembd_proj", d.hidden_size, d.hidden_size, inputs - 1, role=Role.OTHER),
        *_per_layer_tables(d, _per_layer_width(d)),
    )


def gemma_3n_layer(d: Dimensions, v: LayerVariant) -> Parts:
    """A layer with alternating updates, a learned residual and per-layer input."""
    hidden = d.hidden_size
    inputs, rank = integer(d, "altup_num_inputs", _ALTUP_INPUTS), integer(d, "laurel_rank", _LAUREL_RANK)
    return (
        *(part for name in _NORMS for part in norm(name, hidden)),
        *grouped_query(d, v, qk_norm="head"),
        *dense(hidden, v.feed_forward),
        *_per_layer_input(d, _per_layer_width(d)),
        weight("altup_correct_coef", inputs, inputs, role=Role.OTHER),
        weight("altup_correct_scale", hidden, role=Role.OTHER),
        weight("altup_predict_coef", inputs, inputs * inputs, role=Role.OTHER),
        weight("altup_router", hidden, inputs, role=Role.OTHER),
        *norm("altup_router_norm", hidden),
        weight("laurel_l", hidden, rank, role=Role.OTHER),
        weight("laurel_r", rank, hidden, role=Role.OTHER),
        *norm("laurel_post_norm", hidden),
    )


def gemma_4_tables(d: Dimensions) -> Parts:
    """What Gemma 4 keeps outside its layers; only the small models have per-layer embeddings."""
    tables = _per_layer_tables(d, d.hidden_size_per_layer_input) if d.hidden_size_per_layer_input else ()
    freqs = weight("rope_freqs", (d.global_head_dim or d.head_dim) // 2, role=Role.ROPE)
    return (*tables, freqs)


def gemma_4_layer(d: Dimensions, v: LayerVariant) -> Parts:
    """A layer of Gemma 4: full layers have wider heads, and where K equals V no value projection."""
    hidden, width = d.hidden_size, head_dim_of(d, v.kind)
    heads = d.num_attention_heads
    parts: list[TensorPart] = [part for name in _NORMS for part in norm(name, hidden)]
    parts.append(weight("attn_q", hidden, heads * width, role=Role.ATTN))
    parts += norm("attn_q_norm", width)
    if v.owns_kv:
        parts.append(weight("attn_k", hidden, v.kv_heads * width, role=Role.ATTN))
        if not (d.attention_k_eq_v and v.kind is LayerKind.FULL):
            parts.append(weight("attn_v", hidden, v.kv_heads * width, role=Role.ATTN))
        parts += norm("attn_k_norm", width)
    parts.append(weight("attn_output", heads * width, hidden, role=Role.ATTN))
    parts.append(weight("layer_output_scale", 1, role=Role.OTHER))
    parts += dense(hidden, v.feed_forward)
    if v.moe:
        # Beside the experts the dense network stays as the shared expert.
        parts += experts(d, shared=0, fused=True)
        parts.append(TensorPart("ffn_gate_inp.scale", (hidden,), Role.ROUTER))
        parts.append(TensorPart("ffn_down_exps.scale", (d.num_experts or 0,), Role.EXPERT))
        for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"):
            parts += norm(name, hidden)
    if d.hidden_size_per_layer_input:
        parts += _per_layer_input(d, d.hidden_size_per_layer_input)
    return tuple(parts)
