"""The common decoder: norm, attention, norm, feed-forward; and how architectures differ from it.

Source: src/models/<arch>.cpp (graph of each), llama.cpp b11434. What a tensor's presence
decides there (biases, norms of queries and keys, gates, shared experts) is decided by the
tensor's presence here.
"""

from collections.abc import Callable
from typing import NamedTuple

from probe.estimate.compute_graph.builder import Builder
from probe.estimate.compute_graph.feed_forward import SIGMOID, SOFTMAX, SOFTMAX_WEIGHT
from probe.estimate.compute_graph.ggml import Graph, Tensor
from probe.estimate.llama_hparams import Hparams

Attention = Callable[["Builder", "Recipe", Tensor], Tensor]


class Recipe(NamedTuple):
    """How one architecture differs from Llama."""

    rms: bool = True
    rope: str = (
        "all"  # all, none, windows (only layers with one), sliding (these, or all), skip (not each 4th)
    )
    rope_first: bool = False  # queries and keys are normed after the rotation
    flat_norm: bool = False  # norms of queries and keys span all heads
    bare_norm: bool = False  # queries and keys are normed without a weight (Llama 4)
    parallel: str = ""  # attention and feed-forward read the same norm; the order of the final sum
    ffn_norm: str = "ffn_norm"
    fused_up: bool = False  # one weight holds gate and up
    residual_first: bool = False
    shared_first: bool = False  # the shared expert runs before the routed ones
    gating: int = SOFTMAX  # 0: as the file says, else softmax
    default_gating: int = SOFTMAX
    normalized: bool | None = True  # None: as the file says
    weigh_input: bool = False
    late_outputs: bool = False  # wanted rows are picked at the end; the last hidden state is an output
    early_norm: bool = False  # the attention's result is normed before wanted rows are picked
    scaled_head: bool = False  # the final norm's result is scaled before the head
    scaled_input: bool = False
    normed_input: bool = False
    temperature: bool = False  # queries are scaled by position
    positions: int = 1  # numbers a position: 4 with multi-axis rotation; 0: as the file says
    deepstack: bool = False  # the first layers add a further input embedding each, as many as the file says
    attention: Attention | None = None


def rotates(h: Hparams, recipe: Recipe, layer: int) -> bool:
    """Whether `layer` rotates its queries and keys."""
    if recipe.rope == "skip":
        return (layer + 1) % 4 != 0
    if recipe.rope == "windows":
        return h.sliding[layer]
    if recipe.rope == "sliding":
        return h.sliding[layer] or not any(h.sliding)
    return recipe.rope == "all"


def _axes(h: Hparams) -> int:
    """Numbers a position: 4 with sections for height and width, as GLM-4V has (use_mrope)."""
    sections = h.metadata.get(f"{h.architecture}.rope.dimension_sections")
    return 4 if isinstance(sections, list | tuple) and all(sections[:2]) and len(sections) > 1 else 1


