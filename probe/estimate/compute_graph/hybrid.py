"""Models that mix attention with layers that keep a state.

Source: src/models/{mamba,jamba,granite-hybrid,falcon-h1,nemotron-h,lfm2,qwen3next,qwen35,
kimi-linear}.cpp, llama.cpp b11434.
"""

from probe.estimate.compute_graph.builder import Builder
from probe.estimate.compute_graph.decoder import Recipe, feed_forward, self_attention
from probe.estimate.compute_graph.feed_forward import SIGMOID
from probe.estimate.compute_graph.ggml import Graph, Tensor
from probe.estimate.compute_graph.latent import latent_attention
from probe.estimate.compute_graph.recurrent import (
    gated_delta_net,
    kimi_delta_attention,
    lightning_attention,
    mamba_1,
    mamba_2,
    short_convolution,
)


def mamba(b: Builder, recipe: Recipe) -> Graph:
    """Mamba and Mamba-2: nothing but state layers."""
    del recipe
    stream = b.embeddings()
    for index in b.sequence:
        b.enter(index)
        normed = b.norm(stream, "attn_norm")
        out = mamba_1(b, normed) if b.h.architecture == "mamba" else mamba_2(b, normed)
        if index == b.h.layers - 1:
            out, stream = b.pick_outputs(out), b.pick_outputs(stream)
        stream = b.add(out, stream)
    return b.head(stream)


def mixer(b: Builder, recipe: Recipe, x: Tensor) -> Tensor:
    """Attention or the architecture's state layer, whichever this layer is."""
    if not b.h.recurrent[b.index]:
        return (recipe.attention or self_attention)(b, recipe, x)
    if b.h.architecture == "jamba":
        return mamba_1(b, x)
    if b.h.architecture in ("lfm2", "lfm2moe"):
        return short_convolution(b, x)
    return mamba_2(b, x)


def jamba(b: Builder, recipe: Recipe) -> Graph:
    """Jamba: the residual comes first in both sums."""
    stream = b.embeddings()
    for index in b.sequence:
        b.enter(index)
        out = mixer(b, recipe, b.norm(stream, "attn_norm"))
        if index == b.h.layers - 1:
            out, stream = b.pick_outputs(out), b.pick_outputs(stream)
        middle = b.add(stream, out)
        stream = b.add(middle, feed_forward(b, recipe, b.norm(middle, "ffn_norm")))
    return b.head(stream)


def granite_hybrid(b: Builder, recipe: Recipe) -> Graph:
    """Granite 4 H."""
    stream = b.embeddings()
    for index in b.sequence:
        b.enter(index)
        out = mixer(b, recipe, b.norm(stream, "attn_norm"))
        if index == b.h.layers - 1:
            out, stream = b.pick_outputs(out), b.pick_outputs(stream)
        middle = b.add(out, stream)
        stream = b.add(feed_forward(b, recipe, b.norm(middle, "ffn_norm")), middle)
    return b.head(stream)


def falcon_h1(b: Builder, recipe: Recipe) -> Graph:
    """Falcon-H1: attention and Mamba-2 side by side in every layer."""
    stream = b.embeddings()
    for index in b.sequence:
        b.enter(index)
        attended = self_attention(b, recipe, b.norm(stream, "attn_norm"))
        scanned = mamba_2(b, b.norm(stream, "attn_norm"))
        middle = b.add(b.add(attended, scanned), stream)
        if index == b.h.layers - 1:
            middle = b.pick_outputs(middle)
        stream = b.add(feed_forward(b, recipe, b.norm(middle, "ffn_norm")), middle)
    return b.head(stream)


def nemotron_h(b: Builder, recipe: Recipe) -> Graph:
    """Nemotron-H: one sublayer a layer; wanted rows are picked at the end."""
    h = b.h
    stream = b.embeddings()
    for index in b.sequence:
        b.enter(index)
        normed = b.norm(stream, "attn_norm")
        if h.recurrent[index]:
            out = mamba_2(b, normed)
        elif h.cached[index]:
            out = self_attention(b, recipe, normed)
        elif b.has("ffn_gate_inp.weight"):
            out = _latent_experts(b, recipe, normed)
        else:
            out = b.ffn(normed)
        stream = b.add(out, stream)
    return b.late_head(stream)


def _latent_experts(b: Builder, recipe: Recipe, x: Tensor) -> Tensor:
    """Experts that may work in a narrower space, and a shared one that does not."""
    narrow = b.linear(x, "ffn_latent_down") if b.has("ffn_latent_down.weight") else x
    router = b.matmul(x, "ffn_gate_inp", b.h.experts)
    normalized = bool(b.h.metadata.get(f"{b.h.architecture}.expert_weights_norm", False))
    out = b.moe(narrow, gating=SIGMOID, normalized=normalized, router=router)
    if b.has("ffn_latent_up.weight"):
        out = b.linear(out, "ffn_latent_up")
    return b.add(out, b.shared_expert(x))


