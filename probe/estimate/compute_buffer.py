"""Scratch memory of one batch in llama.cpp: the widest moment of its compute graph.

First form: the readings of ENGINES.md Part 2. tests/truth/llamacpp_memory.csv.gz measures it.
"""

from probe.estimate.kv_cache import CacheCells
from probe.estimate.llama_hparams import Hparams


def compute_buffer_bytes(h: Hparams, cells: CacheCells, *, ubatch: int, flash_attention: bool) -> int:
    """Bytes of the compute buffer when everything runs on one device."""
    batch = min(ubatch, cells.context)
    used = max(h.experts_used, default=0)
    expert = max(h.expert_feed_forward, default=0) or max(h.feed_forward, default=0)
    widest = 3 * max(h.feed_forward, default=0)
    if h.experts:
        widest = max(3 * used * expert, widest if h.dense_lead else 0)
    attends = any(h.cached)
    mask = 0
    if attends:
        mask = 2 * batch * (cells.full + (cells.sliding if h.window and any(h.sliding) else 0))
    if h.mla and flash_attention:
        base = 4 * batch * max(1400 * max(h.heads) + 4 * h.embedding, h.vocabulary + 5 * h.embedding)
    else:
        base = 4 * batch * (max(h.vocabulary, widest) + 5 * h.embedding)
    size = base + mask
    if attends and not flash_attention:
        heads = max(h.heads)
        size = max(size, 4 * batch * (heads * cells.full + cells.full) + 4 * batch * 13 * h.embedding // 2)
    return size


def output_buffer_bytes(h: Hparams, sequences: int) -> int:
    """Bytes of the logits kept on the host: a row a sequence (src/llama-context.cpp#L2118)."""
    return 4 * h.vocabulary * sequences
