"""What speculative decoding adds to llama.cpp's memory and command line.

A draft model is a second model in the same process: its weights, a cache of the same length and
number of sequences as the large one's in F16, its compute buffers with one output a
conversation (common_base_params_to_speculative, common/speculative.cpp#L2527, and
common_speculative_init_result, #L2593, llama.cpp b11434). It goes to the same devices in the
same proportions, all its layers with `--spec-draft-ngl all`.

Prediction layers of the large model itself (`--spec-type draft-mtp`) are loaded where their
layer lies; a second context on the same weights holds their cache alone (llama-model.cpp#L2667),
and a recurrent model keeps one more state a drafted token to go back to where the engine can
(n_rs_seq, common/common.h#L399, llama-memory-recurrent.cpp#L101).

Checked against the engine, its figures in tests/truth/llamacpp_drafts.csv: weights, caches,
states and a draft's compute buffers are equal to the byte on the CPU.
"""

from typing import Final

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.catalog.speculative import speculative_table
from probe.engines.llama_cpp import cells_of, hparams_of, lay_out, prediction_layers, uses_flash_attention
from probe.engines.llama_cpp_split import plan_layers
from probe.engines.request import LayerSplit, Request
from probe.estimate.breakdown import DeviceMemory, MemoryBreakdown
from probe.estimate.kv_cache import kv_bytes_per_layer
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.weight_bytes import WeightBytes

_CACHE: Final = "f16"  # --spec-draft-type-k, -v: the large model's types are not taken over


def draft_request(request: Request) -> Request:
    """What the engine makes of the large model's request for its draft."""
    return msgspec.structs.replace(
        request, kv_type_k=_CACHE, kv_type_v=_CACHE, outputs=request.parallel, swa_full=request.swa_full
    )


def draft_split(split: LayerSplit, layers: int) -> LayerSplit:
    """All layers of the draft on the devices of the large model, in the same proportions."""
    if not split.shares or not split.gpu_layers:
        return LayerSplit()
    return LayerSplit(gpu_layers=layers + 1, shares=split.shares)


def lay_out_draft(
    spec: ModelSpec, weights: WeightBytes, request: Request, split: LayerSplit, *, backend: str
) -> MemoryBreakdown:
    """Memory of the draft model beside the large one; the process and its runtime count once.

    Args:
        request, split: the large model's.
    """
    own = lay_out(
        spec,
        weights,
        draft_request(request),
        draft_split(split, len(weights.layers)),
        backend=backend,
    )
    return MemoryBreakdown(
        per_device=tuple(msgspec.structs.replace(device, runtime_bytes=0) for device in own.per_device)
    )


def runs_prediction(spec: ModelSpec, weights: WeightBytes) -> bool:
    """Whether a GGUF of this model brings prediction layers that the engine can run."""
    return weights.mtp_bytes > 0 and spec.architecture in speculative_table().llama_cpp.prediction


def lay_out_prediction(
    spec: ModelSpec, weights: WeightBytes, request: Request, split: LayerSplit, *, backend: str, tokens: int
) -> MemoryBreakdown:
    """What the model's own prediction layers add: their weights, cache, states and buffers.

    The compute buffer of their one-layer graph is not modeled: it is taken as large as the
    whole model's with one output a conversation, which is more.
    """
    layers = prediction_layers(spec)
    plan = plan_layers(weights, split, prediction_layers=layers)
    asked = draft_request(request)
    whole = lay_out(spec, weights, asked, split, backend=backend)
    bare = lay_out(spec, weights, request, split, backend=backend)
    try:
        h = hparams_of(spec)
        cells = cells_of(h, asked)
        sizes = kv_bytes_per_layer(
            h, cells, type_k=_CACHE, type_v=_CACHE, flash_attention=uses_flash_attention(asked)
        )
        windows = [size for size, sliding in zip(sizes, h.sliding, strict=False) if sliding and size]
        # MiMo's prediction layers look through a window; all others at the whole context.
        one = windows[0] if windows and spec.architecture == "mimo2" else max(sizes, default=0)
        cache: int | None = one * max(layers, 1)
    except NotModeledError:
        cache = None
    kept = tokens if spec.architecture in speculative_table().llama_cpp.rollback else 0
    added = []
    for device, original in zip(whole.per_device, bare.per_device, strict=True):
        here = device.device == plan.output_device
        states = original.recurrent_state_bytes
        added.append(
            DeviceMemory(
                device=device.device,
                weights_bytes=weights.mtp_bytes if here else 0,
                kv_cache_bytes=cache if here else 0,
                recurrent_state_bytes=None if states is None else states * kept,
                compute_bytes=device.compute_bytes,
            )
        )
    return MemoryBreakdown(per_device=tuple(added))


def beside(large: MemoryBreakdown, more: MemoryBreakdown) -> MemoryBreakdown:
    """Both in one process, device by device."""
    extra = {device.device: device for device in more.per_device}
    return MemoryBreakdown(
        per_device=tuple(_sum(device, extra.get(device.device)) for device in large.per_device)
    )


def without(both: MemoryBreakdown, more: MemoryBreakdown) -> MemoryBreakdown:
    """The large model's part of `both`: what `beside` added is taken off again."""
    extra = {device.device: device for device in more.per_device}
    left = []
    for device in both.per_device:
        taken = extra.get(device.device)
        if taken is None:
            left.append(device)
            continue
        cache, more_cache = device.kv_cache_bytes, taken.kv_cache_bytes
        left.append(
            msgspec.structs.replace(
                device,
                weights_bytes=device.weights_bytes - taken.weights_bytes,
                kv_cache_bytes=None if cache is None or more_cache is None else cache - more_cache,
            )
        )
    return MemoryBreakdown(per_device=tuple(left))


def _sum(one: DeviceMemory, other: DeviceMemory | None) -> DeviceMemory:
    if other is None:
        return one

    def both(first: int | None, second: int | None) -> int | None:
        return None if first is None or second is None else first + second

    return msgspec.structs.replace(
        one,
        weights_bytes=one.weights_bytes + other.weights_bytes,
        kv_cache_bytes=both(one.kv_cache_bytes, other.kv_cache_bytes),
        recurrent_state_bytes=both(one.recurrent_state_bytes, other.recurrent_state_bytes),
        compute_bytes=both(one.compute_bytes, other.compute_bytes),
        runtime_bytes=one.runtime_bytes + other.runtime_bytes,
    )


def draft_flags(model: str | None, tokens: int, *, on_gpu: bool) -> str:
    """What stands behind the llama-server command; `model` None: the model's own prediction layers.

    Source: common/arg.cpp#L3985 (-hfd), #L4150 (--spec-draft-n-max), #L4247 (--spec-draft-ngl),
    #L4266 (-md), #L4274 (--spec-type); --draft-max and --draft-min were removed (#L4412).
    """
    if model is None:
        return f"--spec-type draft-mtp --spec-draft-n-max {tokens}"
    flag = "-hfd" if "/" in model and not model.endswith(".gguf") else "-md"
    named = f'"{model}"' if " " in model else model
    layers = " --spec-draft-ngl all" if on_gpu else ""
    return f"{flag} {named} --spec-type draft-simple --spec-draft-n-max {tokens}{layers}"
