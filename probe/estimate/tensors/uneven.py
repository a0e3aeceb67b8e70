"""Layers that differ in width or lack a part: models cut by search, and Step 3.5.

Source: llama.cpp b11434, src/models/{deci,step35,minimax-m3}.cpp; conversion/step3.py
for the heads of sliding layers.
"""

from functools import partial

import msgspec

from probe.catalog.model_spec import Dimensions, LayerKind
from probe.estimate.not_modeled import UNKNOWN_SHAPES, NotModeledError
from probe.estimate.tensors.attention import grouped_query
from probe.estimate.tensors.decoder import Builder, decoder, network
from probe.estimate.tensors.feed_forward import dense, experts
from probe.estimate.tensors.layer import LayerVariant, integer
from probe.estimate.tensors.shape import Parts, Role, TensorPart, norm, weight

_sigmoid = partial(experts, selection_bias=True)


def deci_layer(d: Dimensions, v: LayerVariant) -> Parts:
    """A layer of Nemotron NAS models: attention and network may each be missing."""
    parts: list[TensorPart] = []
    if v.kv_heads:
        parts += norm("attn_norm", d.hidden_size)
        parts += grouped_query(d, v)
    if v.feed_forward:
        parts += norm("ffn_norm", d.hidden_size)
        parts += dense(d.hidden_size, v.feed_forward)
    return tuple(parts)


def step_layer(d: Dimensions, v: LayerVariant) -> Parts:
    """A layer of Step 3.5: sliding layers have more heads; each head has a gate of one weight a channel."""
    heads = d.num_attention_heads
    if v.kind is LayerKind.SLIDING:
        heads = integer(d, "swa_num_attention_heads", heads)
    own = d if heads == d.num_attention_heads else msgspec.structs.replace(d, num_attention_heads=heads)

    def mixer(_: Dimensions, variant: LayerVariant) -> Parts:
        return grouped_query(own, variant, qk_norm="head", gate=heads)

    build: Builder = decoder(mixer, network(moe=_sigmoid))
    return build(own, v)


def minimax_m3_layer(d: Dimensions, v: LayerVariant) -> Parts:
    """A layer of MiniMax-M3: layers with experts also have a sparse-attention indexer.

    Raises:
        NotModeledError: the model's description leaves the indexer's sizes out.
    """
    mixer = partial(grouped_query, qk_norm="head")
    parts = decoder(mixer, network(moe=_sigmoid))(d, v)
    if not v.moe:
        return parts
    if not d.index_n_heads or not d.index_head_dim:
        raise NotModeledError(UNKNOWN_SHAPES, architecture="minimax-m3", missing="index_head_dim")
    return (
        *parts,
        weight("indexer.q_proj", d.hidden_size, d.index_n_heads * d.index_head_dim, role=Role.INDEXER),
        weight("indexer.k_proj", d.hidden_size, d.index_head_dim, role=Role.INDEXER),
        *norm("indexer.q_norm", d.index_head_dim),
        *norm("indexer.k_norm", d.index_head_dim),
    )
