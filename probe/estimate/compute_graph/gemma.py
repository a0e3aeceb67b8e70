"""Gemma 3n and 4: caches shared between layers, inputs for each layer, several streams.

Source: src/models/gemma3n.cpp and gemma4.cpp, llama.cpp b11434.
"""

from probe.estimate.compute_graph.builder import Builder
from probe.estimate.compute_graph.decoder import Recipe
from probe.estimate.compute_graph.ggml import I32, Graph, Tensor

_STREAMS = 4  # n_altup, src/llama-hparams.h
_SPARSE_LAYERS = 10  # n_layer_sparsity, src/models/models.h


def layer_inputs(b: Builder, stream: Tensor, width: int) -> Tensor:
    """The small embedding that every layer gets, projected from the stream and looked up."""
    g, layers, n = b.g, b.h.layers, b.n
    tokens = g.input(n, type_bytes=I32)
    rows = g.new((width * layers, n), tokens)
    rows.on_host = True
    looked_up = g.over(g.view(rows, (width, layers, n)))
    g.expand(looked_up)
    projected = g.over(b.matmul(stream, "per_layer_model_proj", width * layers))
    projected = b.norm(g.view(projected, (width, layers, n)), "per_layer_proj_norm")
    return b.cont(g.view(g.over(g.over(projected, looked_up)), (width, n, layers)))


def shared_cache_attention(b: Builder, x: Tensor) -> Tensor:
    """Attention whose values are normed too; later layers only bring queries."""
    h, i = b.h, b.index
    size, count, kv_count = h.key_size[i], h.heads[i], h.kv_heads[i]
    q = b.rope(b.norm(b.heads(b.linear(x, "attn_q"), size, count), "attn_q_norm"))
    if not h.cached[i]:
        return b.attend(q, None, None)
    projected = b.linear(x, "attn_k")
    values = b.linear(x, "attn_v") if b.has("attn_v.weight") else projected
    k = b.rope(b.norm(b.heads(projected, size, kv_count), "attn_k_norm"))
    v = b.norm(b.heads(values, size, kv_count))
    return b.attend(q, k, v)


def gemma_4(b: Builder, recipe: Recipe) -> Graph:
    """Gemma 4, dense, with experts, or with per-layer inputs."""
    del recipe
    g, h = b.g, b.h
    stream = b.embeddings(scaled=True)
    width = h.number("embedding_length_per_layer_input", 0)
    inputs = layer_inputs(b, stream, width) if width else None
    for index in b.sequence:
        b.enter(index)
        out = b.norm(shared_cache_attention(b, b.norm(stream, "attn_norm")), "post_attention_norm")
        middle = b.add(out, stream)
        fed = _experts_beside_network(b, middle) if b.has("ffn_gate_inp.weight") else None
        if fed is None:
            fed = b.ffn(b.norm(middle, "ffn_norm"))
        stream = b.add(b.norm(fed, "post_ffw_norm"), middle)
        if inputs is not None:
            narrow = g.over(b.linear(stream, "inp_gate"))
            narrow = g.over(narrow, g.view(inputs, (width, b.n)))
            stream = b.add(stream, b.norm(b.linear(narrow, "proj"), "post_norm"))
        if b.has("layer_output_scale.weight"):
            stream = g.over(stream)
    return b.late_head(stream)


def _experts_beside_network(b: Builder, middle: Tensor) -> Tensor:
    dense = b.norm(b.ffn(b.norm(middle, "ffn_norm")), "post_ffw_norm_1")
    x = b.norm(middle, "pre_ffw_norm_2")
    router = b.g.over(b.g.over(b.norm(middle)))
    routed = b.moe(x, router=b.matmul(router, "ffn_gate_inp", b.h.experts))
    return b.add(dense, b.norm(routed, "post_ffw_norm_2"))


