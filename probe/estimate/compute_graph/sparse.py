"""Attention over the tokens an indexer picks (DeepSeek V3.2, GLM-5).

Source: src/models/deepseek32.cpp, glm-dsa.cpp and build_attn for the indexed cache,
src/llama-graph.cpp#L3114, llama.cpp b11434.
"""

from typing import NamedTuple

from probe.estimate.compute_graph.attention import Cache
from probe.estimate.compute_graph.builder import Builder
from probe.estimate.compute_graph.decoder import Recipe
from probe.estimate.compute_graph.ggml import F32, I32, I64, Shape, Tensor


class IndexerInputs(NamedTuple):
    """Where indexer keys are written, what the indexer may see, and its rotation."""

    keys: Tensor
    mask: Tensor
    rotation: Tensor


def indexer_inputs(b: Builder) -> IndexerInputs:
    """Inputs of the indexer's cache, made once."""
    made = b.made
    if "indexer mask" not in made:
        size = b.h.indexer_size
        made["indexer keys"] = b.g.input(b.n, type_bytes=I64)
        made["indexer mask"] = b.mask(b.batch.cells.full, half=True)
        made["indexer rotation"] = b.g.input(size, size)
    return IndexerInputs(made["indexer keys"], made["indexer mask"], made["indexer rotation"])


def indexed_attention(b: Builder, recipe: Recipe, x: Tensor) -> Tensor:
    """Latent attention over the best tokens; layers without an indexer reuse the last one's choice."""
    g, h = b.g, b.h
    heads, lora, rope = h.heads[b.index], h.kv_lora, h.rope_size
    nope = h.key_size_mla - rope
    _free_left_out_layers(b, x)
    reduced = b.norm(b.matmul(x, "attn_q_a"), "attn_q_a_norm")
    if h.indexer_full[b.index]:
        b.made["chosen"] = chosen_tokens(b, x, reduced)
    elif "chosen" not in b.made:  # by a layer on another device
        b.made["chosen"] = g.input(*_choice(b), type_bytes=I32)
    chosen = b.made["chosen"]
    q = b.matmul(reduced, "attn_q_b")
    plain, query_part = g.view(q, (nope, heads, b.n)), b.rope(g.view(q, (rope, heads, b.n)))
    joint = b.matmul(x, "attn_kv_a_mqa")
    compressed = g.view(joint, (lora, b.n))
    key_part = b.rope(g.view(joint, (rope, 1, b.n)))
    compressed = b.norm(compressed, "attn_kv_a_norm")
    turned = g.view(plain, (nope, b.n, heads))
    absorbed = g.view(g.new((lora, b.n, heads), turned), (lora, heads, b.n))
    query = g.new((lora + rope, heads, b.n), absorbed, query_part)
    compressed = g.view(compressed, (lora, 1, b.n))
    key = g.new((lora + rope, 1, b.n), compressed, key_part)
    del recipe
    cache = b.cache()
    for tensor in (query, compressed, key):
        g.expand(tensor)
    g.expand(g.sink(g.view(key), cache.keys))
    mask = _mask_of(b, cache, chosen)
    return b.attend(query, None, compressed, value_of_key=lora, decompress=h.value_size_mla, mask=mask)


def chosen_tokens(b: Builder, x: Tensor, reduced: Tensor) -> Tensor:
    """The indexer: small keys for all tokens, the best ones for each."""
    g, h, batch = b.g, b.h, b.batch
    inputs = indexer_inputs(b)
    size, heads = h.indexer_size, h.indexer_heads
    streams = batch.cells.streams
    query = b.rope(g.view(b.linear(reduced, "indexer.attn_q_b"), (size, heads, b.n)))
    key = b.norm(b.linear(x, "indexer.attn_k"), "indexer.k_norm", rms=False)
    key = b.rope(g.view(key, (size, 1, b.n)))
    query = g.new(query.ne, inputs.rotation, query)
    key = g.new(key.ne, inputs.rotation, key)
    g.expand(g.sink(g.view(key), inputs.keys))
    weights = b.linear(x, "indexer.proj")
    per_stream = b.n // streams
    query = g.view(query, (size, heads, per_stream, streams))
    weights = g.over(g.view(weights, (heads, per_stream, 1, streams)))
    cells = batch.cells.full
    score = g.new((cells, per_stream, 1, streams), query, weights, inputs.mask)
    return b.cont(g.new(_choice(b), score, type_bytes=I32))


def _choice(b: Builder) -> Shape:
    """Shape of the numbers of chosen tokens."""
    streams = b.batch.cells.streams
    return (min(b.batch.cells.full, b.h.indexer_top_k), b.n // streams, 1, streams)


def _blank(b: Builder) -> Tensor:
    count, per_stream, _, streams = _choice(b)
    return b.g.blank(1, count, per_stream, streams, type_bytes=F32)


def _free_left_out_layers(b: Builder, x: Tensor) -> None:
    """Blanks of the layers between the last one and this one: all leafs are placed before any node runs."""
    position = b.sequence.index(b.index)
    gap = b.index - b.sequence[position - 1] - 1 if position else 0
    if gap:
        b.g.expand(x)
        b.g.expand(b.g.sink(*(_blank(b) for _ in range(gap))))


def _mask_of(b: Builder, cache: Cache, chosen: Tensor) -> Tensor:
    """The cache's mask, open only where tokens were chosen."""
    g = b.g
    mask = cache.mask
    streams = b.batch.cells.streams
    cells, per_stream = mask.ne[0], mask.ne[1]
    closed = g.over(mask)
    rows = g.view(closed, (1, cells, per_stream, streams))
    picked = g.view(chosen, (chosen.ne[0], per_stream, streams))
    # an uninitialised tensor of zeros: a leaf that is no input, filled in place
    blank = _blank(b)
    zeros = g.over(blank)
    opened = g.view(rows, None, zeros, picked)
    opened = g.view(opened, mask.ne)
    return g.over(opened, mask)
