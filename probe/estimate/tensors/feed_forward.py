"""Tensors of the feed-forward variants: dense, and mixture of experts with shared experts.

Source: llama.cpp b11434, src/models/<architecture>.cpp, load_arch_tensors of each.
"""

from probe.catalog.model_spec import Dimensions
from probe.estimate.tensors.shape import Parts, Role, TensorPart, bias, weight


def dense(hidden: int, width: int, *, form: str = "gated", biased: bool = False) -> Parts:
    """A dense network: "gated" (gate, up, down), "plain" (up, down) or "fused" (gate inside up)."""
    up = 2 * width if form == "fused" else width
    parts: list[TensorPart] = []
    if form == "gated":
        parts.append(weight("ffn_gate", hidden, width, role=Role.FFN))
    parts.append(weight("ffn_up", hidden, up, role=Role.FFN))
    parts.append(weight("ffn_down", width, hidden, role=Role.FFN))
    if biased:
        parts.append(bias("ffn_up", up, Role.FFN))
        parts.append(bias("ffn_down", hidden, Role.FFN))
    return tuple(parts)


def shared_width(d: Dimensions) -> int:
    """Width of all shared experts of a layer together; 0 for none."""
    if d.shared_expert_intermediate_size is not None:
        return d.shared_expert_intermediate_size
    return (d.n_shared_experts or 0) * expert_width(d)


def expert_width(d: Dimensions) -> int:
    """Width of one routed expert."""
    return d.moe_intermediate_size if d.moe_intermediate_size is not None else d.intermediate_size


def experts(
    d: Dimensions,
    *,
    gated: bool = True,
    selection_bias: bool = False,
    biased: bool = False,
    shared: int | None = None,
    shared_gate: bool = False,
    shared_gated: bool = True,
    fused: bool = False,
) -> Parts:
    """A mixture of experts: router, stacked experts, shared experts.

    Args:
        selection_bias: `exp_probs_b`, the correction of sigmoid routers.
        biased: biases on router and experts (gpt-oss).
        shared: width of the shared experts together; None as the model says.
        shared_gate: a sigmoid gate on the shared expert (Qwen).
        fused: gate and up in one stack (Gemma 4).
    """
    hidden, count, width = d.hidden_size, d.num_experts or 0, expert_width(d)
    inner = d.moe_latent_size or hidden
    shared = shared_width(d) if shared is None else shared
    parts = [weight("ffn_gate_inp", hidden, count, role=Role.ROUTER)]
    if fused:
        parts.append(weight("ffn_gate_up_exps", inner, 2 * width, count, role=Role.EXPERT))
    else:
        if gated:
            parts.append(weight("ffn_gate_exps", inner, width, count, role=Role.EXPERT))
        parts.append(weight("ffn_up_exps", inner, width, count, role=Role.EXPERT))
    parts.append(weight("ffn_down_exps", width, inner, count, role=Role.EXPERT))
    if d.moe_latent_size:
        parts.append(weight("ffn_latent_down", hidden, inner, role=Role.FFN))
        parts.append(weight("ffn_latent_up", inner, hidden, role=Role.FFN))
    if selection_bias:
        parts.append(bias("exp_probs_b", count, Role.ROUTER))
    if biased:
        parts.append(bias("ffn_gate_inp", count, Role.ROUTER))
        for name, size in (("ffn_gate_exps", width), ("ffn_up_exps", width), ("ffn_down_exps", hidden)):
            parts.append(TensorPart(f"{name}.bias", (size, count), Role.EXPERT))
    if shared:
        if shared_gate:
            parts.append(weight("ffn_gate_inp_shexp", hidden, role=Role.ROUTER))
        if shared_gated:
            parts.append(weight("ffn_gate_shexp", hidden, shared, role=Role.SHARED_EXPERT))
        parts.append(weight("ffn_up_shexp", hidden, shared, role=Role.SHARED_EXPERT))
        parts.append(weight("ffn_down_shexp", shared, hidden, role=Role.SHARED_EXPERT))
    return tuple(parts)
