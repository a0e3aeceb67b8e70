"""How vLLM shares one pool of blocks among layers of different kinds.

Layers with equal demands form buckets; buckets are cut into groups of about equal size;
a block holds one page of every layer of the fullest group, whichever group takes it.

Source: vllm 0.32.0, v1/core/kv_cache_utils.py#L1171-L1500 (grouping), #L2337 (need);
platforms/interface.py#L939 (hybrid pages); v1/kv_cache_interface.py (blocks per request).
"""

from math import ceil
from typing import Final

import msgspec

from probe.engines.vllm_layers import CachedLayer, ModelCache, smallest_block

_LATENT_ALIGNMENT: Final = 128  # platforms/interface.py#L1082
_NEARLY_EQUAL: Final = 1.5  # kv_cache_utils.py#L1466
_STATE_BLOCKS: Final = {"align": 2, "none": 1}  # kv_cache_interface.py#L1069


class Page(msgspec.Struct, frozen=True):
    """One layer's page: what a block holds of it."""

    layer: CachedLayer
    block_tokens: int
    page_bytes: int

    def blocks(self, length: int, in_flight: int, cache_mode: str) -> int:
        """Blocks that one request of `length` tokens holds at most."""
        kind, window = self.layer.kind, self.layer.window
        if kind == "state":
            extra = self.layer.checkpoint_blocks if cache_mode == "align" else 0
            return _STATE_BLOCKS[cache_mode] + extra
        if kind == "sliding":
            return -(-min(window - 1 + in_flight, length) // self.block_tokens) + 1
        if kind == "chunked":
            return -(-min(window + in_flight, length) // self.block_tokens)
        return -(-length // self.block_tokens)


class Group(msgspec.Struct, frozen=True):
    """Layers that share a block table: `pages` per distinct page, with how many layers have it."""

    pages: tuple[tuple[Page, int], ...]

    @property
    def block_bytes(self) -> int:
        """Bytes that one block of this group fills."""
        return sum(page.page_bytes * count for page, count in self.pages)

    def blocks(self, length: int, in_flight: int, cache_mode: str) -> int:
        """Blocks of one request in this group's table."""
        return max(page.blocks(length, in_flight, cache_mode) for page, _ in self.pages)


class Layout(msgspec.Struct, frozen=True):
    """The pool's geometry. `block_tokens` is vLLM's block size; sliding layers may use another multiple."""

    block_tokens: int
    groups: tuple[Group, ...]
    cache_mode: str  # align, none; only states are affected

    @property
    def block_bytes(self) -> int:
        """Bytes of one block of the pool on one GPU: the fullest group's."""
        return max((group.block_bytes for group in self.groups), default=0)

    def blocks_of_request(self, length: int, in_flight: int) -> int:
        """Blocks that one request of `length` tokens holds over all groups."""
        return sum(group.blocks(length, in_flight, self.cache_mode) for group in self.groups)


def layout_of(cache: ModelCache, *, cache_mode: str) -> Layout:
    """Block size, pages and groups of a model on one GPU."""
    block = smallest_block(cache)
    if cache.hybrid:
        return _hybrid_layout(cache, block, cache_mode)
    pages = _counted(
        [
            Page(layer, block, layer.state_bytes if layer.kind == "state" else layer.token_bytes * block)
            for layer in cache.layers
        ]
    )
    return Layout(block, _groups(pages), cache_mode)


def _hybrid_layout(cache: ModelCache, smallest: int, cache_mode: str) -> Layout:
    """Attention blocks grow until a page holds the largest state; states are padded to that page."""
    state = max(layer.state_bytes for layer in cache.layers if layer.kind == "state")
    token = next(layer.token_bytes for layer in cache.layers if layer.kind != "state")
    step = max(smallest, _LATENT_ALIGNMENT) if cache.latent else smallest
    block = max(smallest, step * ceil(state / (step * token)))
    pages = _counted(
        [
            Page(layer, block, block * (token if layer.kind == "state" else layer.token_bytes))
            for layer in cache.layers
        ]
    )
    return Layout(block, _groups(pages), cache_mode)


def _counted(pages: list[Page]) -> list[tuple[Page, int]]:
    """Equal pages counted, in order of first appearance."""
    counts: dict[Page, int] = {}
    for page in pages:
        counts[page] = counts.get(page, 0) + 1
    return list(counts.items())


def _groups(pages: list[tuple[Page, int]]) -> tuple[Group, ...]:
    """One group where all layers need the same blocks, else equal pages in groups of about equal size."""
    if not pages:
        return ()
    if len(pages) == 1 or _same_blocks(pages):
        return (Group(tuple(pages)),)
    return _balanced(_equal_pages(pages))


def _same_blocks(pages: list[tuple[Page, int]]) -> bool:
    """All full attention (latent included) of one block size: pages may differ, their sum is one block."""
    sizes = {page.block_tokens for page, _ in pages}
    kinds = {"full" if page.layer.kind == "mla" else page.layer.kind for page, _ in pages}
    windows = {page.layer.window for page, _ in pages}
    return len(sizes) == 1 and len(kinds) == 1 and (kinds == {"full"} or len(windows) == 1)


def _equal_pages(pages: list[tuple[Page, int]]) -> list[tuple[Page, int]]:
    """Smaller pages take more tokens a block where that divides evenly, else they are padded."""
    largest = max(page.page_bytes for page, _ in pages)
    equal = []
    for page, count in pages:
        factor, rest = divmod(largest, page.page_bytes)
        tokens = page.block_tokens * factor if rest == 0 and page.layer.kind != "state" else page.block_tokens
        equal.append((Page(page.layer, tokens, largest), count))
    return equal


def _balanced(pages: list[tuple[Page, int]]) -> tuple[Group, ...]:
    """Buckets cut to the size of the smallest, or of the largest when they differ by less than half."""
    buckets: dict[tuple[str, int, int, int, int, int], tuple[Page, int]] = {}
    for page, count in pages:
        layer = page.layer
        kind = "full" if layer.kind == "mla" else layer.kind
        key = (
            kind,
            layer.window,
            page.block_tokens,
            page.page_bytes,
            layer.token_bytes,
            layer.checkpoint_blocks,
        )
        first, seen = buckets.get(key, (page, 0))
        buckets[key] = (first, seen + count)
    counts = [count for _, count in buckets.values()]
    size = max(counts) if max(counts) < min(counts) * _NEARLY_EQUAL else min(counts)
    groups = []
    for page, count in buckets.values():
        parts = -(-count // size)
        groups += [Group(((page, len(range(part, count, parts))),)) for part in range(parts)]
    return tuple(groups)
