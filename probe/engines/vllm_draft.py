"""What drafting adds to vLLM's cache layers and weights.

A draft model's layers and a model's own prediction layers are registered like all others and
share the pool of blocks; recurrent layers hold one more block a drafted token, and their
convolution windows grow by as many rows.

Source: vllm 0.32.0: v1/kv_cache_interface.py#L1079 (state blocks), model_executor/layers/mamba/
abstract.py#L79 (num_speculative_blocks), mamba_utils.py#L204-L330 (windows),
config/speculative.py#L1722-L1743 (the draft takes the large model's tensor parallel size).
Checked against its planner: Qwen3.5-9B and Qwen3.6-27B with their prediction layers, Qwen3-32B
with Qwen3-0.6B; blocks and their bytes are equal.
"""

from typing import Final

import msgspec

from probe.catalog.model_spec import Dimensions, ModelSpec
from probe.engines.vllm_layers import CachedLayer, ModelCache, model_cache
from probe.engines.vllm_platform import Capability
from probe.engines.vllm_states import is_mamba2

_WINDOWED: Final = ("mimo_v2_flash",)  # prediction layers with a sliding window (models/mimo_v2_mtp.py)
_KERNEL: Final = 4  # of convolutions whose config.json does not say


class Drafting(msgspec.Struct, frozen=True, kw_only=True):
    """What drafts. `spec` None: the model's own prediction layers. `weights_bytes`: on all GPUs together."""

    tokens: int
    weights_bytes: int
    spec: ModelSpec | None = None


def widened(d: Dimensions, tokens: int) -> Dimensions:
    """The shapes with convolution windows that hold the drafted tokens too."""
    changed: dict[str, int] = {}
    if d.linear_num_value_heads:
        changed["linear_conv_kernel_dim"] = (d.linear_conv_kernel_dim or _KERNEL) + tokens
    if is_mamba2(d):
        changed["ssm_conv_kernel"] = (d.ssm_conv_kernel or _KERNEL) + tokens
    return msgspec.structs.replace(d, **changed) if changed else d


def with_drafting(
    cache: ModelCache,
    d: Dimensions,
    drafting: Drafting,
    *,
    model_type: str,
    tp: int,
    fp8: bool,
    capability: Capability,
) -> ModelCache:
    """The layers of both; `cache` is that of the widened shapes."""
    layers = [
        msgspec.structs.replace(layer, checkpoint_blocks=layer.checkpoint_blocks + drafting.tokens)
        if layer.kind == "state"
        else layer
        for layer in cache.layers
    ]
    small = drafting.spec
    if small is None:
        layers += list(_prediction(cache, model_type)) * max(d.mtp_layers or 1, 1)
    elif small.dimensions is not None:
        layers += model_cache(
            small,
            small.dimensions,
            tp=tp,
            dtype=cache.dtype,
            fp8=fp8,
            capability=capability,
            image_prefix=False,
        ).layers
    return msgspec.structs.replace(cache, layers=tuple(layers))


def _prediction(cache: ModelCache, model_type: str) -> tuple[CachedLayer, ...]:
    """One prediction layer: as the model's last layer of its kind, an indexer's keys with it."""
    wanted = ("sliding",) if model_type in _WINDOWED else ("full", "mla")
    kinds = [layer for layer in cache.layers if layer.kind in wanted and not layer.role]
    indexers = [layer for layer in cache.layers if layer.role]
    if not kinds:
        kinds = [layer for layer in cache.layers if layer.kind != "state"]
    return (*indexers[-1:], *kinds[-1:])
