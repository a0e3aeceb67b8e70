"""How one layer differs from the others of its model, and the model's sizes every part needs."""

from typing import NamedTuple

from probe.catalog.model_spec import Dimensions, LayerKind


class LayerVariant(NamedTuple):
    """All that decides the tensors of one layer: layers with equal variants hold equal tensors."""

    kind: LayerKind
    moe: bool
    kv_heads: int
    feed_forward: int  # width of the dense feed-forward network
    first: bool = False  # RWKV-7: the first layer has other low-rank sizes
    owns_kv: bool = True  # Gemma 4: the last layers reuse an earlier layer's keys and values
    compress_ratio: int = 0  # DeepSeek-V4
    hashed: bool = False  # DeepSeek-V4: routed by token number
    indexer: bool = True  # GLM-5.2: other layers use the indexer of an earlier one


def is_moe_layer(d: Dimensions, layer: int) -> bool:
    """Whether the feed-forward part of `layer` is a mixture of experts."""
    if not d.num_experts:
        return False
    if d.moe_layers is not None:
        return layer in d.moe_layers
    if layer < (d.first_k_dense or 0):
        return False
    step = d.moe_layer_step or 1
    return (layer - (d.moe_layer_offset or 0)) % step == 0


def kv_heads_of(d: Dimensions, layer: int) -> int:
    """Key and value heads that `layer` projects."""
    if d.layer_kv_heads is not None:
        return d.layer_kv_heads[layer]
    kind = d.kind_of(layer)
    if kind is LayerKind.SLIDING and d.swa_num_key_value_heads is not None:
        return d.swa_num_key_value_heads
    if kind is LayerKind.FULL and d.num_global_key_value_heads is not None:
        return d.num_global_key_value_heads
    return d.num_key_value_heads


def head_dim_of(d: Dimensions, kind: LayerKind) -> int:
    """Width of one key head in a layer of this kind."""
    if kind is LayerKind.FULL and d.global_head_dim is not None:
        return d.global_head_dim
    return d.head_dim


def feed_forward_of(d: Dimensions, layer: int) -> int:
    """Width of the dense feed-forward network of `layer`.

    Gemma-4-E2B doubles it in the layers that own no keys and values
    (`use_double_wide_mlp` of its config.json).
    """
    if d.layer_intermediate_sizes is not None:
        return d.layer_intermediate_sizes[layer]
    if d.extra.get("use_double_wide_mlp") and not owns_kv(d, layer):
        return 2 * d.intermediate_size
    return d.intermediate_size


def owns_kv(d: Dimensions, layer: int) -> bool:
    """False for the trailing layers that read an earlier layer's cache (Gemma 3n and 4)."""
    return layer < d.num_hidden_layers - (d.num_kv_shared_layers or 0)


def variant_of(d: Dimensions, layer: int, *, mark_first: bool = False) -> LayerVariant:
    """The variant of `layer`, counted from 0; `mark_first` where layer 0 is built differently."""
    ratios = d.compress_ratios
    return LayerVariant(
        kind=d.kind_of(layer),
        moe=is_moe_layer(d, layer),
        kv_heads=kv_heads_of(d, layer),
        feed_forward=feed_forward_of(d, layer),
        first=mark_first and layer == 0,
        owns_kv=owns_kv(d, layer),
        compress_ratio=ratios[layer] if ratios is not None and layer < len(ratios) else 0,
        hashed=layer < int(d.extra.get("num_hash_layers", 0)),
        indexer=str(d.extra.get("indexer_types", ""))[layer : layer + 1] != "S",
    )


def integer(d: Dimensions, name: str, default: int = 0) -> int:
    """A rare size kept in `Dimensions.extra` under its config.json name."""
    value = d.extra.get(name, default)
    return int(value) if isinstance(value, (int, float)) else default
