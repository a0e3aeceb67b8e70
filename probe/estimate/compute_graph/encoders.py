"""Embedding models without a cache: every token sees every other of the batch.

Source: src/models/bert.cpp, gemma-embedding.cpp and build_attn without a cache,
src/llama-graph.cpp#L2858, llama.cpp b11434.
"""

from probe.estimate.compute_graph.builder import Builder
from probe.estimate.compute_graph.decoder import Recipe, heads
from probe.estimate.compute_graph.ggml import F16, F32, Graph, Tensor


def own_mask(b: Builder, sliding: bool) -> Tensor:
    """What the batch's tokens may see of each other, made once for each kind of layer."""
    key = f"mask {sliding}"
    known = b.made.get(key)
    if known is None:
        known = b.made[key] = b.g.input(b.n, b.n, type_bytes=F16 if b.batch.flash else F32)
    return known


def attend_batch(b: Builder, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention within the batch."""
    g, h, n = b.g, b.h, b.n
    for tensor in (q, k, v):
        g.expand(tensor)
    mask = own_mask(b, h.sliding[b.index])
    size, count = q.ne[0], q.ne[1]
    value, kv_count = v.ne[0], v.ne[1]
    q = g.view(g.view(q, (size, count, n, 1)), (size, n, count, 1))
    keys = g.view(k, (size, n, kv_count))
    values = g.view(v, (value, n, kv_count))
    if b.batch.flash:
        keys = g.new(keys.ne, keys, type_bytes=F16)
        values = g.new(values.ne, values, type_bytes=F16)
        out = g.view(g.new((value, count, n), q, keys, values, mask), (value * count, n))
    else:
        turned = b.cont(g.view(values, (n, value, kv_count)))
        scores = g.over(g.new((n, n, count), keys, q), mask)
        out = b.cont(g.view(g.new((value, n, count), turned, scores)), (value * count, n))
    g.expand(out)
    return b.linear(out, "attn_output")


def bert(b: Builder, recipe: Recipe) -> Graph:
    """BERT and its relatives: norms after the residual sums."""
    g, h = b.g, b.h
    rotary = h.architecture != "bert"
    positions = b.position_input()
    stream = b.embeddings()
    if "token_types.weight" in b.outside:
        stream = g.over(stream)
    if not rotary:
        rows = g.new((h.embedding, b.n), positions)
        rows.on_host = True
        stream = g.over(rows, stream)
    stream = b.norm(stream, "token_embd_norm", rms=False)
    for index in b.sequence:
        b.enter(index)
        size, count = h.key_size[index], h.heads[index]
        q, k, v = b.qkv(stream, size, count, h.kv_heads[index])
        if rotary:
            q, k = b.rope(q), b.rope(k)
        out = attend_batch(b, q, k, v)
        if index == h.layers - 1:
            out, stream = b.pick_outputs(out), b.pick_outputs(stream)
        middle = b.norm(b.add(out, stream), "attn_output_norm", rms=False)
        stream = b.norm(b.add(b.ffn(middle), middle), "layer_output_norm", rms=False)
    del recipe
    return b.head(stream, norm=None, logits=False)


def gemma_embedding(b: Builder, recipe: Recipe) -> Graph:
    """EmbeddingGemma: Gemma 3 that looks both ways."""
    h = b.h
    stream = b.embeddings(scaled=True)
    for index in b.sequence:
        b.enter(index)
        out = attend_batch(b, *heads(b, recipe, b.norm(stream, "attn_norm")))
        if index == h.layers - 1:
            out, stream = b.pick_outputs(out), b.pick_outputs(stream)
        middle = b.add(b.norm(out, "post_attention_norm"), stream)
        fed = b.norm(b.ffn(b.norm(middle, "ffn_norm")), "post_ffw_norm")
        stream = b.add(fed, middle)
    return b.head(stream, logits=False)


def llama_embed(b: Builder, recipe: Recipe) -> Graph:
    """Llama that looks both ways and gives hidden states."""
    stream = b.embeddings()
    for index in b.sequence:
        b.enter(index)
        out = attend_batch(b, *heads(b, recipe, b.norm(stream, "attn_norm")))
        if index == b.h.layers - 1:
            out, stream = b.pick_outputs(out), b.pick_outputs(stream)
        middle = b.add(out, stream)
        stream = b.add(b.ffn(b.norm(middle, "ffn_norm")), middle)
    return b.head(stream, logits=False)
