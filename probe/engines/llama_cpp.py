"""How llama.cpp lays a model out in memory, device by device, and the longest context that fits."""

from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from probe.catalog.buffer_table import DIGITS, STORED_CONTEXTS, StoredBuffers, stored_buffers
from probe.catalog.model_spec import ModelSpec
from probe.engines.llama_cpp_repack import repack_bytes
from probe.engines.llama_cpp_runtime import runtime_band
from probe.engines.llama_cpp_split import LayerPlan, plan_layers
from probe.engines.request import LayerSplit, Request
from probe.estimate.breakdown import DeviceMemory, MemoryBreakdown
from probe.estimate.compute_buffer import (
    BroughtBytes,
    Buffers,
    Devices,
    batch_of,
    computed_buffers,
    device_buffer_bytes,
    output_buffer_bytes,
)
from probe.estimate.compute_graph.attention import KEYS, KEYS_AND_VALUES, VALUES
from probe.estimate.compute_graph.builder import Batch
from probe.estimate.compute_graph.offload import EXPERTS
from probe.estimate.gguf_metadata import gguf_metadata
from probe.estimate.kv_cache import CacheCells, cache_cells, fits_blocks, kv_bytes_per_layer, row_bytes
from probe.estimate.llama_hparams import Hparams, hparams_from_metadata
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.recurrent_state import state_bytes_per_layer
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights import gguf_tensor_bytes
from probe.machine.ranges import ByteRange

LOGICAL_BATCH: Final = 2048  # n_batch default, common/common.h
_HEAD_FIRST: Final = frozenset({"gemma3n", "gemma4"})  # src/models/gemma3n.cpp#L31, gemma4.cpp#L53
_OFFLOAD_ROWS: Final = 32  # op_offload_min_batch_size, ggml/src/ggml-cuda/ggml-cuda.cu

_PLAIN_TYPES: Final = frozenset({"f16", "f32", "bf16"})  # of caches: every head divides into them
_USUAL: Final = {context: Request(context=context) for context in STORED_CONTEXTS}

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


def prediction_layers(spec: ModelSpec) -> int:
    """Multi-token-prediction layers that the file holds behind the others, as far as known."""
    try:
        h = hparams_of(spec)
    except NotModeledError:
        return 0
    return h.layers_in_file - h.layers


class _Beside(NamedTuple):
    """What a request needs beside the weights: caches and states by layer, buffers by place."""

    caches: tuple[int, ...]
    states: tuple[int, ...]
    buffers: Buffers | StoredBuffers | None  # None: the architecture's graph is not modeled
    tokens: int  # of the batch
    output: int  # logits kept on the host
    brought_cache: tuple[int, int]
    prediction_layers: int


_usual_cache: dict[tuple[str, int], _Beside | None] = {}


def _beside(spec: ModelSpec, request: Request) -> _Beside:
    """From the catalog's table where it holds the request, else computed.

    Raises:
        NotModeledError: not in upstream llama.cpp, shapes missing, or a cache of its own kind.
    """
    usual = _usual(spec, request)
    if usual is not None:
        return usual
    h = hparams_of(spec)
    cells = cells_of(h, request)
    flash = uses_flash_attention(request)
    caches, states = _caches(h, cells, request.kv_type_k, request.kv_type_v, flash)
    batch = batch_of(
        cells,
        ubatch=request.ubatch,
        flash_attention=flash,
        type_k=request.kv_type_k,
        type_v=request.kv_type_v,
        outputs=request.outputs,
    )
    try:
        buffers = computed_buffers(spec, h, batch)
    except NotModeledError:
        buffers = None
    output = output_buffer_bytes(h, request.parallel)
    more = h.layers_in_file - h.layers
    return _Beside(caches, states, buffers, batch.tokens, output, brought_cache(h, batch), more)


def _usual(spec: ModelSpec, request: Request) -> _Beside | None:
    """The row of a catalog model, where nothing but a context that the table holds was asked."""
    if spec.origin != "catalog" or request != _USUAL.get(request.context):
        return None
    key = (spec.id, request.context)
    if key not in _usual_cache:
        stored = stored_buffers(request.context).get(spec.id)
        _usual_cache[key] = (
            None if stored is None else _unpacked(stored, min(request.ubatch, request.context))
        )
    return _usual_cache[key]


def _unpacked(stored: StoredBuffers, tokens: int) -> _Beside:
    kinds = dict(zip(DIGITS, stored.kinds, strict=False))
    caches, states = zip(*map(kinds.__getitem__, stored.cached), strict=True)
    return _Beside(
        caches, states, stored, tokens, stored.output, stored.brought_cache, stored.prediction_layers
    )


def _placement(plan: LayerPlan, layers: int, brought: BroughtBytes) -> Devices:
    """The plan in numbers: GPUs in order, the CPU last."""
    numbers = {name: index for index, name in enumerate((*plan.devices[1:], "cpu"))}
    with_layers = frozenset(numbers[name] for name in set(plan.device_of_layer[:layers]))
    gpus = len(numbers) - 1
    # llama_context, src/llama-context.cpp#L440: every layer on several GPUs, no tensor moved by hand
    pipeline = gpus > 1 and not plan.keeps_layers_on_host
    place, ranges, first = plan.device_of_layer, [], 0
    for name in plan.devices[1:] if pipeline else ():  # every layer is on a GPU, in the GPUs' order
        ranges.append((first, first + place.count(name)))
        first = ranges[-1][1]
    return Devices(len(numbers), with_layers, numbers[plan.output_device], brought, pipeline, tuple(ranges))


