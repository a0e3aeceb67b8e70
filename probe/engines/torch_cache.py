"""Keys, values and states of one conversation in engines that keep them as PyTorch tensors.

Shapes per layer are those that vLLM's planner was checked with (vllm_layers.py): heads,
latent vectors and windows are the model's own; only rounding and pools differ by engine.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.engines.vllm_layers import CachedLayer, is_modeled, model_cache

_PLAIN: Final = "bfloat16"
_ANY_CAPABILITY: Final = (9, 0)  # names the kernels only; sizes do not depend on it


class CacheShape(msgspec.Struct, frozen=True, kw_only=True):
    """What one conversation keeps on one device.

    `token_bytes`: layers that keep every token; `windows`: (tokens kept, bytes a token)
    of layers that keep the last ones only; `state_bytes`: constant states.
    """

    token_bytes: int
    windows: tuple[tuple[int, int], ...] = ()
    state_bytes: int = 0

    def attention_bytes(self, tokens: int, *, page: int = 1, windowed: bool = True) -> int:
        """Cache of a conversation of `tokens`, rounded up to whole pages.

        Args:
            windowed: False where the engine keeps every token of windowed layers too.
        """
        kept = -(-tokens // page) * page
        inside = sum(
            size * (min(kept, -(-window // page) * page) if windowed else kept)
            for window, size in self.windows
        )
        return self.token_bytes * kept + inside

    def scaled(self, factor: float) -> "CacheShape":
        """The same shape with elements of another width; states keep theirs."""
        return CacheShape(
            token_bytes=round(self.token_bytes * factor),
            windows=tuple((window, round(size * factor)) for window, size in self.windows),
            state_bytes=self.state_bytes,
        )


def cache_shape(
    spec: ModelSpec, *, tp: int = 1, dtype: str = _PLAIN, fp8: bool = False, layers: range | None = None
) -> CacheShape | None:
    """The cache of `spec` on one of `tp` devices; None where its layout is not known.

    Args:
        layers: only these cached layers, for a device that holds a part of the model.
    """
    d = spec.dimensions
    if d is None or not is_modeled(spec):
        return None
    cache = model_cache(spec, d, tp=tp, dtype=dtype, fp8=fp8, capability=_ANY_CAPABILITY, image_prefix=False)
    chosen = cache.layers if layers is None else cache.layers[layers.start : layers.stop]
    return _shape(chosen)


def _shape(layers: Iterable[CachedLayer]) -> CacheShape:
    everything = states = 0
    windows: dict[int, int] = {}
    for layer in layers:
        if layer.kind == "state":
            states += layer.state_bytes
        elif layer.window:
            windows[layer.window] = windows.get(layer.window, 0) + layer.token_bytes
        else:
            everything += layer.token_bytes
    return CacheShape(token_bytes=everything, windows=tuple(sorted(windows.items())), state_bytes=states)


def longest_context(shape: CacheShape, room_bytes: int, parallel: int, ceiling: int, *, page: int = 1) -> int:
    """Tokens that each of `parallel` conversations may hold in `room_bytes`, not above `ceiling`."""
    room = room_bytes // parallel - shape.state_bytes
    if room < 0:
        return 0
    if shape.attention_bytes(ceiling, page=page) <= room:
        return ceiling
    low, high = 0, ceiling // page
    while low < high:
        middle = (low + high + 1) // 2
        if shape.attention_bytes(middle * page, page=page) <= room:
            low = middle
        else:
            high = middle - 1
    return low * page