def lfm2(b: Builder, recipe: Recipe) -> Graph:
    """LFM2: short convolutions with a few attention layers; the residual comes first."""
    stream = b.embeddings()
    for index in b.sequence:
        b.enter(index)
        out = mixer(b, recipe, b.norm(stream, "attn_norm"))
        if index == b.h.layers - 1:
            out, stream = b.pick_outputs(out), b.pick_outputs(stream)
        middle = b.add(stream, out)
        stream = b.add(middle, feed_forward(b, recipe, b.norm(middle, "ffn_norm")))
    return b.head(stream, norm="token_embd_norm")


def gated_attention(b: Builder, recipe: Recipe, x: Tensor) -> Tensor:
    """Attention whose query projection also holds an output gate (Qwen3-Next, Qwen3.5)."""
    g, h, i = b.g, b.h, b.index
    size, count, kv_count = h.key_size[i], h.heads[i], h.kv_heads[i]
    both = b.linear(x, "attn_q")
    k, v = b.linear(x, "attn_k"), b.linear(x, "attn_v")
    if h.architecture == "qwen3next":
        both = g.view(both, (2 * size, count, b.n, 1))
    positions = b.position_input(recipe.positions)
    q = b.rope(b.norm(g.view(both, (size, count, b.n)), "attn_q_norm"), positions=positions)
    k = b.rope(b.norm(b.heads(k, size, kv_count), "attn_k_norm"), positions=positions)
    out = b.attend(q, k, b.heads(v, size, kv_count), output=None)
    gate = g.over(b.cont(g.view(both, (size, count, b.n)), (size * count, b.n)))
    return b.linear(g.over(out, gate), "attn_output")


def qwen_next(b: Builder, recipe: Recipe) -> Graph:
    """Qwen3-Next and Qwen3.5: three gated delta nets for each attention layer."""
    h = b.h
    stream = b.embeddings()
    for index in b.sequence:
        b.enter(index)
        normed = b.norm(stream, "attn_norm")
        b.g.expand(normed)
        out = gated_delta_net(b, normed) if h.recurrent[index] else gated_attention(b, recipe, normed)
        middle = b.add(out, stream)
        x = b.norm(middle, "post_attention_norm")
        stream = b.add(_experts_with_gated_share(b, x), middle)
    return b.late_head(stream)


def _experts_with_gated_share(b: Builder, x: Tensor) -> Tensor:
    if not b.has("ffn_gate_inp.weight"):
        return b.ffn(x)
    out = b.moe(x)
    if not b.has("ffn_up_shexp.weight"):
        return out
    shared = b.shared_expert(x)
    gate = b.g.over(b.matmul(x, "ffn_gate_inp_shexp", 1))
    return b.add(out, b.g.over(shared, gate))


def kimi_linear(b: Builder, recipe: Recipe) -> Graph:
    """Kimi Linear: three layers with a delta rule for each latent attention, which does not rotate."""
    h = b.h
    stream = b.embeddings()
    for index in b.sequence:
        b.enter(index)
        normed = b.norm(stream, "attn_norm")
        b.g.expand(normed)
        out = kimi_delta_attention(b, normed) if h.recurrent[index] else latent_attention(b, recipe, normed)
        if index == h.layers - 1:
            out, stream = b.pick_outputs(out), b.pick_outputs(stream)
        middle = b.add(out, stream)
        stream = b.add(feed_forward(b, recipe, b.norm(middle, "ffn_norm")), middle)
    return b.head(stream)


def minimax_01(b: Builder, recipe: Recipe) -> Graph:
    """MiniMax-Text-01: the residual is taken after each norm."""
    h = b.h
    stream = b.embeddings()
    for index in b.sequence:
        b.enter(index)
        normed = b.norm(stream, "attn_norm")
        out = lightning_attention(b, normed) if h.recurrent[index] else self_attention(b, recipe, normed)
        if index == h.layers - 1:
            out, normed = b.pick_outputs(out), b.pick_outputs(normed)
        x = b.norm(b.add(out, b.g.over(normed)), "ffn_norm")
        stream = b.add(b.moe(x), b.g.over(x))
    return b.head(stream)


def deci(b: Builder, recipe: Recipe) -> Graph:
    """Nemotron NAS models: attention and network may each be missing (src/models/deci.cpp)."""
    stream = b.embeddings()
    for index in b.sequence:
        b.enter(index)
        attends = b.h.heads[index] > 0
        out = b.norm(stream, "attn_norm") if attends else stream
        if attends and b.h.kv_heads[index]:
            out = self_attention(b, recipe, out)
        elif attends:
            out = b.linear(out, "attn_output")
        beside = stream
        if index == b.h.layers - 1:
            out, beside = b.pick_outputs(out), b.pick_outputs(beside)
        if b.h.feed_forward[index]:
            middle = b.add(out, beside) if attends else out
            stream = b.add(b.ffn(b.norm(middle, "ffn_norm")), middle)
    return b.head(stream)