def heads(b: Builder, recipe: Recipe, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of the current layer, normed and rotated."""
    h, i = b.h, b.index
    size, value = h.key_size[i], h.value_size[i]
    count, kv_count = h.heads[i], h.kv_heads[i]
    if recipe.flat_norm:
        q, k, v = b.linear(x, "attn_q"), b.linear(x, "attn_k"), b.linear(x, "attn_v")
        if b.has_norm("attn_q_norm"):
            q = b.norm(q, "attn_q_norm", rms=recipe.rms)
            k = b.norm(k, "attn_k_norm", rms=recipe.rms)
        q, k, v = b.heads(q, size, count), b.heads(k, size, kv_count), b.heads(v, value, kv_count)
    else:
        q, k, v = b.qkv(x, size, count, kv_count, value_size=value)
    norm_here = not recipe.flat_norm and b.has_norm("attn_q_norm")
    if norm_here and not recipe.rope_first:
        q, k = b.norm(q, "attn_q_norm", rms=recipe.rms), b.norm(k, "attn_k_norm", rms=recipe.rms)
    if rotates(h, recipe, i):
        positions = b.position_input(recipe.positions or _axes(h))
        q, k = b.rope(q, positions=positions), b.rope(k, positions=positions)
        if recipe.bare_norm:
            q, k = b.norm(q), b.norm(k)
    elif recipe.temperature:
        q = b.g.over(q, b.attention_scale())
    if norm_here and recipe.rope_first:
        q, k = b.norm(q, "attn_q_norm", rms=recipe.rms), b.norm(k, "attn_k_norm", rms=recipe.rms)
    return q, k, v


def self_attention(b: Builder, recipe: Recipe, x: Tensor) -> Tensor:
    """Attention of the current layer with its projections."""
    q, k, v = heads(b, recipe, x)
    return b.attend(q, k, v)


def gated_attention(b: Builder, recipe: Recipe, x: Tensor) -> Tensor:
    """Attention with an output gate for each number (Trinity) or each head (Step)."""
    g, h, i = b.g, b.h, b.index
    q, k, v = heads(b, recipe, x)
    out = b.attend(q, k, v, output=None)
    if b.has("attn_gate.weight"):
        gate = g.over(b.linear(x, "attn_gate"))
        if gate.ne[0] == h.heads[i]:
            apart = (h.value_size[i], h.heads[i], b.n)
            out = g.view(g.over(g.view(out, apart), g.view(gate, (1, h.heads[i], b.n))), out.ne)
        else:
            out = g.over(out, gate)
    return b.linear(out, "attn_output")


def sub_normed_attention(b: Builder, recipe: Recipe, x: Tensor) -> Tensor:
    """Attention whose result is normed before the projection (BitNet)."""
    q, k, v = heads(b, recipe, x)
    return b.linear(b.norm(b.attend(q, k, v, output=None), "attn_sub_norm"), "attn_output")


def feed_forward(b: Builder, recipe: Recipe, x: Tensor) -> Tensor:
    """Dense network or mixture of experts, whichever the layer holds."""
    if not b.has("ffn_gate_inp.weight"):
        return b.ffn(x, fused=recipe.fused_up)
    shared = b.has("ffn_up_shexp.weight")
    if shared and recipe.shared_first:
        side = shared_expert(b, x)
        return b.add(routed(b, recipe, x), side)
    out = routed(b, recipe, x)
    return b.add(out, shared_expert(b, x)) if shared else out


def routed(b: Builder, recipe: Recipe, x: Tensor, *, selected: Tensor | None = None) -> Tensor:
    """The routed experts of the current layer; `selected`: chosen elsewhere."""
    h = b.h
    gating = recipe.gating or h.number("expert_gating_func", 0) or recipe.default_gating
    normalized = recipe.normalized
    if normalized is None:
        normalized = bool(h.metadata.get(f"{h.architecture}.expert_weights_norm", False))
    return b.moe(x, gating=gating, normalized=normalized, weigh_input=recipe.weigh_input, selected=selected)


def shared_expert(b: Builder, x: Tensor) -> Tensor:
    """The expert every token runs through."""
    if not b.has("ffn_gate_inp_shexp.weight"):
        return b.shared_expert(x)
    logit = b.matmul(x, "ffn_gate_inp_shexp", 1)
    gate = b.g.over(b.g.over(logit), logit)
    return b.g.over(b.shared_expert(x), gate)


def transformer(b: Builder, recipe: Recipe) -> Graph:
    """A whole model of equal decoder layers."""
    h = b.h
    # only the first GPU has these layers
    deepstack = h.number("n_deepstack_layers") if recipe.deepstack and not b.continued else 0
    width = h.embedding * (1 + deepstack)
    stream = b.embeddings(scaled=recipe.scaled_input, width=width)
    if recipe.normed_input and not b.continued:
        stream = b.norm(stream)
    attention = recipe.attention or self_attention
    for index in b.sequence:
        b.enter(index)
        last = index == h.layers - 1
        stream = layer(b, recipe, attention, stream, last)
        if index < deepstack:
            stream = b.add(stream, _deepstack_slice(b))
    if recipe.late_outputs:
        stream.output = True
        stream = b.pick_outputs(stream)
    return b.head(stream, rms=recipe.rms, scaled=recipe.scaled_head)


def _deepstack_slice(b: Builder) -> Tensor:
    """The next part of a wide input embedding."""
    if b.wide is None:
        raise AssertionError("the input is not wide")
    return b.g.view(b.wide, (b.h.embedding, b.n))


def layer(b: Builder, recipe: Recipe, attention: Attention, stream: Tensor, last: bool) -> Tensor:
    """One layer over the residual stream."""
    normed = b.norm(stream, "attn_norm", rms=recipe.rms) if b.has_norm("attn_norm") else stream
    side = normed
    if b.has("attn_norm_2.weight"):  # Falcon-40B: the feed-forward keeps the first one
        normed = b.norm(stream, "attn_norm_2", rms=recipe.rms)
    out = attention(b, recipe, normed)
    if recipe.early_norm:
        out = b.norm(out, "post_attention_norm", rms=recipe.rms)
    if last and not recipe.late_outputs:
        out = b.pick_outputs(out)
        stream = b.pick_outputs(stream)
        if recipe.parallel:
            side = b.pick_outputs(side)
    if recipe.parallel:
        fed = feed_forward(b, recipe, side)
        order = {"f": fed, "s": stream, "a": out}
        first, second, third = (order[letter] for letter in recipe.parallel)
        return b.add(b.add(first, second), third)
    late = not recipe.early_norm and recipe.ffn_norm != "post_attention_norm"
    if late and b.has_norm("post_attention_norm"):
        out = b.norm(out, "post_attention_norm", rms=recipe.rms)
    middle = b.add(out, stream)
    x = b.norm(middle, recipe.ffn_norm, rms=recipe.rms) if b.has_norm(recipe.ffn_norm) else middle
    fed = feed_forward(b, recipe, x)
    if b.has_norm("post_ffw_norm"):
        fed = b.norm(fed, "post_ffw_norm", rms=recipe.rms)
    return b.add(middle, fed) if recipe.residual_first else b.add(fed, middle)


_ROUTED = {"gating": 0, "normalized": None}
_POST_NORM = {"ffn_norm": "post_attention_norm"}

RECIPES = {
    "arcee": Recipe(),
    "apertus": Recipe(),
    "bailingmoe": Recipe(normalized=None),
    "bailingmoe2": Recipe(gating=0, normalized=None),
    "chatglm": Recipe(fused_up=True),
    "cohere2": Recipe(rms=False, rope="windows", parallel="fsa"),
    "command-r": Recipe(rms=False, rope="all", parallel="fsa"),
    "deepseek": Recipe(normalized=False),
    "dots1": Recipe(gating=0, normalized=None),
    "ernie4_5": Recipe(),
    "ernie4_5-moe": Recipe(),
    "exaone": Recipe(),
    "afmoe": Recipe(rope="skip", attention=gated_attention, early_norm=True, gating=0, normalized=None),
    "bitnet": Recipe(attention=sub_normed_attention),
    "exaone-moe": Recipe(rope="windows", gating=0, normalized=None, default_gating=SIGMOID),
    "exaone4": Recipe(rope="sliding"),
    "falcon": Recipe(rms=False, parallel="fas"),
    "gemma": Recipe(),
    "gemma2": Recipe(),
    "gemma3": Recipe(scaled_input=True),
    "glm4": Recipe(fused_up=True, positions=0),
    "glm4moe": Recipe(
        ffn_norm="post_attention_norm", gating=0, normalized=None, default_gating=SIGMOID, positions=0
    ),
    "gpt-oss": Recipe(
        ffn_norm="post_attention_norm", gating=SOFTMAX_WEIGHT, normalized=False, late_outputs=True
    ),
    "granite": Recipe(),
    "granitemoe": Recipe(),
    "hunyuan-dense": Recipe(rope_first=True),
    "hunyuan_vl": Recipe(rope_first=True, positions=4),
    "hunyuan-moe": Recipe(rope_first=True, shared_first=True),
    "internlm2": Recipe(),
    "llama": Recipe(),
    "llama4": Recipe(
        rope="skip", bare_norm=True, temperature=True, gating=SIGMOID, normalized=False, weigh_input=True
    ),
    "minicpm": Recipe(),
    "minimax-m2": Recipe(flat_norm=True, gating=0),
    "mimo2": Recipe(gating=SIGMOID),
    "mistral3": Recipe(),
    "nemotron": Recipe(rms=False),
    "olmo2": Recipe(flat_norm=True),
    "olmoe": Recipe(flat_norm=True, normalized=False),
    "phi2": Recipe(rms=False, parallel="afs"),
    "phi3": Recipe(fused_up=True, residual_first=True),
    "phimoe": Recipe(residual_first=True),
    "qwen2": Recipe(),
    "qwen2moe": Recipe(normalized=False),
    "qwen2vl": Recipe(positions=4),
    "qwen3": Recipe(),
    "qwen3moe": Recipe(),
    "qwen3vl": Recipe(positions=4, deepstack=True),
    "qwen3vlmoe": Recipe(positions=4, deepstack=True),
    "seed_oss": Recipe(ffn_norm="post_attention_norm"),
    "smollm3": Recipe(rope="skip"),
    "stablelm": Recipe(rms=False),
    "starcoder2": Recipe(rms=False),
    "step35": Recipe(attention=gated_attention, late_outputs=True, gating=0, normalized=None),
    "codeshell": Recipe(rms=False),
    "granite_swa": Recipe(),
    "hy_v3": Recipe(gating=0, normalized=None),
    "laguna": Recipe(attention=gated_attention, gating=0, normalized=None),
    "maincoder": Recipe(),
    "maple": Recipe(rope="windows"),
    "mellum": Recipe(),
    "muse-glimmer": Recipe(rope="windows", attention=gated_attention, early_norm=True, normed_input=True),
    "nanbeige": Recipe(),
    "openelm": Recipe(),
    "orion": Recipe(rms=False),
    "paddleocr": Recipe(positions=4),
    "pangu-embedded": Recipe(),
    "plamo": Recipe(parallel="fas"),
    "plamo3": Recipe(fused_up=True),
    "qwen": Recipe(),
    "spark2_5": Recipe(attention=gated_attention),
    "xverse": Recipe(),
}
