"""Hugging Face Transformers: weights as stored, a cache that grows, the whole prompt at once.

    device = weights + cache + buffers of the longest prompt + CUDA context

`device_map="auto"` spreads whole layers evenly over the GPUs; without a GPU, or when they
do not hold the model, everything is computed on the CPU.

Source: transformers 5.23.0, cache_utils.py#L104 (DynamicLayer: torch.cat of the old and
new keys, then values), generation/utils.py (logits of the last token only, in float32);
accelerate 1.15.0, utils/modeling.py#L1011 (get_balanced_memory). Buffers:
scripts/measure_transformers_memory.py, recorded in tests/truth/transformers_measured.json.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from probe.catalog.engine_memory import engine_memory_rules
from probe.catalog.model_spec import Dimensions, ModelSpec
from probe.engines.checkpoints import checkpoint_argument
from probe.engines.engine_answer import EngineAnswer
from probe.engines.engine_devices import EngineDevices, EngineGpu
from probe.engines.request import Request
from probe.engines.torch_cache import CacheShape, cache_shape
from probe.engines.vllm_plan import is_multimodal
from probe.estimate.breakdown import DeviceMemory, MemoryBreakdown
from probe.estimate.weight_bytes import WeightBytes
from probe.machine.ranges import ByteRange
from probe.messages.reason import Reason

ENGINE: Final = "transformers"
FORMATS: Final = ("bf16", "bnb-int8", "bnb-nf4")
# formats it loads, with the oldest NVIDIA GPU (docs/source/en/quantization/overview.md; bitsandbytes 0.50)
LOADS: Final = {
    "bf16": (3, 7), "fp16": (3, 7), "fp32": (3, 7), "bnb-nf4": (6, 0), "bnb-nf4-double": (6, 0),
    "bnb-int8": (7, 5), "gptq-int4": (6, 0), "gptq-int8": (6, 0), "awq": (7, 5), "w4a16": (7, 5),
    "int8": (7, 5), "fp8": (8, 9), "fp8-block": (8, 9), "mxfp4": (7, 5),
}  # fmt: skip
ON_CPU: Final = ("bf16", "fp16", "fp32", "bnb-nf4", "bnb-nf4-double", "bnb-int8")
NOT_MODELED: Final = (
    "fragments",
    "eager_attention",
    "static_cache",
    "loading_peak",
    "states",
    "mxfp4_unpacked",
)
_BASE_BYTES: Final = 20 * 1024**2  # buffers of any pass, however short the prompt
_HIDDEN_BYTES: Final = 24  # a prompt token and hidden value: six copies in 16 bits, three in float32
_WIDE_BYTES: Final = 6  # a prompt token and feed-forward value: gate, up and product in 16 bits
_LOGIT_BYTES: Final = 6  # a vocabulary entry: 16 bits and float32
_INT8_SHARE: Final = (
    0.05  # of the weights, what LLM.int8 may keep beside them (tests/truth/engine_cases.toml)
)


def buffer_bytes(d: Dimensions, prompt_tokens: int, conversations: int) -> ByteRange:
    """Buffers of one forward pass over a whole prompt; the low end is a prompt of 2,000 tokens.

    With SDPA attention, which keeps no matrix of prompt x prompt.
    """
    width = d.intermediate_size if not d.num_experts else (d.moe_intermediate_size or 0)
    wide = width * (d.experts_per_token or 1)
    a_token = _HIDDEN_BYTES * d.hidden_size + _WIDE_BYTES * wide
    fixed = _BASE_BYTES + conversations * d.vocab_size * _LOGIT_BYTES
    value = fixed + conversations * prompt_tokens * a_token
    low = fixed + conversations * min(prompt_tokens, 2000) * a_token
    return ByteRange(low=round(low * 0.7), value=value, high=round(value * 1.4))


def cat_bytes(shape: CacheShape, tokens: int, layers: int, conversations: int) -> int:
    """What torch.cat holds twice for a moment: the keys of one layer."""
    return shape.attention_bytes(tokens) * conversations // max(layers, 1) // 2


def kept_shape(spec: ModelSpec) -> CacheShape | None:
    """What one conversation keeps: of a windowed layer one token less than its window.

    Source: transformers 5.23.0, cache_utils.py (DynamicSlidingWindowLayer).
    """
    shape = cache_shape(spec)
    if shape is None:
        return None
    windows = tuple((window - 1, size) for window, size in shape.windows)
    return msgspec.structs.replace(shape, windows=windows)


def loaded_bytes(spec: ModelSpec, weights: WeightBytes) -> int:
    """All tensors a model class holds; a tied head is the input table itself."""
    return weights.loaded_bytes + (weights.vision_bytes if is_multimodal(spec) else 0)


def place(
    spec: ModelSpec, weights: WeightBytes, request: Request, devices: EngineDevices
) -> EngineAnswer | None:
    """One GPU where it fits, else all of one kind in turn, else the CPU. None: shapes are not known."""
    if spec.dimensions is None:
        return None
    tried: list[EngineAnswer] = []
    groups: list[tuple[EngineGpu, ...]] = [(gpu,) for gpu in devices.gpus]
    kinds = dict.fromkeys(gpu.backend for gpu in devices.gpus)
    groups += [
        group for kind in kinds if len(group := tuple(g for g in devices.gpus if g.backend == kind)) > 1
    ]
    for group in groups:
        if not _runs_on(weights.quantization, group):
            continue
        answer = _on_gpus(spec, weights, request, group)
        if answer.fits is not False:
            return answer
        tried.append(answer)
    if weights.quantization in ON_CPU and (devices.ram_bytes is not None or not tried):
        on_cpu = _on_cpu(spec, weights, request, devices)
        if on_cpu.fits is not False:
            return msgspec.structs.replace(on_cpu, causes=(*_why_not_on_gpus(tried), *on_cpu.causes))
        tried.append(on_cpu)
    return max(tried, key=lambda answer: answer.pool_bytes or 0) if tried else None


def _why_not_on_gpus(tried: list[EngineAnswer]) -> tuple[Reason, ...]:
    """What the GPUs lack, and how long a context they would hold."""
    if not tried:
        return ()
    nearest = max(tried, key=lambda answer: answer.pool_bytes or 0)
    short = tuple(cause for cause in nearest.causes if cause.code == "engines.transformers.gpu_short")
    if not nearest.max_context:
        return short
    return (*short, Reason(code="engines.transformers.gpus_hold", values={"context": nearest.max_context}))


def _runs_on(quantization: str, gpus: tuple[EngineGpu, ...]) -> bool:
    least = LOADS.get(quantization, (99, 0))
    return all(gpu.capability is None or gpu.capability >= least for gpu in gpus)


def _on_gpus(
    spec: ModelSpec, weights: WeightBytes, request: Request, gpus: tuple[EngineGpu, ...]
) -> EngineAnswer:
    """Whole layers, as many on every GPU as on the others where the smallest one can hold them."""
    outside = engine_memory_rules().transformers.outside.bytes
    count = len(gpus)
    limits = [_weights_limit(gpu, weights.quantization, count) for gpu in gpus]
    parts = _parts(gpus, limits, loaded_bytes(spec, weights))
    places = [(gpu.device, part, outside) for gpu, part in zip(gpus, parts, strict=True)]
    memory, band, need = _memory(spec, weights, request, places)
    filled = tuple(
        msgspec.structs.replace(device, available_bytes=gpu.total_bytes, free_bytes=gpu.free_bytes)
        for device, gpu in zip(memory.per_device, gpus, strict=True)
    )

    def holds(found: MemoryBreakdown) -> bool:
        return all(
            device.weights_bytes <= limit and (device.total_bytes or 0) <= gpu.total_bytes
            for device, gpu, limit in zip(found.per_device, gpus, limits, strict=True)
        )

    pool = sum(gpu.total_bytes for gpu in gpus)
    fits = holds(memory) if need is not None else None
    if need is None and loaded_bytes(spec, weights) > sum(limits):
        fits = False
    return EngineAnswer(
        devices=tuple(gpu.device for gpu in gpus),
        split="layer" if count > 1 else "none",
        stages=count,
        unified=any(gpu.in_ram for gpu in gpus),
        memory=MemoryBreakdown(per_device=filled),
        memory_range=band,
        kv_type="bf16",
        fits=fits,
        fits_now=_fits_now(filled) if fits else fits,
        left_bytes=None if need is None else max(0, pool - need),
        pool_bytes=pool,
        max_context=_longest(spec, weights, request, places, holds),
        causes=_causes(spec, weights, request, need=need, pool=pool, fits=fits, where="gpu"),
        command=command(spec, weights.quantization, "auto") if fits else None,
    )


def _weights_limit(gpu: EngineGpu, quantization: str, count: int) -> int:
    """What device_map=auto puts on a GPU: nine tenths of a lone one, and of any with bitsandbytes."""
    share = engine_memory_rules().transformers.max_memory_share
    alone = share if count == 1 else 1.0
    return int(gpu.total_bytes * alone * (share if quantization.startswith("bnb") else 1.0))


def _parts(gpus: tuple[EngineGpu, ...], limits: list[int], weight: int) -> list[float]:
    """Equal parts; in proportion to memory where the smallest GPU cannot hold its equal part."""
    if weight / len(gpus) <= min(limits):
        return [1 / len(gpus)] * len(gpus)
    whole = sum(limits)
    return [limit / whole for limit in limits]


def _fits_now(devices: tuple[DeviceMemory, ...]) -> bool | None:
    if any(device.free_bytes is None or device.total_bytes is None for device in devices):
        return None
    return all((device.total_bytes or 0) <= (device.free_bytes or 0) for device in devices)


def _on_cpu(spec: ModelSpec, weights: WeightBytes, request: Request, devices: EngineDevices) -> EngineAnswer:
    process = engine_memory_rules().transformers.process.bytes
    places = [("cpu", 1.0, process)]
    memory, band, need = _memory(spec, weights, request, places)
    pool = devices.ram_bytes
    filled = tuple(
        msgspec.structs.replace(device, available_bytes=pool, free_bytes=devices.ram_free_bytes)
        for device in memory.per_device
    )

    def holds(found: MemoryBreakdown) -> bool:
        return pool is not None and (found.total_bytes or 0) <= pool

    fits = None if need is None or pool is None else holds(memory)
    if need is None and pool is not None and loaded_bytes(spec, weights) > pool:
        fits = False
    return EngineAnswer(
        devices=("cpu",),
        memory=MemoryBreakdown(per_device=filled),
        memory_range=band,
        kv_type="bf16",
        fits=fits,
        fits_now=_fits_now(filled) if fits else fits,
        left_bytes=None if need is None or pool is None else max(0, pool - need),
        pool_bytes=pool,
        max_context=None if pool is None else _longest(spec, weights, request, places, holds),
        causes=_causes(spec, weights, request, need=need, pool=pool, fits=fits, where="cpu"),
        command=command(spec, weights.quantization, "cpu") if fits else None,
    )


def _memory(
    spec: ModelSpec, weights: WeightBytes, request: Request, places: list[tuple[str, float, ByteRange]]
) -> tuple[MemoryBreakdown, ByteRange | None, int | None]:
    """Memory on each place in its proportion, the ends of the total, and the total; None: cache not known."""
    d = spec.dimensions or Dimensions(hidden_size=0, num_hidden_layers=1, vocab_size=0)
    length = min(request.context, spec.max_context) if spec.max_context else request.context
    shape = kept_shape(spec)
    buffers = buffer_bytes(d, length, request.parallel)
    weight, layers = loaded_bytes(spec, weights), len(weights.layers)
    cache = states = twice = None
    if shape is not None:
        cache = shape.attention_bytes(length) * request.parallel
        states = shape.state_bytes * request.parallel
        twice = cat_bytes(shape, length, layers, request.parallel)
    memory = MemoryBreakdown(
        per_device=tuple(
            DeviceMemory(
                device=name,
                weights_bytes=round(weight * part),
                kv_cache_bytes=None if cache is None else round(cache * part),
                recurrent_state_bytes=None if states is None else round(states * part),
                compute_bytes=None if twice is None else buffers.value + twice,
                runtime_bytes=runtime.value,
            )
            for name, part, runtime in places
        )
    )
    total = memory.total_bytes
    if total is None or cache is None:
        return memory, None, None
    low = sum(buffers.value - buffers.low + runtime.value - runtime.low for _, _, runtime in places)
    high = sum(buffers.high - buffers.value + runtime.high - runtime.value for _, _, runtime in places)
    # the allocator may keep the cache's earlier, shorter tensors beside it
    high += cache + (round(_INT8_SHARE * weight) if weights.quantization == "bnb-int8" else 0)
    return memory, ByteRange(low=total - low, value=total, high=total + high), total


def _longest(
    spec: ModelSpec,
    weights: WeightBytes,
    request: Request,
    places: list[tuple[str, float, ByteRange]],
    holds: Callable[[MemoryBreakdown], bool],
) -> int | None:
    """The longest context whose cache and whole prompt these places hold."""
    if kept_shape(spec) is None:
        return None

    def fits(tokens: int) -> bool:
        asked = msgspec.structs.replace(request, context=tokens)
        return holds(_memory(spec, weights, asked, places)[0])

    ceiling = spec.max_context or 1_048_576
    if fits(ceiling):
        return ceiling
    low, high = 0, ceiling // 64
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle * 64):
            low = middle
        else:
            high = middle - 1
    return low * 64


def _causes(
    spec: ModelSpec,
    weights: WeightBytes,
    request: Request,
    *,
    need: int | None,
    pool: int | None,
    fits: bool | None,
    where: str,
) -> tuple[Reason, ...]:
    causes = []
    length = min(request.context, spec.max_context) if spec.max_context else request.context
    if length < request.context:
        values = {"context": request.context, "trained": length}
        causes.append(Reason(code="engines.context_cut", values={**values}))
    if fits is False:
        values = {"need_bytes": need or loaded_bytes(spec, weights), "room_bytes": pool or 0}
        causes.append(Reason(code=f"engines.transformers.{where}_short", values={**values}))
    elif pool is None:
        needed = need or loaded_bytes(spec, weights)
        causes.append(Reason(code="verdict.no_memory_known", values={"need_bytes": needed}))
    elif fits is None:
        causes.append(Reason(code="engines.cache_unknown"))
    causes.append(Reason(code="engines.transformers.whole_prompt", values={"context": length}))
    return tuple(causes)


def command(spec: ModelSpec, quantization: str, device_map: str) -> str:
    """A line of Python that loads what was computed, quoted as cmd.exe, PowerShell and sh take it."""
    model, is_stored = checkpoint_argument(spec, quantization)
    options = [f"'{model}'", f"device_map='{device_map}'"]
    names = "AutoModelForCausalLM"
    if quantization.startswith("bnb") and not is_stored:
        width = (
            "load_in_8bit=True"
            if quantization == "bnb-int8"
            else "load_in_4bit=True, bnb_4bit_quant_type='nf4'"
        )
        if quantization == "bnb-nf4-double":
            width += ", bnb_4bit_use_double_quant=True"
        names += ", BitsAndBytesConfig"
        options.append(f"quantization_config=BitsAndBytesConfig({width})")
    else:
        options.append("dtype='auto'")
    return (
        f'python -c "from transformers import {names}; '
        f'model = AutoModelForCausalLM.from_pretrained({", ".join(options)})"'
    )