def gemma_3n(b: Builder, recipe: Recipe) -> Graph:
    """Gemma 3n: four parallel streams, of which one runs through the layers."""
    del recipe
    g, h, n = b.g, b.h, b.n
    stream = b.embeddings(scaled=True)
    width = h.number("embedding_length_per_layer_input", 256)
    inputs = layer_inputs(b, stream, width)
    magnitude = _magnitude(b, stream)
    others = b.matmul(g.new((h.embedding, n, _STREAMS - 1), stream), "altup_proj")
    measured = _magnitude(b, others)
    others = g.over(g.over(others, magnitude), measured)
    streams = g.new((h.embedding, n, _STREAMS), stream, others)
    for index in b.sequence:
        b.enter(index)
        streams = _layer_3n(b, streams, inputs, width)
    magnitude = _magnitude(b, g.view(streams, (h.embedding, n)))
    others = b.matmul(g.view(streams, (h.embedding, n, _STREAMS - 1)), "altup_unembd_proj")
    measured = _magnitude(b, others)
    others = g.over(g.over(others, magnitude), measured)
    out = g.view(streams, (h.embedding, n))
    for _ in range(_STREAMS - 1):
        out = g.over(out, g.view(others, (h.embedding, n)))
    return b.head(b.pick_outputs(g.over(out)))


def _magnitude(b: Builder, x: Tensor) -> Tensor:
    return b.g.over(b.g.new((1, *x.ne[1:]), b.g.over(x)))


def _router(b: Builder, x: Tensor) -> Tensor:
    return b.g.over(b.matmul(b.g.over(b.norm(x, "altup_router_norm")), "altup_router", _STREAMS))


def _layer_3n(b: Builder, streams: Tensor, inputs: Tensor, width: int) -> Tensor:
    g, h, n = b.g, b.h, b.n
    one = (h.embedding, n)
    # predict all streams from the active one
    coefficients = b.matmul(_router(b, g.view(streams, one)), "altup_predict_coef", _STREAMS**2)
    coefficients = g.view(coefficients, (_STREAMS, _STREAMS, n))
    turned = b.cont(g.view(streams, (_STREAMS, h.embedding, n)))
    mixed = g.new((h.embedding, _STREAMS, n), turned, coefficients)
    predictions = g.over(b.cont(g.view(mixed, (*one, _STREAMS))), streams)
    active = g.view(predictions, one)
    x = b.norm(active, "attn_norm")
    laurel = b.linear(b.linear(x, "laurel_l"), "laurel_r")
    laurel = b.add(b.norm(laurel, "laurel_post_norm"), x)
    out = b.norm(shared_cache_attention(b, x), "post_attention_norm")
    out = b.add(out, active)
    joined = g.over(b.add(out, laurel))
    x = b.norm(joined, "ffn_norm")
    up = b.linear(x, "ffn_up")
    gate = b.linear(x, "ffn_gate")
    if b.index < _SPARSE_LAYERS:
        gate = _top_of_gaussian(b, gate)
    fed = b.linear(g.over(up, g.over(gate)), "ffn_down")
    activated = b.add(b.norm(fed, "post_ffw_norm"), joined)
    # correct the predictions
    modalities = _router(b, activated)
    innovation = g.over(activated, g.view(predictions, one))
    coefficients = g.over(b.matmul(modalities, "altup_correct_coef", _STREAMS))
    coefficients = b.cont(g.view(coefficients, (n, _STREAMS)), (1, n, _STREAMS))
    spread = g.new((*one, _STREAMS), innovation)
    corrected = g.over(g.over(spread, coefficients), predictions)
    first = g.over(g.view(corrected, one))
    first = g.over(b.linear(first, "inp_gate"))
    first = g.over(first, g.view(inputs, (width, n)))
    first = b.norm(b.linear(first, "proj"), "post_norm")
    rest = g.over(g.view(corrected, (*one, _STREAMS - 1)), first)
    return g.new((*one, _STREAMS), g.view(corrected, one), rest)


def _top_of_gaussian(b: Builder, x: Tensor) -> Tensor:
    """Keep what lies well above the mean (gaussian_topk)."""
    g = b.g
    mean = g.new((1, b.n), x)
    spread = g.over(g.over(g.new((1, b.n), g.over(g.over(x, mean)))))
    return g.over(g.over(x, g.over(mean, g.over(spread))))
