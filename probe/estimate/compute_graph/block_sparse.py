"""Attention over blocks of tokens that an indexer picks (MiniMax-M3).

Source: src/models/minimax-m3.cpp#L204 and build_attn_inp_kv_msa, src/llama-graph.cpp#L3469,
llama.cpp b11434.
"""

from typing import NamedTuple

from probe.estimate.compute_graph.builder import Builder
from probe.estimate.compute_graph.decoder import Recipe, heads, self_attention
from probe.estimate.compute_graph.ggml import F16, F32, I32, I64, Tensor
from probe.estimate.not_modeled import UNKNOWN_SHAPES, NotModeledError


class BlockInputs(NamedTuple):
    """Inputs that all sparse layers share: what may be seen, by position and by cell."""

    keys: Tensor
    bias: Tensor
    position_mask: Tensor
    cell_of_position: Tensor
    block_of_cell: Tensor
    mask: Tensor


def block_sparse_attention(b: Builder, recipe: Recipe, x: Tensor) -> Tensor:
    """Attention of one layer; dense in the first layers and wherever the engine falls back to it."""
    shared = b.batch.cells.streams == 1 and b.batch.sequences > 1
    if not (b.batch.flash and b.has("indexer.q_proj.weight")) or shared:
        return self_attention(b, recipe, x)
    if b.batch.per_sequence == 1:  # a graph of its own: keys are gathered, not masked
        raise NotModeledError(UNKNOWN_SHAPES, architecture=b.h.architecture, missing="ubatch")
    g, h = b.g, b.h
    q, k, v = heads(b, recipe, x)
    query = b.heads(b.matmul(x, "indexer.q_proj"), h.indexer_size, h.indexer_heads)
    key = b.heads(b.matmul(x, "indexer.k_proj"), h.indexer_size, 1)
    query, key = b.norm(query, "indexer.q_norm"), b.norm(key, "indexer.k_norm")
    query, key = b.rope(query), b.rope(key)
    cache, inputs = b.cache(), _inputs(b)
    g.expand(g.sink(g.view(key), inputs.keys))
    if cache.rotate_k is not None:
        q, k = b.hadamard(q, cache.rotate_k), b.hadamard(k, cache.rotate_k)
    if cache.rotate_v is not None:
        v = b.hadamard(v, cache.rotate_v)
    for tensor in (q, k, v):
        g.expand(tensor)
    g.expand(g.sink(g.view(k), cache.keys))
    g.expand(g.sink(g.view(v), cache.values))
    out = _one_conversation(b, inputs, query, q)
    for number in range(2, b.batch.cells.streams + 1):
        out = g.new(
            (out.ne[0], out.ne[1] * number // (number - 1)), out, _one_conversation(b, inputs, query, q)
        )
    if cache.rotate_v is not None:
        out = b.hadamard(out, cache.rotate_v)
    return b.linear(out, "attn_output")


def _inputs(b: Builder) -> BlockInputs:
    """The shared inputs, for a cache that is full to its last position.

    The engine reserves for 256 positions, however long the context is, and takes more when a
    conversation grows beyond them (get_n_pos, src/llama-kv-cache-msa.cpp#L262).
    """
    made, g, batch = b.made, b.g, b.batch
    cells, streams = batch.cells.full, batch.cells.streams
    if "block mask" not in made:
        size = b.h.number("attention.indexer.block_size", 0)
        if not size:
            raise NotModeledError(
                UNKNOWN_SHAPES, architecture=b.h.architecture, missing="attention.indexer.block_size"
            )
        positions = -(-cells // size) * size
        made["block keys"] = g.input(b.n, type_bytes=I64)
        made["block bias"] = g.input(positions // size, b.n)
        made["position mask"] = g.input(positions, b.n)
        made["cell of position"] = g.input(positions, streams, type_bytes=I32)
        made["block of cell"] = g.input(cells, streams, type_bytes=I32)
        mask = b.cache().mask
        # made once, where the first layers run
        made["block mask"] = g.input(*mask.ne) if b.continued else g.new(mask.ne, mask, type_bytes=F32)
    return BlockInputs(
        made["block keys"],
        made["block bias"],
        made["position mask"],
        made["cell of position"],
        made["block of cell"],
        made["block mask"],
    )


def _one_conversation(b: Builder, inputs: BlockInputs, query: Tensor, q: Tensor) -> Tensor:
    """The best blocks of each group of heads, a mask that opens only these, and attention under it."""
    g, h, i = b.g, b.h, b.index
    tokens, groups, size = b.batch.per_sequence, h.indexer_heads, h.indexer_size
    cells, (blocks, _) = b.batch.cells.full, inputs.bias.ne
    positions = inputs.position_mask.ne[0]
    bias = g.view(inputs.bias, (blocks, 1, tokens))
    keys = g.new((size, positions), g.view(inputs.cell_of_position, (positions,)))
    score = g.new((positions, groups * tokens), keys, g.view(query, (size, groups * tokens)))
    score = _add_into(
        b, g.view(score, (positions, groups, tokens)), g.view(inputs.position_mask, (positions, 1, tokens))
    )
    best = g.over(g.new((blocks, groups, tokens), score), bias)
    count = min(h.indexer_top_k, blocks)
    chosen = g.new((count, groups, tokens), best, type_bytes=I32)
    closed = g.new(bias.ne, g.over(bias), type_bytes=F16)
    closed = g.new((blocks, groups, tokens), closed, type_bytes=F16)
    zeros = g.over(g.new(chosen.ne, chosen))
    opened = g.view(
        g.view(closed, (1, blocks, groups * tokens)),
        None,
        g.view(zeros, (1, count, groups * tokens)),
        g.view(chosen, (count, groups * tokens)),
    )
    turned = b.cont(g.view(opened, (blocks, tokens, groups)))
    turned = b.cont(g.view(turned, (tokens * groups, blocks)))
    spread = g.new((tokens * groups, cells), turned, g.view(inputs.block_of_cell, (cells,)))
    spread = g.view(b.cont(spread, (cells, tokens * groups)), (cells, tokens, groups))
    mask = _add_into(b, spread, g.view(inputs.mask, (cells, tokens, 1)))
    mask = g.new((cells, tokens, 1, groups), g.view(mask), type_bytes=F16)
    value, number = h.value_size[i], h.heads[i]
    each = number // groups
    turned = g.view(g.view(q, (h.key_size[i], each, groups, tokens)), (h.key_size[i], tokens, each, groups))
    out = g.new((value, each, tokens, groups), turned, mask)
    out.gpu_extra = b.unpacked_bytes(cells, latent=False) // b.batch.cells.streams
    out.brings = "keys and values"
    out = b.cont(g.view(out, (value, each, groups, tokens)))
    return g.view(out, (value * number, tokens))


def _add_into(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """ggml_add_inplace: the sum lies where `x` lay."""
    result = b.g.view(x, None, y)
    result.srcs = (x, y)
    return result
