"""Multi-head latent attention: one compressed key a token, values folded into the output.

Source: src/models/deepseek2.cpp, kimi-linear.cpp, minicpm3.cpp, llama.cpp b11434.
"""

from probe.estimate.compute_graph.builder import Builder
from probe.estimate.compute_graph.decoder import Recipe
from probe.estimate.compute_graph.ggml import Tensor


def latent_queries(b: Builder, x: Tensor) -> tuple[Tensor, Tensor]:
    """Queries as heads, and the joint compressed keys and rotary part."""
    h = b.h
    if b.has("attn_q.weight"):
        q = b.matmul(x, "attn_q")
    else:
        q = b.matmul(b.norm(b.matmul(x, "attn_q_a"), "attn_q_a_norm"), "attn_q_b")
    q = b.heads(q, h.key_size_mla, h.heads[b.index])
    return q, b.matmul(x, "attn_kv_a_mqa")


def latent_attention(b: Builder, recipe: Recipe, x: Tensor) -> Tensor:
    """Latent attention with the key projection folded into the queries."""
    g, h = b.g, b.h
    rotates = recipe.rope != "none"
    heads, lora, rope = h.heads[b.index], h.kv_lora, h.rope_size
    nope = h.key_size_mla - rope
    q, joint = latent_queries(b, x)
    compressed = g.view(joint, (lora, b.n))
    key_part = g.view(joint, (rope, 1, b.n))
    if rotates:
        key_part = b.rope(key_part)
    compressed = b.norm(compressed, "attn_kv_a_norm")
    query_part = g.view(q, (rope, heads, b.n))
    if rotates:
        query_part = b.rope(query_part)
    plain = g.view(g.view(q, (nope, heads, b.n)), (nope, b.n, heads))
    absorbed = g.view(g.new((lora, b.n, heads), plain), (lora, heads, b.n))
    query = g.new((lora + rope, heads, b.n), absorbed, query_part)
    compressed = g.view(compressed, (lora, 1, b.n))
    key = g.new((lora + rope, 1, b.n), compressed, key_part)
    if recipe.temperature:
        query = g.over(query, b.attention_scale())
    return b.attend(query, key, compressed, value_of_key=lora, decompress=h.value_size_mla)


def plain_latent_attention(b: Builder, recipe: Recipe, x: Tensor) -> Tensor:
    """Compressed weights but full heads in the cache (MiniCPM3)."""
    g, h, i = b.g, b.h, b.index
    del recipe
    heads, lora, rope, value = h.heads[i], h.kv_lora, h.rope_size, h.value_size[i]
    nope = h.key_size[i] - rope
    q = b.matmul(b.norm(b.matmul(x, "attn_q_a"), "attn_q_a_norm"), "attn_q_b")
    q = b.rope(b.heads(q, h.key_size[i], heads))
    joint = b.matmul(x, "attn_kv_a_mqa")
    compressed = b.norm(g.view(joint, (lora, b.n)), "attn_kv_a_norm")
    key_part = g.view(joint, (rope, 1, b.n))
    both = b.matmul(compressed, "attn_kv_b")
    plain = g.view(both, (nope, heads, b.n))
    v = b.cont(g.view(both, (value, heads, b.n)))
    spread = g.new((rope, heads, b.n), b.rope(key_part))
    k = g.new((nope + rope, heads, b.n), plain, spread)
    return b.attend(q, k, v)
