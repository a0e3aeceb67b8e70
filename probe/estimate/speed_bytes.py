"""Bytes that one generated token reads of the cache."""

from probe.estimate.kv_cache import row_bytes
from probe.estimate.llama_hparams import Hparams


def kv_read_bytes(h: Hparams, depth: float, *, type_k: str = "f16", type_v: str = "f16") -> float:
    """Keys and values that one token reads in one conversation filled to `depth` tokens.

    A layer with a window reads the window at most; latent attention reads keys only;
    recurrent layers read a state that does not grow and counts as weights.
    """
    total = 0.0
    for layer in range(h.layers):
        if not h.cached[layer]:
            continue
        rows = min(depth, h.window) if h.sliding[layer] and h.window else depth
        size = row_bytes(type_k, h.kv_heads[layer] * h.key_size[layer])
        if not h.mla:
            size += row_bytes(type_v, h.kv_heads[layer] * h.value_size[layer])
        total += rows * size
    return total
