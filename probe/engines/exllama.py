"""ExLlamaV3 and ExLlamaV2 on NVIDIA GPUs: bits a weight, a paged cache, layers filled device after device.

    on the GPUs = layers + head + cache + buffers of one chunk; the input table stays in RAM
    a device    = filled until `reserve` is left (0.5 GiB; ExLlamaV2 192 and 64 MiB)

Source: turboderp-org/exllamav3 at 4f8ad012 (model/model_ls.py _load_autosplit,
cache/quant.py, modules/embedding.py "prefer_cpu", modules/quant/exl3.py) and
turboderp-org/exllamav2 at da07facd (model.py load_autosplit_gen, cache.py).
"""

from typing import Final

from probe.catalog.engine_memory import ExllamaRules, engine_memory_rules
from probe.catalog.model_spec import Dimensions, ModelSpec
from probe.engines.engine_answer import EngineAnswer
from probe.engines.engine_devices import EngineDevices, EngineGpu
from probe.engines.request import Request
from probe.engines.torch_cache import CacheShape, cache_shape
from probe.engines.vllm_layers import architecture_of
from probe.estimate.breakdown import DeviceMemory, MemoryBreakdown
from probe.estimate.weight_bytes import WeightBytes
from probe.machine.ranges import ByteRange
from probe.messages.reason import Reason

V3: Final = "exllamav3"
V2: Final = "exllamav2"
FORMATS_V3: Final = ("exl3-6.0bpw", "exl3-5.0bpw", "exl3-4.0bpw", "exl3-3.0bpw")
FORMATS_V2: Final = ("exl2-6.0bpw", "exl2-5.0bpw", "exl2-4.0bpw", "exl2-3.0bpw")
LEAST_CAPABILITY: Final = (8, 0)  # V3: device classes start at Ampere (exl3_devctx.cu); V2: see refusals
LEAST_CAPABILITY_V2: Final = (6, 0)  # wheels up to CUDA 12; paged attention needs flash-attn, 8.0
NOT_MODELED: Final = ("tensor_parallel", "cpu_experts", "vision_activations", "speculation", "lora", "paging")
# bits a cached value by the asked type; ExLlama's names are FP16, Q8, Q6, Q4
_CACHE_BITS: Final = {
    "f16": 16, "bf16": 16, "q8_0": 8, "fp8": 8, "q5_1": 6, "q5_0": 6, "q4_1": 4, "q4_0": 4, "iq4_nl": 4,
}  # fmt: skip
_RING: Final = ("Gemma4", "GptOss", "Laguna", "Step3p5")  # SlidingAttention; others keep every token
_ROW_BYTES: Final = 12  # a chunk's hidden state: residual in float32, input and output of a block


def rules_of(engine: str) -> ExllamaRules:
    """The rules of ExLlamaV3 or V2."""
    known = engine_memory_rules()
    return known.exllamav3 if engine == V3 else known.exllamav2


def cache_bits(request: Request) -> int:
    """Bits of a cached value: 16 unless a narrower type is asked."""
    return _CACHE_BITS.get(request.kv_type_k, 16)


def cache_name(bits: int) -> str:
    """ExLlama's name of a cache mode."""
    return "FP16" if bits == 16 else f"Q{bits}"


def pool_shape(spec: ModelSpec, engine: str, bits: int) -> CacheShape | None:
    """What one conversation caches; quantized values carry one 16-bit scale a 32 of them."""
    shape = cache_shape(spec, dtype="float16")
    if shape is None:
        return None
    if not (engine == V3 and (architecture_of(spec) or "").startswith(_RING)):
        everything = shape.token_bytes + sum(size for _, size in shape.windows)
        shape = CacheShape(token_bytes=everything, state_bytes=shape.state_bytes)
    if bits == 16:
        return shape
    per_value = bits / 8 + rules_of(engine).scale_bytes / 32
    return shape.scaled(per_value / 2)


