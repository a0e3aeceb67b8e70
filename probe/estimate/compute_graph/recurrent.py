"""Layers that keep a state instead of a cache: Mamba, short convolutions, linear attention.

Source: src/models/mamba-base.cpp, lfm2.cpp, delta-net-base.cpp, qwen3next.cpp, qwen35.cpp,
kimi-linear.cpp, minimax-01.cpp and build_rs of src/llama-graph.cpp#L3587, llama.cpp b11434.
"""

from collections.abc import Callable
from typing import NamedTuple

from probe.estimate.compute_graph.builder import Builder
from probe.estimate.compute_graph.ggml import I32, Shape, Tensor


class StateInputs(NamedTuple):
    """Which stored states the batch's sequences continue from."""

    all: Tensor
    main: Tensor
    tail: Tensor


def state_inputs(b: Builder) -> StateInputs:
    """The inputs of the recurrent memory, made once."""
    made, sequences = b.made, b.batch.sequences
    if "states" not in made:
        ids = b.g.input(sequences, type_bytes=I32)
        made["states"] = ids
        made["states main"] = b.g.view(ids, (sequences,))
        made["states tail"] = b.g.view(ids, (sequences - 1,))
    return StateInputs(made["states"], made["states main"], made["states tail"])


def stored_state(b: Builder, size: int, scan: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """The states of the batch's sequences, gathered; or what `scan` makes of them in place.

    Source: build_rs, src/llama-graph.cpp#L3587: the gather holds the states of all
    sequences, or all but the first where an operation reads the memory itself.
    """
    g, sequences = b.g, b.batch.sequences
    inputs = state_inputs(b)
    g.expand(g.sink())  # a state is cleared in place first
    if scan is None:
        gathered = g.new((size, sequences), inputs.all)
        states = g.view(gathered, (size, sequences))
    else:
        gathered = g.new((size, sequences - 1), inputs.tail)
        states = scan(inputs.main)
    g.expand(states)
    g.expand(g.sink(g.view(gathered, (size, 0))))
    return states


def convolution_input(b: Builder, state: Tensor, x: Tensor, channels: int) -> Tensor:
    """Stored columns and the batch's, side by side; the last ones go back to the memory."""
    g, batch = b.g, b.batch
    kernel = b.h.ssm_conv
    shape = (kernel - 1 + batch.per_sequence, channels, batch.sequences)
    state = g.view(state, (kernel - 1, channels, batch.sequences))
    joined = g.new(shape, state, g.view(x))
    g.expand(g.sink(g.view(joined, state.ne)))
    return joined


def _convolved(b: Builder, joined: Tensor, shape: Shape) -> Tensor:
    """The convolution's result, biased and activated."""
    conv = b.g.new(shape, joined)
    return b.g.over(b.g.over(conv))


def mamba_1(b: Builder, x: Tensor) -> Tensor:
    """A Mamba layer with its projections."""
    g, h, batch = b.g, b.h, b.batch
    inner, state_size, rank = h.ssm_inner, h.ssm_state, h.ssm_rank
    tokens, sequences = batch.per_sequence, batch.sequences
    conv_state = stored_state(b, h.conv_state)
    both = b.linear(g.view(x, (x.ne[0], tokens, sequences)), "ssm_in")
    z = g.view(both, (inner, tokens, sequences))
    joined = convolution_input(b, conv_state, g.view(both, (inner, tokens, sequences)), inner)
    conv = _convolved(b, joined, (inner, tokens, sequences))
    parts = b.matmul(conv, "ssm_x", rank + 2 * state_size)
    dt = g.view(parts, (rank, tokens, sequences))
    left = g.view(parts, (state_size, 1, tokens, sequences))
    right = g.view(parts, (state_size, 1, tokens, sequences))
    if "ssm_dt_norm.weight" in b.layer or h.metadata.get(f"{h.architecture}.ssm.dt_b_c_rms"):
        dt, left, right = b.norm(dt, "ssm_dt_norm"), b.norm(left, "ssm_b_norm"), b.norm(right, "ssm_c_norm")
    else:
        dt = b.cont(dt)
    dt = g.over(b.matmul(dt, "ssm_dt", inner))

    def scan(ids: Tensor) -> Tensor:
        elements = inner * tokens * sequences + state_size * inner * sequences
        return g.new((elements,), g.view(conv, (1, inner, tokens, sequences)), dt, left, right, ids)

    y_all = stored_state(b, h.recurrent_state, scan)
    g.expand(g.sink(g.view(y_all, (state_size * inner * sequences,))))
    y = g.view(y_all, (inner, tokens, sequences))
    y = g.over(y, g.over(conv))
    y = g.new(y.ne, b.cont(z), y)
    return g.view(b.linear(y, "ssm_out"), (h.embedding, tokens * sequences))


def mamba_2(b: Builder, x: Tensor) -> Tensor:
    """A Mamba-2 layer with its projections."""
    g, h, batch = b.g, b.h, b.batch
    inner, state_size, heads, groups = h.ssm_inner, h.ssm_state, h.ssm_rank, h.ssm_groups
    head = inner // heads
    tokens, sequences = batch.per_sequence, batch.sequences
    channels = inner + 2 * groups * state_size
    conv_state = stored_state(b, h.conv_state)
    flat = b.linear(x, "ssm_in")
    both = g.view(flat, (flat.ne[0], tokens, sequences))
    z = g.view(both, (head, heads, tokens, sequences))
    dt = g.view(both, (heads, tokens, sequences))
    joined = convolution_input(b, conv_state, g.view(both, (channels, tokens, sequences)), channels)
    conv = _convolved(b, joined, (channels, tokens, sequences))
    values = g.view(conv, (head, heads, tokens, sequences))
    left = g.view(conv, (state_size, groups, tokens, sequences))
    right = g.view(conv, (state_size, groups, tokens, sequences))
    step = g.over(b.cont(dt))

    def scan(ids: Tensor) -> Tensor:
        elements = inner * tokens * sequences + state_size * inner * sequences
        return g.new((elements,), values, step, left, right, ids)

    y_all = stored_state(b, h.recurrent_state, scan)
    g.expand(g.sink(g.view(y_all, (state_size * inner, sequences, 1))))
    y = g.view(y_all, (head, heads, tokens, sequences))
    y = g.over(y, g.over(values))
    y = g.new(y.ne, b.cont(z), y)
    if "ssm_norm.weight" in b.layer:
        y = b.norm(g.view(y, (inner // groups, groups, tokens, sequences)), "ssm_norm")
    return b.linear(g.view(y, (inner, tokens * sequences)), "ssm_out")


def short_convolution(b: Builder, x: Tensor) -> Tensor:
    """LFM2's gated short convolution."""
    g, h, batch = b.g, b.h, b.batch
    tokens, sequences, width = batch.per_sequence, batch.sequences, h.embedding
    kernel = h.number("shortconv.l_cache")
    parts = b.linear(g.view(x, (width, tokens, sequences)), "shortconv.in_proj")
    shape = (width, tokens, sequences)
    first, gate, second = g.view(parts, shape), g.view(parts, shape), g.view(parts, shape)
    product = g.over(first, second)
    state = stored_state(b, h.conv_state)
    state = g.view(state, (kernel - 1, width, sequences))
    turned = g.view(product, (tokens, width, sequences))
    joined = g.new((kernel - 1 + tokens, width, sequences), state, turned)
    g.expand(g.sink(g.view(joined, state.ne)))
    y = g.over(gate, g.new(shape, joined))
    return g.view(b.linear(y, "shortconv.out_proj"), (width, tokens * sequences))


def delta_net(b: Builder, operands: tuple[Tensor, ...]) -> Tensor:
    """The fused gated delta rule; its result holds the outputs and the new states.

    Args:
        operands: queries, keys, values, gate, beta, states.

    Source: build_delta_net_fused and build_recurrent_attn, src/models/delta-net-base.cpp,
        ggml_gated_delta_net, ggml/src/ggml.c#L6384.
    """
    g = b.g
    size, heads, tokens, sequences = operands[2].ne
    result = g.new((size * heads, tokens * sequences + size * sequences), *operands)
    g.expand(g.sink(g.view(result, (size, size, heads, sequences))))
    return g.view(result, (size, heads, tokens, sequences))


def _unit_norm(b: Builder, x: Tensor) -> Tensor:
    return b.g.over(b.norm(x))


def gated_delta_net(b: Builder, x: Tensor) -> Tensor:
    """Linear attention of Qwen3-Next and Qwen3.5."""
    g, h, batch = b.g, b.h, b.batch
    tokens, sequences = batch.per_sequence, batch.sequences
    key, key_heads, value_heads = h.ssm_state, h.ssm_groups, h.ssm_rank
    value = h.ssm_inner // value_heads
    channels = h.ssm_inner + 2 * key_heads * key
    if b.has("attn_qkv.weight"):
        mixed = g.view(b.linear(x, "attn_qkv"), (channels, tokens, sequences))
        z = b.linear(x, "attn_gate")
    else:
        mixed, z = _split_projection(b, x)
    if b.has("ssm_ba.weight"):
        share = value_heads // key_heads
        both = g.view(b.linear(x, "ssm_ba"), (2 * share, key_heads, tokens, sequences))
        beta = g.over(b.cont(g.view(both, (share, key_heads, tokens, sequences))))
        alpha = b.cont(g.view(both, (share, key_heads, tokens, sequences)), (value_heads, tokens, sequences))
    else:
        beta = g.over(g.view(b.linear(x, "ssm_beta"), (1, value_heads, tokens, sequences)))
        alpha = g.view(b.linear(x, "ssm_alpha"), (value_heads, tokens, sequences))
    gate = g.over(g.over(g.over(alpha)))
    beta = g.view(beta, (1, value_heads, tokens, sequences))
    gate = g.view(gate, (1, value_heads, tokens, sequences))
    conv_state = stored_state(b, h.conv_state)
    joined = convolution_input(b, conv_state, mixed, channels)
    state = g.view(stored_state(b, h.recurrent_state), (value, value, value_heads, sequences))
    conv = g.over(g.new((channels, tokens, sequences), joined))
    q = _unit_norm(b, g.view(conv, (key, key_heads, tokens, sequences)))
    k = _unit_norm(b, g.view(conv, (key, key_heads, tokens, sequences)))
    v = g.view(conv, (value, value_heads, tokens, sequences))
    if h.architecture == "qwen3next" and key_heads != value_heads:
        share = value_heads // key_heads
        wide = (key, share, key_heads, tokens * sequences)
        one = (key, 1, key_heads, tokens * sequences)
        q = g.view(g.new(wide, g.view(q, one)), (key, value_heads, tokens, sequences))
        k = g.view(g.new(wide, g.view(k, one)), (key, value_heads, tokens, sequences))
    out = delta_net(b, (q, k, v, gate, beta, state))
    gated = g.over(b.norm(out, "ssm_norm"), g.over(g.view(z, (value, value_heads, tokens, sequences))))
    y = b.linear(g.view(gated, (h.ssm_inner, tokens, sequences)), "ssm_out")
    return g.view(y, (h.embedding, tokens * sequences))


def _split_projection(b: Builder, x: Tensor) -> tuple[Tensor, Tensor]:
    """Qwen3-Next's older files: queries, keys, values and gate in one weight."""
    g, h, batch = b.g, b.h, b.batch
    tokens, sequences = batch.per_sequence, batch.sequences
    key, key_heads = h.ssm_state, h.ssm_groups
    value = h.ssm_inner // key_heads
    both = g.view(b.linear(x, "ssm_in"), (2 * key + 2 * value, key_heads, tokens, sequences))

    def part(width: int) -> Tensor:
        return g.view(both, (width, key_heads, tokens, sequences))

    z = b.cont(part(value))
    q = b.cont(part(key), (key * key_heads, tokens, sequences))
    k = b.cont(part(key), (key * key_heads, tokens, sequences))
    v = b.cont(part(value), (h.ssm_inner, tokens, sequences))
    pair = g.new((2 * key * key_heads, tokens, sequences), q, k)
    return g.new((2 * key * key_heads + h.ssm_inner, tokens, sequences), pair, v), z


def kimi_delta_attention(b: Builder, x: Tensor) -> Tensor:
    """Linear attention of Kimi Linear: a gate for each channel."""
    g, h, batch = b.g, b.h, b.batch
    tokens, sequences = batch.per_sequence, batch.sequences
    heads, size = h.heads[0], h.number("kda.head_dim")
    inner, kernel = heads * size, h.ssm_conv
    conv_state = stored_state(b, h.conv_state)

    def convolved(name: str) -> Tensor:
        part = g.view(conv_state, (kernel - 1, inner, sequences))
        y = g.view(g.view(b.linear(x, name), (inner, tokens, sequences)), (tokens, inner, sequences))
        joined = g.new((kernel - 1 + tokens, inner, sequences), part, y)
        g.expand(g.sink(g.view(joined, part.ne)))
        conv = g.new((inner, tokens, sequences), joined)
        conv = g.over(g.view(conv, (inner, tokens * sequences)))
        return g.view(conv, (size, heads, tokens, sequences))

    q, k, v = convolved("attn_q"), convolved("attn_k"), convolved("attn_v")
    gate = b.matmul(b.matmul(x, "ssm_f_a"), "ssm_f_b", inner)
    gate = g.over(g.over(gate))
    gate = g.over(g.view(gate, (size, heads, tokens * sequences)))
    gate = g.view(gate, (size, heads, tokens, sequences))
    beta = g.over(g.view(b.linear(x, "ssm_beta"), (1, heads, tokens, sequences)))
    state = g.view(stored_state(b, h.recurrent_state), (size, size, heads, sequences))
    out = b.cont(delta_net(b, (_unit_norm(b, q), _unit_norm(b, k), v, gate, beta, state)))
    side = g.view(g.view(x, (h.embedding, tokens, sequences)), (h.embedding, tokens * sequences))
    side = b.matmul(b.matmul(side, "ssm_g_a"), "ssm_g_b", inner)
    normed = b.norm(g.view(out, (size, heads, tokens * sequences)), "ssm_norm")
    gated = g.over(normed, g.over(g.view(side, (size, heads, tokens * sequences))))
    return b.linear(b.cont(gated, (inner, tokens * sequences)), "attn_output")


def lightning_attention(b: Builder, x: Tensor) -> Tensor:
    """MiniMax-Text-01's linear attention, one block a batch.

    Source: src/models/minimax-01.cpp, graph.
    """
    g, h, batch = b.g, b.h, b.batch
    tokens, sequences = batch.per_sequence, batch.sequences
    size, heads = h.key_size[0], h.heads[0]
    decay = _decay_inputs(b)
    state = stored_state(b, h.conv_state)
    slope = g.over(decay[0])
    x = g.view(x, (h.embedding, tokens, 1, sequences))
    mixed = g.view(g.over(b.linear(x, "attn_qkv")), (3 * size, heads, tokens, sequences))
    q, k, v = (g.view(mixed, (size, heads, tokens, sequences)) for _ in range(3))
    state = g.view(stored_state(b, h.recurrent_state), (size, size, heads, sequences))
    of_query = g.over(g.over(decay[1]))
    of_key = g.over(g.over(decay[2]))
    diagonal = g.over(g.over(decay[3]))
    turned = g.view(g.over(q, of_query), (size, tokens, heads, sequences))
    before = g.new((size, tokens, heads, sequences), state, turned)
    flat = (size, tokens, heads, sequences)
    scores = g.over(g.new((tokens, tokens, heads, sequences), g.view(k, flat), g.view(q, flat)), diagonal)
    values = b.cont(g.view(v, (tokens, size, heads, sequences)))
    within = g.new(flat, values, scores)
    out = g.over(before, within)
    g.expand(out)
    block = g.view(g.over(g.over(slope)), (1, 1, heads))
    kept = g.over(state, block)
    keys = b.cont(g.view(g.over(k, of_key), (tokens, size, heads, sequences)))
    added = g.new((size, size, heads, sequences), keys, values)
    g.expand(g.sink(g.over(kept, added)))
    out = b.cont(g.view(out, (size, heads, tokens, sequences)))
    out = b.norm(g.view(out, (size * heads, tokens, 1, sequences)), "attn_norm_2")
    gate = g.over(b.linear(x, "attn_gate"))
    y = b.linear(g.over(gate, out), "attn_output")
    return g.view(y, (h.embedding, tokens * sequences))


def _decay_inputs(b: Builder) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Slopes and decays of each head and position, made once."""
    made, batch = b.made, b.batch
    if "slopes" not in made:
        heads, tokens, sequences = b.h.heads[0], batch.per_sequence, batch.sequences
        made["slopes"] = b.g.input(heads)
        made["query decay"] = b.g.input(1, heads, tokens, sequences)
        made["key decay"] = b.g.input(1, heads, tokens, sequences)
        made["diagonal decay"] = b.g.input(tokens, tokens, heads, sequences)
    return made["slopes"], made["query decay"], made["key decay"], made["diagonal decay"]
