"""RWKV-7: time mixing over a matrix state, channel mixing, no attention.

Source: src/models/rwkv7.cpp and rwkv7-base.cpp, llama.cpp b11434.
"""

from probe.estimate.compute_graph.builder import Builder
from probe.estimate.compute_graph.decoder import Recipe
from probe.estimate.compute_graph.ggml import Graph, Tensor
from probe.estimate.compute_graph.recurrent import stored_state


def rwkv_7(b: Builder, recipe: Recipe) -> Graph:
    """A whole model: each layer sees its input and that of the token before."""
    del recipe
    g, h, batch = b.g, b.h, b.batch
    wide, tokens, sequences = h.embedding, batch.per_sequence, batch.sequences
    whole, flat = (wide, tokens, sequences), (wide, b.n)
    stream = b.norm(b.embeddings(), "token_embd_norm", rms=False)
    for index in b.sequence:
        b.enter(index)
        stream = g.view(stream, whole)
        shift = g.view(stored_state(b, h.conv_state), (wide, 2, sequences))
        normed = b.norm(stream, "attn_norm", rms=False)
        out = time_mix(b, normed, _before(b, shift, normed))
        middle = b.add(out, stream)
        mixed = b.norm(middle, "attn_norm_2", rms=False)
        before = _before(b, shift, mixed)
        last = (wide, 1, sequences)
        g.expand(g.sink(g.view(g.new((wide, 2, sequences), g.view(normed, last), g.view(mixed, last)))))
        middle, mixed, before = g.view(middle, flat), g.view(mixed, flat), g.view(before, flat)
        if index == h.layers - 1:
            middle, mixed, before = b.pick_outputs(middle), b.pick_outputs(mixed), b.pick_outputs(before)
        stream = b.add(channel_mix(b, mixed, before), middle)
    return b.head(stream, rms=False)


def _before(b: Builder, shift: Tensor, x: Tensor) -> Tensor:
    """Each token's predecessor: the stored one, then all but the last of the batch."""
    wide, tokens, sequences = x.ne
    return b.g.new(x.ne, b.g.view(shift, (wide, 1, sequences)), b.g.view(x, (wide, tokens - 1, sequences)))


def channel_mix(b: Builder, x: Tensor, before: Tensor) -> Tensor:
    """The feed-forward part."""
    g = b.g
    inner = g.over(g.over(g.over(before, x)), x)
    key = b.matmul(inner, "channel_mix_key")
    return b.matmul(g.over(g.over(key)), "channel_mix_value")


def time_mix(b: Builder, x: Tensor, before: Tensor) -> Tensor:
    """The recurrent part."""
    g, h, batch = b.g, b.h, b.batch
    wide, size = h.embedding, h.number("wkv.head_size")
    heads, n = wide // size, b.n
    gated = b.has("time_mix_g1.weight")
    spread = g.new((*x.ne, 6 if gated else 5), g.over(before, x))
    mixed = g.over(g.over(spread), x)

    def part() -> Tensor:
        return g.view(mixed, (wide, n))

    r_in, w_in, k_in, v_in, a_in, gate_in = (part() for _ in range(6))
    r = b.matmul(r_in, "time_mix_receptance")
    decay = g.over(b.matmul(g.over(b.matmul(w_in, "time_mix_w1")), "time_mix_w2"))
    decay = g.over(g.over(g.over(decay)))
    k = b.matmul(k_in, "time_mix_key")
    v = b.matmul(v_in, "time_mix_value")
    if "first value" not in b.made:
        b.made["first value"] = v
    else:
        apart = g.over(b.made["first value"], v)
        share = g.over(g.over(b.matmul(b.matmul(v_in, "time_mix_v1"), "time_mix_v2")))
        v = b.add(v, g.over(apart, share))
    gate = None
    if gated:
        gate = b.matmul(g.over(b.matmul(gate_in, "time_mix_g1")), "time_mix_g2")
    a = g.over(g.over(b.matmul(b.matmul(a_in, "time_mix_a1"), "time_mix_a2")))
    each = (size, heads, n)
    unit = g.new(each, g.view(g.over(k), each))
    scaled = g.over(k)
    k = b.add(k, g.over(g.over(a, scaled), scaled))
    r, decay, k, v, a = (g.view(tensor, each) for tensor in (r, decay, k, v, a))
    state = stored_state(b, h.recurrent_state)
    both = g.new((wide, n + size * batch.sequences), r, decay, k, v, g.over(unit), g.over(unit, a), state)
    g.expand(g.sink(g.view(both, (wide * size * batch.sequences,))))
    out = g.view(both, (wide * n,))
    if b.has("time_mix_ln.weight"):
        out = g.new(each, g.view(out, each))
        out = g.over(g.over(g.view(out, (wide, n))))
    else:
        out = g.view(out, (wide, n))
    agreement = g.new((1, heads, n), g.over(g.over(k, r)))
    out = b.add(out, g.view(g.over(v, agreement), (wide, n)))
    if gate is not None:
        out = g.over(out, gate)
    return g.view(b.matmul(out, "time_mix_output"), x.ne)