def buffer_bytes(d: Dimensions, weights: WeightBytes, engine: str) -> ByteRange:
    """Buffers of one chunk: hidden states, the feed-forward width, one matrix in 16 bits, logits."""
    rules = rules_of(engine)
    width = d.intermediate_size if not d.num_experts else (d.moe_intermediate_size or 0)
    wide = 3 * 2 * width * (d.experts_per_token or 1)
    chunk = rules.chunk_tokens * (_ROW_BYTES * d.hidden_size + wide)
    matrix = 2 * d.hidden_size * max(width, d.hidden_size) if weights.quantization.startswith("exl") else 0
    logits = min(rules.output_rows, 32) * d.vocab_size * 4
    value = chunk + matrix + logits
    return ByteRange(low=value // 2, value=value, high=value * 2)


def place(
    spec: ModelSpec, weights: WeightBytes, request: Request, devices: EngineDevices, *, engine: str = V3
) -> EngineAnswer | None:
    """On one GPU where it fits, else layer by layer over several; None: no GPU, no shapes."""
    gpus = devices.nvidia
    if spec.dimensions is None or not gpus:
        return None
    ram = devices.ram_bytes
    one = [_over(spec, weights, request, (gpu,), engine=engine, ram_bytes=ram) for gpu in gpus]
    chosen = next((answer for answer in one if answer.fits is not False), None)
    if chosen is not None or len(gpus) == 1:
        return chosen or one[0]
    return _over(spec, weights, request, gpus, engine=engine, ram_bytes=ram)


def _over(
    spec: ModelSpec,
    weights: WeightBytes,
    request: Request,
    gpus: tuple[EngineGpu, ...],
    *,
    engine: str,
    ram_bytes: int | None,
) -> EngineAnswer:
    d = spec.dimensions or Dimensions(hidden_size=0, num_hidden_layers=0, vocab_size=0)
    rules, bits = rules_of(engine), cache_bits(request)
    shape = pool_shape(spec, engine, bits)
    buffers, outside = buffer_bytes(d, weights, engine), rules.outside.bytes
    length = min(request.context, spec.max_context) if spec.max_context else request.context
    rooms = [
        gpu.total_bytes
        - outside.value
        - buffers.value
        - (rules.reserve_bytes if index == 0 else rules.second_reserve_bytes)
        for index, gpu in enumerate(gpus)
    ]
    sizes = (*weights.layers, _head_bytes(weights))
    filled, used = _fill(
        sizes, rooms, _per_layer(shape, length, request.parallel, rules, len(weights.layers))
    )
    fits = None if filled and shape is None else filled
    memory = _memory(
        gpus,
        weights,
        shape,
        used,
        length=length,
        parallel=request.parallel,
        rules=rules,
        buffers=buffers,
        ram_bytes=ram_bytes,
    )
    left = sum(room - taken for room, (taken, _, _) in zip(rooms, used, strict=True))
    return EngineAnswer(
        devices=tuple(gpu.device for gpu in gpus),
        split="layer" if len(gpus) > 1 else "none",
        stages=len(gpus),
        unified=any(gpu.in_ram for gpu in gpus),
        memory=memory,
        memory_range=_range(memory, buffers, outside, len(gpus)),
        kv_type=cache_name(bits),
        fits=fits,
        fits_now=_fits_now(memory, gpus) if fits else fits,
        left_bytes=max(0, left),
        pool_bytes=sum(gpu.total_bytes for gpu in gpus),
        max_context=_longest(spec, weights, shape, rooms=rooms, sizes=sizes, request=request, rules=rules),
        causes=_causes(spec, request, rooms, sizes, filled=filled, known=shape is not None, engine=engine),
        command=command(spec, weights.quantization, request, len(gpus), length=length) if fits else None,
    )


def _head_bytes(weights: WeightBytes) -> int:
    """The head on the GPU; a tied one is a second copy (EXL formats store it quantized)."""
    tied = weights.token_embedding_bytes if weights.output_is_tied else 0
    return weights.output_bytes + tied


def _per_layer(
    shape: CacheShape | None, length: int, parallel: int, rules: ExllamaRules, layers: int
) -> float:
    """Cache and states of one layer, as if all layers kept the same."""
    if shape is None:
        return 0.0
    whole = shape.attention_bytes(length * parallel, page=rules.page_tokens) + shape.state_bytes * parallel
    return whole / layers


def _fill(
    sizes: tuple[int, ...], rooms: list[int], per_layer: float
) -> tuple[bool, list[tuple[int, int, int]]]:
    """Layers and head onto the devices in order: (bytes, weights, layers) of each; False: they run out."""
    used = [(0, 0, 0) for _ in rooms]
    device = 0
    for index, size in enumerate(sizes):
        cache = round(per_layer) if index < len(sizes) - 1 else 0
        while device < len(rooms) and used[device][0] + size + cache > rooms[device]:
            device += 1
        if device == len(rooms):
            total = sum(sizes)
            return False, [
                (total // len(rooms), total // len(rooms), len(sizes) // len(rooms)) for _ in rooms
            ]
        taken, weight, count = used[device]
        used[device] = (taken + size + cache, weight + size, count + (index < len(sizes) - 1))
    return True, used


def _memory(
    gpus: tuple[EngineGpu, ...],
    weights: WeightBytes,
    shape: CacheShape | None,
    used: list[tuple[int, int, int]],
    *,
    length: int,
    parallel: int,
    rules: ExllamaRules,
    buffers: ByteRange,
    ram_bytes: int | None,
) -> MemoryBreakdown:
    layers = len(weights.layers)
    cache = states = None
    if shape is not None:
        cache = shape.attention_bytes(length * parallel, page=rules.page_tokens)
        states = shape.state_bytes * parallel
    on_gpus = [
        DeviceMemory(
            device=gpu.device,
            weights_bytes=weight,
            kv_cache_bytes=None if cache is None else round(cache * count / layers),
            recurrent_state_bytes=None if states is None else round(states * count / layers),
            compute_bytes=buffers.value,
            runtime_bytes=rules.outside.value_bytes,
            available_bytes=gpu.total_bytes,
            free_bytes=gpu.free_bytes,
        )
        for gpu, (_, weight, count) in zip(gpus, used, strict=True)
    ]
    table = DeviceMemory(device="cpu", weights_bytes=weights.token_embedding_bytes, available_bytes=ram_bytes)
    return MemoryBreakdown(per_device=(*on_gpus, table))


def _range(memory: MemoryBreakdown, buffers: ByteRange, outside: ByteRange, count: int) -> ByteRange | None:
    total = memory.total_bytes
    if total is None:
        return None
    return ByteRange(
        low=total - count * (buffers.value - buffers.low + outside.value - outside.low),
        value=total,
        high=total + count * (buffers.high - buffers.value + outside.high - outside.value),
    )


def _fits_now(memory: MemoryBreakdown, gpus: tuple[EngineGpu, ...]) -> bool | None:
    by_name = {device.device: device.total_bytes or 0 for device in memory.per_device}
    if any(gpu.free_bytes is None for gpu in gpus):
        return None
    return all(by_name[gpu.device] <= (gpu.free_bytes or 0) for gpu in gpus)


def _longest(
    spec: ModelSpec,
    weights: WeightBytes,
    shape: CacheShape | None,
    *,
    rooms: list[int],
    sizes: tuple[int, ...],
    request: Request,
    rules: ExllamaRules,
) -> int | None:
    if shape is None:
        return None
    low, high = 0, (spec.max_context or 1_048_576) // rules.page_tokens
    while low < high:
        middle = (low + high + 1) // 2
        cache = _per_layer(shape, middle * rules.page_tokens, request.parallel, rules, len(weights.layers))
        if _fill(sizes, rooms, cache)[0]:
            low = middle
        else:
            high = middle - 1
    return low * rules.page_tokens


def _causes(
    spec: ModelSpec,
    request: Request,
    rooms: list[int],
    sizes: tuple[int, ...],
    *,
    filled: bool,
    known: bool,
    engine: str,
) -> tuple[Reason, ...]:
    causes = []
    if spec.max_context and request.context > spec.max_context:
        values = {"context": request.context, "trained": spec.max_context}
        causes.append(Reason(code="engines.context_cut", values={**values}))
    if not filled:
        room = max(0, sum(rooms))
        code = "weights_short" if sum(sizes) > room else "cache_short"
        causes.append(
            Reason(
                code=f"engines.exllama.{code}",
                values={
                    "weights_bytes": sum(sizes),
                    "room_bytes": room,
                    "context": request.context,
                    "parallel": request.parallel,
                },
            )
        )
    elif not known:
        causes.append(Reason(code="engines.cache_unknown"))
    causes.append(
        Reason(code="engines.exllama.reserve", values={"reserve_bytes": rules_of(engine).reserve_bytes})
    )
    return tuple(causes)


def command(spec: ModelSpec, quantization: str, request: Request, gpus: int, *, length: int) -> str:
    """TabbyAPI's line, the server that ExLlama recommends; --cache-size counts all conversations.

    Source: theroyallab/tabbyAPI config_sample.yml and wiki "02. Server options" (options
    of config.yml as arguments), 2026-11-21.
    """
    folder = f"{spec.name}-{quantization}"
    words = ["python", "main.py", "--model-name", folder, "--max-seq-len", str(length)]
    words += ["--cache-size", str(length * request.parallel), "--cache-mode", cache_name(cache_bits(request))]
    if gpus > 1:
        words += ["--gpu-split-auto", "true"]
    return " ".join(words)
