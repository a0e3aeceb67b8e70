"""Tensors of layers that keep a state instead of a growing cache.

Source: llama.cpp b11434: src/models/{mamba,mamba2,jamba,falcon-h1,granite-hybrid,
nemotron-h,qwen3next,qwen35,kimi-linear,lfm2,rwkv7,minimax-01}.cpp.
"""

from probe.catalog.model_spec import Dimensions
from probe.estimate.tensors.layer import LayerVariant, integer
from probe.estimate.tensors.shape import Parts, Role, TensorPart, bias, norm, weight


def mamba_inner(d: Dimensions) -> int:
    """Width of the inner state-space channels."""
    if d.ssm_inner is not None:
        return d.ssm_inner
    if d.ssm_num_heads and d.ssm_head_dim:
        return d.ssm_num_heads * d.ssm_head_dim
    return (d.ssm_expand or 2) * d.hidden_size


def mamba_1(d: Dimensions, *, inner_norms: bool = False) -> Parts:
    """A Mamba-1 mixer; `inner_norms` for Jamba's norms of dt, B and C."""
    hidden, inner, state = d.hidden_size, mamba_inner(d), d.ssm_state_size or 0
    rank = d.ssm_dt_rank or -(-hidden // 16)
    parts: list[TensorPart] = [
        weight("ssm_in", hidden, 2 * inner, role=Role.SSM),
        weight("ssm_conv1d", d.ssm_conv_kernel or 0, inner, role=Role.SSM),
        bias("ssm_conv1d", inner, Role.SSM),
        weight("ssm_x", inner, rank + 2 * state, role=Role.SSM),
        weight("ssm_dt", rank, inner, role=Role.SSM),
        bias("ssm_dt", inner, Role.SSM),
        TensorPart("ssm_a", (state, inner), Role.SSM),
        TensorPart("ssm_d", (inner,), Role.SSM),
        weight("ssm_out", inner, hidden, role=Role.SSM),
    ]
    if inner_norms:
        parts += norm("ssm_dt_norm", rank)
        parts += norm("ssm_b_norm", state)
        parts += norm("ssm_c_norm", state)
    return tuple(parts)


def mamba_2(d: Dimensions, *, gate_norm: bool = True) -> Parts:
    """A Mamba-2 mixer; `gate_norm` is the grouped norm before the output projection."""
    hidden, inner, state = d.hidden_size, mamba_inner(d), d.ssm_state_size or 0
    groups = d.ssm_n_groups or 1
    heads = d.ssm_num_heads or (inner // d.ssm_head_dim if d.ssm_head_dim else 0)
    channels = inner + 2 * groups * state
    parts: list[TensorPart] = [
        weight("ssm_in", hidden, inner + channels + heads, role=Role.SSM),
        weight("ssm_conv1d", d.ssm_conv_kernel or 0, channels, role=Role.SSM),
        bias("ssm_conv1d", channels, Role.SSM),
        bias("ssm_dt", heads, Role.SSM),
        TensorPart("ssm_a", (1, heads), Role.SSM),
        TensorPart("ssm_d", (1, heads), Role.SSM),
        weight("ssm_out", inner, hidden, role=Role.SSM),
    ]
    if gate_norm:
        parts += norm("ssm_norm", inner // groups, groups)
    return tuple(parts)


def gated_delta_net(d: Dimensions, *, joint_beta_alpha: bool) -> Parts:
    """Linear attention of Qwen3-Next (`joint_beta_alpha`) and Qwen3.5."""
    hidden, value_heads = d.hidden_size, d.linear_num_value_heads or 0
    keys = (d.linear_num_key_heads or 0) * (d.linear_key_head_dim or 0)
    values = value_heads * (d.linear_value_head_dim or 0)
    parts: list[TensorPart] = [
        weight("attn_qkv", hidden, 2 * keys + values, role=Role.SSM),
        weight("attn_gate", hidden, values, role=Role.SSM),
        weight("ssm_conv1d", d.linear_conv_kernel_dim or 0, 2 * keys + values, role=Role.SSM),
        bias("ssm_dt", value_heads, Role.SSM),
        TensorPart("ssm_a", (value_heads,), Role.SSM),
    ]
    if joint_beta_alpha:
        parts.append(weight("ssm_ba", hidden, 2 * value_heads, role=Role.SSM))
    else:
        parts.append(weight("ssm_beta", hidden, value_heads, role=Role.SSM))
        parts.append(weight("ssm_alpha", hidden, value_heads, role=Role.SSM))
    parts += norm("ssm_norm", d.linear_value_head_dim or 0)
    parts.append(weight("ssm_out", values, hidden, role=Role.SSM))
    return tuple(parts)


def kimi_delta_attention(d: Dimensions) -> Parts:
    """Linear attention of Kimi-Linear (KDA): three convolutions, low-rank decay and gate."""
    hidden, width = d.hidden_size, d.linear_key_head_dim or 0
    heads = d.linear_num_key_heads or d.num_attention_heads
    inner, kernel = heads * width, d.linear_conv_kernel_dim or 0
    return (
        *(weight(f"ssm_conv1d_{name}", kernel, 1, inner, role=Role.SSM) for name in "qkv"),
        *(weight(f"attn_{name}", hidden, inner, role=Role.SSM) for name in "qkv"),
        weight("ssm_f_a", hidden, width, role=Role.SSM),
        weight("ssm_f_b", width, inner, role=Role.SSM),
        weight("ssm_beta", hidden, heads, role=Role.SSM),
        TensorPart("ssm_a", (1, heads), Role.SSM),
        bias("ssm_dt", inner, Role.SSM),
        weight("ssm_g_a", hidden, width, role=Role.SSM),
        weight("ssm_g_b", width, inner, role=Role.SSM),
        *norm("ssm_norm", width),
        weight("attn_output", inner, hidden, role=Role.SSM),
    )


def lightning_attention(d: Dimensions) -> Parts:
    """Linear attention of MiniMax-Text-01 and M1."""
    hidden, inner = d.hidden_size, d.num_attention_heads * d.head_dim
    return (
        *norm("attn_norm_2", inner),
        weight("attn_qkv", hidden, 3 * inner, role=Role.SSM),
        weight("attn_gate", hidden, inner, role=Role.SSM),
        weight("attn_output", inner, hidden, role=Role.SSM),
    )


def short_convolution(d: Dimensions) -> Parts:
    """The gated short convolution of LFM2."""
    hidden = d.hidden_size
    return (
        weight("shortconv.conv", d.conv_l_cache or 0, hidden, role=Role.SSM),
        weight("shortconv.in_proj", hidden, 3 * hidden, role=Role.SSM),
        weight("shortconv.out_proj", hidden, hidden, role=Role.SSM),
    )


def rwkv_7(d: Dimensions, v: LayerVariant) -> Parts:
    """A whole RWKV-7 layer: time mixing with low-rank parts, and channel mixing."""
    hidden, width = d.hidden_size, v.feed_forward
    decay, learning = integer(d, "decay_low_rank_dim"), integer(d, "a_low_rank_dim")
    value = learning if v.first else integer(d, "v_low_rank_dim")
    gate = integer(d, "gate_low_rank_dim")
    low_rank: list[TensorPart] = []
    for name, rank in (("w", decay), ("a", learning), ("v", value)):
        low_rank.append(weight(f"time_mix_{name}0", hidden, role=Role.SSM))
        low_rank.append(weight(f"time_mix_{name}1", hidden, rank, role=Role.SSM))
        low_rank.append(weight(f"time_mix_{name}2", rank, hidden, role=Role.SSM))
    return (
        *norm("attn_norm", hidden, biased=True),
        *norm("attn_norm_2", hidden, biased=True),
        *low_rank,
        weight("time_mix_g1", hidden, gate, role=Role.SSM),
        weight("time_mix_g2", gate, hidden, role=Role.SSM),
        weight("time_mix_lerp_fused", hidden, 1, 1, 6, role=Role.SSM),
        *(weight(f"time_mix_{name}", hidden, role=Role.SSM) for name in ("k_k", "k_a", "r_k")),
        *(
            weight(f"time_mix_{name}", hidden, hidden, role=Role.SSM)
            for name in ("key", "value", "receptance", "output")
        ),
        *norm("time_mix_ln", hidden, biased=True),
        weight("channel_mix_lerp_k", hidden, 1, 1, role=Role.FFN),
        weight("channel_mix_key", hidden, width, role=Role.FFN),
        weight("channel_mix_value", width, hidden, role=Role.FFN),
    )