def _compute(
    spec: ModelSpec, weights: WeightBytes, plan: LayerPlan, beside: _Beside
) -> dict[str, int] | None:
    """Compute buffer of each device, or None where the architecture's graph is not modeled."""
    if beside.buffers is None:
        return None
    try:
        if len(plan.devices) == 1:
            return {"cpu": beside.buffers.cpu}
        brought: BroughtBytes = ()
        if plan.keeps_layers_on_host and beside.tokens >= _OFFLOAD_ROWS:
            experts_only = "cpu" not in plan.device_of_layer
            brought = _brought(_tensor_sizes(spec, weights), beside.brought_cache, experts_only)
        found = device_buffer_bytes(beside.buffers, _placement(plan, len(beside.caches), brought))
    except NotModeledError:
        return None
    return dict(zip((*plan.devices[1:], "cpu"), found, strict=True))


@lru_cache(maxsize=4096)
def _brought(sizes: tuple[tuple[str, int], ...], cache: tuple[int, int], experts_only: bool) -> BroughtBytes:
    """What layers in host memory read: their weights and cache, or only routed experts."""
    read = tuple((name.removesuffix(".weight"), size) for name, size in sizes)
    if experts_only:
        return ((EXPERTS, max((size for name, size in read if name.endswith(EXPERTS)), default=0)),)
    keys, values = cache
    return (*read, (KEYS, keys), (VALUES, values), (KEYS_AND_VALUES, keys + values))


def brought_cache(h: Hparams, batch: Batch) -> tuple[int, int]:
    """Keys and values of the widest layer without a window: what is fetched from host memory at once."""
    room = batch.cells.full * batch.cells.streams
    widest = (0, 0)
    for layer, cached in enumerate(h.cached):
        if cached and not h.sliding[layer]:
            keys, values = h.kv_heads[layer] * h.key_size[layer], h.kv_heads[layer] * h.value_size[layer]
            width = (row_bytes(batch.type_k, keys), 0 if h.mla else row_bytes(batch.type_v, values))
            widest = max(widest, width)
    return room * widest[0], room * widest[1]


def _tensor_sizes(spec: ModelSpec, weights: WeightBytes) -> tuple[tuple[str, int], ...]:
    """Bytes of a tensor of each name."""
    if spec.origin == "gguf" and spec.stored_tensors is not None:
        found: dict[str, int] = {}
        for tensor in spec.stored_tensors:
            name = tensor.name.split(".", 2)[2] if tensor.name.startswith("blk.") else tensor.name
            found[name] = max(found.get(name, 0), tensor.size_bytes)
        return tuple(found.items())
    return gguf_tensor_bytes(spec, weights.quantization)


@lru_cache(maxsize=4096)
def _caches(
    h: Hparams, cells: CacheCells, type_k: str, type_v: str, flash: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Keys and values, and recurrent states, of each layer."""
    return (
        kv_bytes_per_layer(h, cells, type_k=type_k, type_v=type_v, flash_attention=flash),
        state_bytes_per_layer(h, cells.sequences),
    )


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

    On the CPU alone every part is what the engine reports, to the byte. With GPUs the
    compute buffers follow the engine's scheduler on a device that supports every operation;
    checked against that scheduler with simulated devices, not on real ones. Cache and
    compute figures are None where the architecture is not modeled; the weights are exact
    all the same.

    Args:
        backend: cuda, rocm, vulkan, sycl, metal or cpu.
        extra_bufts: the CPU part of the weights is rearranged for the processor.
    """
    head_first = spec.architecture in _HEAD_FIRST
    beside: _Beside | None
    try:
        beside = _beside(spec, request)
        ahead = beside.prediction_layers
    except NotModeledError:
        beside, ahead = None, prediction_layers(spec)
    plan = plan_layers(weights, split, prediction_layers=ahead, head_first=head_first)
    repack = repack_bytes(spec, weights, plan, head_first=head_first) if extra_bufts else ByteRange()
    if beside is not None and len(beside.caches) > len(plan.device_of_layer):
        beside = None  # layers run more than once (HRM-Text): the caches of the later rounds have no place
    if beside is None:
        return MemoryBreakdown(
            per_device=tuple(
                DeviceMemory(
                    device=name,
                    weights_bytes=plan.weights[name],
                    kv_cache_bytes=None,
                    recurrent_state_bytes=None,
                    compute_bytes=None,
                    repack_bytes=repack if name == "cpu" else ByteRange(),
                    runtime_bytes=runtime_band(backend if name != "cpu" else "cpu").value,
                )
                for name in plan.devices
            )
        )
    caches, states = dict.fromkeys(plan.devices, 0), dict.fromkeys(plan.devices, 0)
    for name in set(plan.device_of_layer):  # the layers of a device lie together
        first = plan.device_of_layer.index(name)
        own = slice(first, first + plan.device_of_layer.count(name))
        caches[name], states[name] = sum(beside.caches[own]), sum(beside.states[own])
    compute = _compute(spec, weights, plan, beside)
    return MemoryBreakdown(
        per_device=tuple(
            DeviceMemory(
                device=name,
                weights_bytes=plan.weights[name],
                kv_cache_bytes=caches[name],
                recurrent_state_bytes=states[name],
                compute_bytes=None
                if compute is None
                else compute[name] + (beside.output if name == "cpu" else 0),
                repack_bytes=repack if name == "cpu" else ByteRange(),
                runtime_bytes=runtime_band(backend if name != "cpu" else "cpu").value,
            )
            for name in plan.devices
        )
    )


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
    quantized = request.kv_type_v not in _PLAIN_TYPES
    if not quantized and request.kv_type_k in _PLAIN_TYPES:
        return False
    try:
        h = hparams_of(spec)
    except NotModeledError:
        return False
    if quantized and request.flash_attention is False:
        return True
    return not fits_blocks(h, request.kv_type_k, request.kv_type_v)
