"""How llama.cpp lays a model out in memory, device by device, and the longest context that fits."""

from functools import lru_cache
from typing import Final

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.engines.llama_cpp_split import LayerPlan, plan_layers
from probe.engines.request import LayerSplit, Request
from probe.estimate.breakdown import DeviceMemory, MemoryBreakdown
from probe.estimate.compute_buffer import batch_of, compute_buffer_bytes, output_buffer_bytes
from probe.estimate.compute_graph.builder import Batch
from probe.estimate.gguf_metadata import gguf_metadata
from probe.estimate.kv_cache import CacheCells, cache_cells, fits_blocks, kv_bytes_per_layer
from probe.estimate.llama_hparams import Hparams, hparams_from_metadata
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.recurrent_state import state_bytes_per_layer
from probe.estimate.weight_bytes import WeightBytes
from probe.machine.ranges import ByteRange
from probe.units import MIB

LOGICAL_BATCH: Final = 2048  # n_batch default, common/common.h
# What a device's runtime takes before the first tensor; no figure in llama.cpp, see ENGINES.md Part 2.
_RUNTIME_BYTES: Final = {
    "cuda": 320 * MIB,
    "rocm": 320 * MIB,
    "vulkan": 128 * MIB,
    "sycl": 256 * MIB,
    "metal": 64 * MIB,
}
_PROCESS_BYTES: Final = 64 * MIB

_hparams_cache: dict[int, tuple[ModelSpec, Hparams]] = {}


def hparams_of(spec: ModelSpec) -> Hparams:
    """The sizes llama.cpp would read for this model, remembered for the life of the spec.

    Raises:
        NotModeledError: not in upstream llama.cpp, or shapes missing.
    """
    known = _hparams_cache.get(id(spec))
    if known is not None and known[0] is spec:
        return known[1]
    hparams = hparams_from_metadata(gguf_metadata(spec))
    _hparams_cache[id(spec)] = (spec, hparams)
    return hparams


def uses_flash_attention(request: Request) -> bool:
    """Whether flash attention runs: auto is on wherever the backend has it."""
    return request.flash_attention is not False


def cells_of(h: Hparams, request: Request) -> CacheCells:
    """The cache's cells for this request."""
    cells = cache_cells(
        h,
        context=request.context,
        parallel=request.parallel,
        ubatch=request.ubatch,
        unified=request.kv_unified,
    )
    return cells._replace(sliding=cells.full) if request.swa_full else cells


@lru_cache(maxsize=8192)
def _compute(spec_id: int, batch: Batch) -> int | None:
    """Compute buffer, or None where the architecture's graph is not modeled."""
    spec, h = _hparams_cache[spec_id]
    try:
        return compute_buffer_bytes(spec, h, batch)
    except NotModeledError:
        return None


def lay_out(
    spec: ModelSpec,
    weights: WeightBytes,
    request: Request,
    split: LayerSplit,
    *,
    backend: str,
    extra_bufts: bool = False,
) -> MemoryBreakdown:
    """Memory of one placement in llama.cpp's own categories, per device.

    Cache and compute figures are None where the architecture is not modeled; the
    weights are exact all the same.
    """
    plan = plan_layers(weights, split)

    try:
        h = hparams_of(spec)
        cells = cells_of(h, request)
        flash = uses_flash_attention(request)
        kv_layers = kv_bytes_per_layer(
            h, cells, type_k=request.kv_type_k, type_v=request.kv_type_v, flash_attention=flash
        )
        state_layers = state_bytes_per_layer(h, request.parallel)
    except NotModeledError:
        return _without_caches(plan, backend)
    batch = batch_of(
        cells,
        ubatch=request.ubatch,
        flash_attention=flash,
        type_k=request.kv_type_k,
        type_v=request.kv_type_v,
    )
    compute = _compute(id(spec), batch)
    output = output_buffer_bytes(h, request.parallel)
    devices = []
    for name in plan.devices:
        on_gpu = name != "cpu"
        layers = plan.layers_of(name)
        host_only = not on_gpu and plan.offloads
        devices.append(
            DeviceMemory(
                device=name,
                weights_bytes=plan.weights[name],
                kv_cache_bytes=sum(kv_layers[layer] for layer in layers if layer < len(kv_layers)),
                recurrent_state_bytes=sum(
                    state_layers[layer] for layer in layers if layer < len(state_layers)
                ),
                compute_bytes=None
                if compute is None
                else (compute if not host_only else 0) + (output if not on_gpu else 0),
                repack_bytes=_repack(plan, name, extra_bufts),
                runtime_bytes=_RUNTIME_BYTES.get(backend, 0) if on_gpu else _PROCESS_BYTES,
            )
        )
    return MemoryBreakdown(per_device=tuple(devices))


def _without_caches(plan: LayerPlan, backend: str) -> MemoryBreakdown:
    return MemoryBreakdown(
        per_device=tuple(
            DeviceMemory(
                device=name,
                weights_bytes=plan.weights[name],
                kv_cache_bytes=None,
                recurrent_state_bytes=None,
                compute_bytes=None,
                runtime_bytes=_RUNTIME_BYTES.get(backend, 0) if name != "cpu" else _PROCESS_BYTES,
            )
            for name in plan.devices
        )
    )


def _repack(plan: LayerPlan, name: str, extra_bufts: bool) -> ByteRange:
    if not extra_bufts or name != "cpu":
        return ByteRange()
    growth = plan.weights[name] // 50
    return ByteRange(low=0, value=growth, high=2 * growth)


def max_context(
    spec: ModelSpec,
    weights: WeightBytes,
    request: Request,
    split: LayerSplit,
    capacity_bytes: dict[str, int],
    *,
    backend: str,
    extra_bufts: bool = False,
    ceiling: int | None = None,
) -> int | None:
    """The longest context of one conversation that fits, in steps of 256; 0: none, None: unknown.

    Args:
        capacity_bytes: what each device of the placement may give, by its name.
        ceiling: never answer more (default: the trained length).
    """
    top = ceiling or spec.max_context or 131072

    def fits(context: int) -> bool | None:
        layout = lay_out(
            spec,
            weights,
            _with_context(request, context),
            split,
            backend=backend,
            extra_bufts=extra_bufts,
        )
        for device in layout.per_device:
            total = device.total_bytes
            if total is None:
                return None
            if total > capacity_bytes.get(device.device, 0):
                return False
        return True

    answer = fits(top)
    if answer is None:
        return None
    if answer:
        return top
    low, high = 0, -(-top // 256)
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle * 256):
            low = middle
        else:
            high = middle
    return low * 256


def _with_context(request: Request, context: int) -> Request:
    return msgspec.structs.replace(request, context=context)


def refuses_cache_types(spec: ModelSpec, request: Request) -> bool:
    """Whether llama.cpp would refuse to create the context for these cache types."""
    try:
        h = hparams_of(spec)
    except NotModeledError:
        return False
    quantized = request.kv_type_v not in ("f16", "f32", "bf16")
    if quantized and request.flash_attention is False:
        return True
    return not fits_blocks(h, request.kv_type_k, request.kv_type_v)
