"""What keys and values take in llama.cpp, layer by layer, to the byte.

Source: src/llama-kv-cache.cpp#L60, llama-kv-cache-iswa.cpp#L46, llama-kv-cache-dsa.cpp#L17,
llama-kv-cache-dsv4.cpp and create_memory of src/llama-model.cpp#L2358, llama.cpp b11434.
Checked against tests/truth/llamacpp_memory.csv.gz, every row exact.
"""

from typing import Final, NamedTuple

from probe.estimate.llama_hparams import Hparams
from probe.estimate.not_modeled import UNKNOWN_ARCHITECTURE, NotModeledError

# (elements, bytes) of one block of a cache type, ggml/src/ggml.c type_traits.
CACHE_TYPES: Final[dict[str, tuple[int, int]]] = {
    "f32": (1, 4),
    "f16": (1, 2),
    "bf16": (1, 2),
    "q8_0": (32, 34),
    "q5_1": (32, 24),
    "q5_0": (32, 22),
    "q4_1": (32, 20),
    "q4_0": (32, 18),
    "iq4_nl": (32, 18),
}
# Their caches follow rules of their own that are not written down here.
_OTHER_CACHES: Final = frozenset({"dflash", "eagle3", "gemma4-assistant", "graniteswitch", "t5", "t5encoder"})
# Keys that an indexer keeps for each token: raw ones, and where they are pooled their gates and pools.
_INDEXER_ROWS: Final = {
    "deepseek32": 1, "dots3note": 1, "glm-dsa": 1, "glm5-next": 3, "hy_v4": 1, "minimax-m3": 1, "qwen4exp": 2,
}  # fmt: skip
CONTEXT_PADDING: Final = 256  # GGML_PAD(n_ctx, 256), src/llama-context.cpp#L296


def padded(count: int, to: int = CONTEXT_PADDING) -> int:
    """`count` rounded up to a multiple of `to`."""
    return -(-count // to) * to


class CacheCells(NamedTuple):
    """How many tokens the cache has room for, as the engine rounds them."""

    full: int  # cells of one stream in a full-attention layer
    sliding: int  # cells of one stream in a layer with a window
    streams: int
    sequences: int
    context: int  # n_ctx after padding, all sequences together


def cache_cells(h: Hparams, *, context: int, parallel: int, ubatch: int, unified: bool) -> CacheCells:
    """Cells for `context` tokens in each of `parallel` conversations.

    Args:
        context: tokens of one conversation; the engine is given context x parallel.
        ubatch: the physical batch; windows grow by it.

    Source: src/llama-context.cpp#L296 and llama-kv-cache-iswa.cpp#L68.
    """
    total = padded(context * parallel)
    if h.architecture == "deepseek4" and unified:  # never shared: llama-kv-cache-dsv4.cpp#L1247
        sliding = padded(min(total, h.window + min(ubatch, context * parallel)))
        return CacheCells(total, sliding, parallel, parallel, total)
    if unified:
        full, streams = total, 1
    else:
        full, streams = padded(total // parallel), parallel
        total = full * parallel
    batch = min(ubatch, context * parallel) if h.causal else ubatch
    reach = h.window * (parallel if unified else 1) + batch
    sliding = padded(min(full, reach)) if h.window else full
    return CacheCells(full, sliding, streams, parallel, total)


def row_bytes(type_name: str, elements: int) -> int:
    """Bytes of `elements` numbers in one row of a cache of this type."""
    block, size = CACHE_TYPES[type_name]
    return elements // block * size


def fits_blocks(h: Hparams, type_k: str, type_v: str) -> bool:
    """Whether every cached head divides into the blocks of the cache types.

    Otherwise llama.cpp refuses to create the context: "K cache type q8_0 with block size 32
    does not divide n_embd_head_k=80" (llama_init_from_model, src/llama-context.cpp).
    """
    block_k, block_v = CACHE_TYPES[type_k][0], CACHE_TYPES[type_v][0]
    for layer, cached in enumerate(h.cached):
        if not cached:
            continue
        if h.key_size[layer] % block_k or (not h.mla and h.value_size[layer] % block_v):
            return False
    return True


def kv_bytes_per_layer(
    h: Hparams, cells: CacheCells, *, type_k: str, type_v: str, flash_attention: bool
) -> tuple[int, ...]:
    """Bytes of the keys and values of each layer, all sequences together.

    Without flash attention the values are stored transposed and every layer gets the
    widest layer's size (TAG_V_CACHE_VARIABLE).

    Raises:
        NotModeledError: the architecture has a cache of its own kind that we do not know.
    """
    if h.architecture in _OTHER_CACHES:
        raise NotModeledError(UNKNOWN_ARCHITECTURE, architecture=h.architecture)
    if h.architecture == "deepseek4":
        return _deepseek4(h, cells, type_k)
    widest = max((k * v for k, v in zip(h.kv_heads, h.value_size, strict=True)), default=0)
    rows = _INDEXER_ROWS.get(h.architecture, 0)
    if h.architecture == "qwen4exp" and not any(h.compress_ratios):
        rows = 1
    result = []
    for layer in range(h.layers):
        if not h.cached[layer]:
            result.append(0)
            continue
        room = (cells.sliding if h.sliding[layer] else cells.full) * cells.streams
        size = row_bytes(type_k, h.kv_heads[layer] * h.key_size[layer])
        if not h.mla:
            values = h.kv_heads[layer] * h.value_size[layer] if flash_attention else widest
            size += row_bytes(type_v, values)
        if rows and h.indexer_full[layer]:
            size += row_bytes(type_k, rows * h.indexer_size)
            if (
                h.architecture == "minimax-m3"
            ):  # a whole cache of one head, its values unused (llama-kv-cache-msa.cpp#L41)
                size += row_bytes(type_v, h.value_size[layer] if flash_attention else max(h.value_size))
        result.append(room * size)
    return tuple(result)


def _deepseek4(h: Hparams, cells: CacheCells, type_k: str) -> tuple[int, ...]:
    """A windowed cache on all layers and one compressed row for each 4 or 128 tokens.

    Ratio-4 layers also keep the indexer's keys; both keep running F32 states.
    Source: src/llama-kv-cache-dsv4.cpp.
    """
    key = h.key_size[0]
    result = []
    for ratio in h.compress_ratios:
        size = cells.sliding * cells.streams * row_bytes(type_k, key)
        if ratio:
            rows = padded(-(-cells.full // ratio)) * cells.streams
            size += rows * row_bytes(type_k, key)
        if ratio == 4:
            size += padded(-(-cells.full // ratio)) * cells.streams * row_bytes(type_k, h.indexer_size)
            size += 8 * 8 * (2 * key + 2 * h.indexer_size) * cells.sequences
        elif ratio:
            size += 8 * ratio * key * cells.sequences
        result.append(size)
    return tuple(result)
