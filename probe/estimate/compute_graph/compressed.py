"""DeepSeek V4: a window of raw keys beside keys compressed by 4 or 128, and four residual streams.

Source: src/models/deepseek4.cpp#L279 and build_inp_dsv4, src/llama-graph.cpp#L3560; how many
rows a batch compresses: dsv4_build_reserve_comp_plan, src/llama-kv-cache-dsv4.cpp#L845,
llama.cpp b11434.
"""

from typing import Final, NamedTuple

from probe.estimate.compute_graph.builder import Builder
from probe.estimate.compute_graph.core import count
from probe.estimate.compute_graph.decoder import Recipe, routed
from probe.estimate.compute_graph.ggml import F16, F32, I32, I64, Graph, Tensor
from probe.estimate.kv_cache import CACHE_TYPES, padded

PICKED: Final = 4  # tokens a key: an indexer picks among these
ALL_READ: Final = 128
_INDEXER: Final = "indexer"  # its keys are compressed as those of ratio 4, in a cache of their own


class Compressor(NamedTuple):
    """Inputs of one compressed cache: which rows are read, written and kept for later."""

    positions: Tensor
    kept: Tensor
    kept_to: Tensor
    read: Tensor
    written: Tensor
    written_positions: Tensor
    mask: Tensor
    rotation: Tensor | None


class Kind(NamedTuple):
    """One way of compressing: its ratio, the width of a key, and the weights' names."""

    name: str
    ratio: int
    width: int
    weights: str
    state_rows: int

    @property
    def overlaps(self) -> bool:
        """Each key is made of its own tokens and those before."""
        return self.ratio == PICKED


def deepseek_4(b: Builder, recipe: Recipe) -> Graph:
    """The whole model."""
    g, h = b.g, b.h
    streams = h.number("hyper_connection.count", 4)
    if b.continued:
        stream = g.input(h.embedding, streams, b.n)
    else:
        table = b.embeddings()
        g.expand(b.cache(sliding=True).mask)
        stream = g.new((h.embedding, streams, b.n), g.view(table, (h.embedding, 1, b.n)))
    for index in b.sequence:
        b.enter(index)
        x, post, mixed = _narrow(b, stream, "hc_attn")
        x = _attention(b, b.norm(x, "attn_norm"))
        stream = _widen(b, x, stream, post, mixed)
        x, post, mixed = _narrow(b, stream, "hc_ffn")
        for tensor in (stream, post, mixed):
            g.expand(tensor)
        x = b.norm(x, "ffn_norm")
        stream = _widen(b, _feed_forward(b, recipe, x), stream, post, mixed)
    flat = b.pick_outputs(g.view(stream, (h.embedding * streams, b.n)))
    stream = g.view(flat, (h.embedding, streams, b.batch.outputs))
    b.layer, b.index = b.outside, -1
    weight = g.over(g.over(g.over(g.over(_mixes(b, stream, "output_hc_fn")))))
    x = _sum_of_streams(b, stream, weight)
    return b.head(x)


# -- residual streams ------------------------------------------------------------------


def _mixes(b: Builder, stream: Tensor, name: str) -> Tensor:
    width, streams, tokens = stream.ne
    flat = b.g.view(stream, (width * streams, tokens))
    return b.matmul(b.g.over(flat), name)


def _narrow(b: Builder, stream: Tensor, name: str) -> tuple[Tensor, Tensor, Tensor]:
    """One stream out of four; and what mixes the result back into them."""
    g = b.g
    _, streams, tokens = stream.ne
    mixes = _mixes(b, stream, f"{name}_fn")

    def gate() -> Tensor:
        return g.over(g.over(g.over(g.over(g.view(mixes, (streams, tokens))))))

    before, after = gate(), gate()
    mixed = g.new((streams, streams, tokens), mixes)
    return g.new((stream.ne[0], tokens), stream, before), after, mixed


def _widen(b: Builder, x: Tensor, stream: Tensor, post: Tensor, mixed: Tensor) -> Tensor:
    return b.g.new(stream.ne, x, stream, post, mixed)


def _sum_of_streams(b: Builder, stream: Tensor, weight: Tensor) -> Tensor:
    """The weighted sum, step by step as at the model's end."""
    g = b.g
    width, streams, tokens = stream.ne
    total: Tensor | None = None
    for _ in range(streams):
        part = g.over(g.view(stream, (width, tokens)), g.view(weight, (1, tokens)))
        total = part if total is None else g.over(total, part)
    if total is None:
        raise AssertionError("a model has at least one stream")
    return total


def _feed_forward(b: Builder, recipe: Recipe, x: Tensor) -> Tensor:
    """Experts, in the first layers chosen by the token's number alone."""
    g, h = b.g, b.h
    if not b.has("ffn_gate_tid2eid.weight"):
        out = routed(b, recipe, x)
    else:
        tokens = b.made.get("tokens") or g.input(b.n, type_bytes=I32)
        b.made["tokens"] = tokens
        selected = g.new((h.experts_used[b.index], b.n), tokens, type_bytes=I32)
        out = routed(b, recipe, x, selected=selected)
    return b.add(out, b.shared_expert(x))


# -- attention -------------------------------------------------------------------------


def _attention(b: Builder, x: Tensor) -> Tensor:
    g, h, i = b.g, b.h, b.index
    size, number, ratio = h.key_size[i], h.heads[i], h.compress_ratios[i]
    reduced = b.norm(b.matmul(x, "attn_q_a"), "attn_q_a_norm")
    q = b.rope(g.over(b.heads(b.matmul(reduced, "attn_q_b"), size, number)))
    kv = b.rope(b.heads(b.norm(b.matmul(x, "attn_kv"), "attn_kv_a_norm"), size, 1))
    if ratio:
        _compress(b, x, _kind(b, ratio))
    if ratio == PICKED:
        _compress(b, x, _kind(b, ratio, indexer=True))
        chosen = _chosen_keys(b, x, reduced)
    cache = b.cache(sliding=True)
    if cache.rotate_k is not None:
        q, kv = b.hadamard(q, cache.rotate_k), b.hadamard(kv, cache.rotate_k)
    g.expand(q)
    g.expand(kv)
    g.expand(g.sink(g.view(kv), cache.keys))
    keys, mask, cells = None, cache.mask, b.batch.cells.sliding
    if ratio:
        compressed = _inputs(b, _kind(b, ratio)).mask
        cells += compressed.ne[0]
        keys = _joined_keys(b, size, cells)
        more = _opened(b, compressed, chosen) if ratio == PICKED else compressed
        mask = g.new((cells, *mask.ne[1:]), mask, more, type_bytes=mask.type)
    out = b.mha(q, cells, size, mask, latent=True, keys=keys, gpu_extra=b.unpacked_bytes(cells, latent=True))
    if cache.rotate_k is not None:
        out = b.hadamard(out, cache.rotate_k)
    out = b.rope(g.view(out, (size, number, b.n)))
    groups = h.number("attention.output_group_count", 1)
    rank = count(b.layer["attn_output_a.weight"][1:]) // groups
    grouped = g.view(
        g.view(out, (size * number // groups, groups, b.n)), (size * number // groups, b.n, groups)
    )
    low = g.new((rank, b.n, groups), grouped)
    low.brings = "attn_output_a"
    return b.matmul(b.cont(g.view(low, (rank, groups, b.n)), (rank * groups, b.n)), "attn_output_b")


def _joined_keys(b: Builder, size: int, cells: int) -> Tensor:
    """Raw and compressed keys in one tensor of the cache's type."""
    block, block_bytes = CACHE_TYPES[b.batch.type_k]
    return b.g.new((size // block, 1, cells, b.batch.cells.streams), type_bytes=block_bytes)


def _kind(b: Builder, ratio: int, *, indexer: bool = False) -> Kind:
    size = b.h.indexer_size if indexer else b.h.key_size[0]
    name = _INDEXER if indexer else str(ratio)
    rows = (2 * ratio if ratio == PICKED else ratio) * b.batch.cells.streams
    return Kind(name, ratio, size, "indexer_compressor" if indexer else "attn_compressor", rows)


def _inputs(b: Builder, kind: Kind) -> Compressor:
    """The inputs of one compressed cache, made once."""
    made, g, batch = b.made, b.g, b.batch
    if f"{kind.name} mask" not in made:
        blocks = b.n // kind.ratio + batch.sequences
        kept = min(b.n, kind.state_rows)
        read = (2 if kind.overlaps else 1) * kind.ratio * blocks
        for name, count in (("positions", b.n), ("kept", kept), ("kept to", kept), ("read", read)):
            made[f"{kind.name} {name}"] = g.input(count, type_bytes=I32)
        made[f"{kind.name} written"] = g.input(blocks, type_bytes=I64)
        made[f"{kind.name} written positions"] = g.input(blocks, type_bytes=I32)
        cells = padded(max(1, -(-batch.cells.full // kind.ratio)))
        made[f"{kind.name} mask"] = b.mask(cells, half=True if kind.name == _INDEXER else None)
    return Compressor(
        positions=made[f"{kind.name} positions"],
        kept=made[f"{kind.name} kept"],
        kept_to=made[f"{kind.name} kept to"],
        read=made[f"{kind.name} read"],
        written=made[f"{kind.name} written"],
        written_positions=made[f"{kind.name} written positions"],
        mask=made[f"{kind.name} mask"],
        rotation=_rotation(b, kind),
    )


def _rotation(b: Builder, kind: Kind) -> Tensor | None:
    """Of the indexer always, else where the cache is stored in blocks."""
    if kind.name != _INDEXER and b.cache(sliding=True).rotate_k is None:
        return None
    name = f"{kind.name} rotation"
    if name not in b.made:
        width = 64
        while kind.width % (2 * width) == 0:
            width *= 2
        b.made[name] = b.g.input(width, width)
    return b.made[name]


def _compress(b: Builder, x: Tensor, kind: Kind) -> None:
    """New keys from this batch and the rows kept from the last one; and the rows kept for the next."""
    g = b.g
    inputs = _inputs(b, kind)
    kv, score = b.matmul(x, f"{kind.weights}_kv"), b.matmul(x, f"{kind.weights}_gate")
    wide = kv.ne[0]
    score = g.over(score, g.new((wide, b.n), inputs.positions))
    rows = kind.state_rows + b.n
    all_kv, all_score = g.new((wide, rows), kv), g.new((wide, rows), score)
    made = _compressed(b, kind, inputs, all_kv, all_score)
    if inputs.rotation is not None:
        made = b.hadamard(made, inputs.rotation)
    g.expand(g.sink(g.view(made), inputs.written))
    kept = [g.new((wide, inputs.kept.ne[0]), tensor, inputs.kept) for tensor in (kv, score)]
    for tensor in kept:
        g.expand(g.sink(tensor, inputs.kept_to))


def _compressed(b: Builder, kind: Kind, inputs: Compressor, kv: Tensor, score: Tensor) -> Tensor:
    """Each key is the sum of its tokens' rows, weighed by a softmax of their scores."""
    g, size, ratio = b.g, kind.width, kind.ratio
    blocks = inputs.written.ne[0]
    rows: list[Tensor] = []
    for state in (kv, score):
        source, (wide, count) = state, state.ne
        if kind.overlaps:  # a row that stands for tokens before the first
            zero = g.over(g.view(state, (wide,)))
            source = g.new((wide, count + 1), state, g.view(zero, (wide, 1)))
        rows.append(g.new((wide, inputs.read.ne[0]), source, inputs.read))
    if kind.overlaps:
        halves = [b.cont(g.view(tensor, (size, ratio * blocks))) for tensor in (*rows, *rows)]
        parts = [g.view(half, (size, ratio, blocks)) for half in halves]
        rows = [g.new((size, 2 * ratio, blocks), parts[i], parts[i + 2]) for i in (0, 1)]
    each = rows[0].ne[1] // (1 if kind.overlaps else blocks)
    values, scores = (b.cont(g.view(tensor, (each, size, blocks))) for tensor in rows)
    total = g.new((1, size, blocks), g.over(values, g.over(scores)))
    key = b.cont(g.view(total, (size, 1, blocks)))
    return b.rope(b.norm(key, f"{kind.weights}_norm"), positions=inputs.written_positions)


def _chosen_keys(b: Builder, x: Tensor, reduced: Tensor) -> Tensor:
    """The indexer's best compressed keys for each token."""
    g, h = b.g, b.h
    inputs = _inputs(b, _kind(b, PICKED, indexer=True))
    streams, cells = b.batch.cells.streams, inputs.mask.ne[0]
    each = b.n // streams
    query = b.rope(b.heads(b.matmul(reduced, "indexer.attn_q_b"), h.indexer_size, h.indexer_heads))
    if inputs.rotation is not None:
        query = b.hadamard(query, inputs.rotation)
    weights = g.over(b.matmul(x, "indexer.proj"))
    query = g.view(query, (h.indexer_size, h.indexer_heads, each, streams))
    weights = g.view(weights, (h.indexer_heads, each, 1, streams))
    score = g.new((cells, each, 1, streams), query, weights, inputs.mask)
    count = min(cells, h.indexer_top_k)
    return b.cont(g.new((count, each, 1, streams), score, type_bytes=I32))


def _opened(b: Builder, mask: Tensor, chosen: Tensor) -> Tensor:
    """The mask of the compressed keys, open only where they were chosen."""
    g = b.g
    cells, each = mask.ne[0], mask.ne[1]
    streams = b.batch.cells.streams
    closed = g.view(g.over(mask), (1, cells, each, streams))
    picked = g.view(chosen, (chosen.ne[0], each, streams))
    zeros = g.over(_blank(b, chosen.ne[0]))
    opened = g.view(g.view(closed, None, zeros, picked), mask.ne)
    return g.over(opened, mask)


def _blank(b: Builder, count: int) -> Tensor:
    """An uninitialised tensor: a leaf that is no input, placed before any node runs."""
    streams = b.batch.cells.streams
    return b.g.blank(1, count, b.n // streams, streams, type_bytes=F16 if b.batch.flash else F32)
