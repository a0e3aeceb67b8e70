"""SGLang on NVIDIA GPUs: what it keeps back, what is left for the cache, and the line that starts it.

    kept back  = 512 MiB + 1.5 MiB a token of a prefill chunk + graphs (memory_rules.toml)
    static     = (listed memory - kept back) / listed memory, three digits
    cache      = free when loading begins x static - weights

Source: sglang 0.5.23, srt/arg_groups/memory_hook.py#L51, srt/mem_cache/
kv_cache_configurator.py#L2990 (_profile_available_bytes), #L3229 (states),
srt/model_executor/pool_configurator.py#L801 (windows).
"""

from typing import Final, NamedTuple

from probe.catalog.engine_memory import engine_memory_rules
from probe.catalog.model_spec import ModelSpec
from probe.engines.checkpoints import checkpoint_argument
from probe.engines.engine_answer import EngineAnswer
from probe.engines.engine_devices import EngineDevices, EngineGpu
from probe.engines.request import Request
from probe.engines.torch_cache import CacheShape, cache_shape, longest_context
from probe.engines.vllm_layers import architecture_of
from probe.engines.vllm_plan import is_multimodal
from probe.engines.vllm_split import Parallel, parallels, stage_layers, weights_of_stages
from probe.estimate.breakdown import DeviceMemory, MemoryBreakdown
from probe.estimate.weight_bytes import WeightBytes
from probe.machine.ranges import ByteRange
from probe.messages.reason import Reason

ENGINE: Final = "sglang"
FORMATS: Final = ("bf16", "fp8", "awq")  # tried in this order where none is asked
LEAST_CAPABILITY: Final = (8, 0)  # code in the sglang-kernel wheel (catalogs/engines)
# formats it loads, with the capability their classes ask for (layers/quantization/*, get_min_capability)
LOADS: Final = {
    "bf16": (8, 0), "fp16": (8, 0), "fp8": (8, 0), "fp8-block": (8, 0), "mxfp8": (8, 0), "awq": (8, 0),
    "gptq-int4": (8, 0), "gptq-int8": (8, 0), "w4a16": (8, 0), "int8": (8, 0), "nvfp4": (8, 0),
    "mxfp4": (8, 0), "mxfp4-fp8": (8, 0), "int4-experts": (8, 0),
    "bnb-nf4": (8, 0), "bnb-nf4-double": (8, 0), "bnb-int8": (8, 0),
}  # fmt: skip
NOT_MODELED: Final = (
    "radix_cache", "speculation", "deepep", "hierarchical_cache", "vision_activations", "fragmentation",
)  # fmt: skip
_SWA_POOLS: Final = ("Llama4", "GptOss", "MiMoV2", "Step3p5", "Step3p7", "Gemma4", "Laguna", "Mellum")
_SWA_SHARE: Final = 0.8  # --swa-full-tokens-ratio (arg_groups/fields/schedule.py#L150)
_STATE_SHARE: Final = 0.9  # --mamba-full-memory-ratio (arg_groups/fields/schedule.py#L220)
_STATES_PER_REQUEST: Final = 5  # with the radix cache and overlap (kv_cache_configurator.py#L222, #L3062)
_PREFILL_SIZES: Final = (
    *range(4, 33, 4), *range(48, 257, 16), *range(288, 513, 32), *range(576, 1025, 64),
    *range(1280, 4097, 256),
)  # fmt: skip  # cuda_graph_hook.py#L480
_ON_LOAD: Final = {"bnb-nf4": "bitsandbytes", "bnb-nf4-double": "bitsandbytes", "bnb-int8": "bitsandbytes"}
_FP8_CACHES: Final = ("fp8", "fp8_e4m3", "fp8_e5m2", "q8_0")


class Defaults(NamedTuple):
    """What SGLang chooses by itself on a GPU of this size."""

    prefill_tokens: int
    graph_sequences: int
    reserve_bytes: int
    static_share: float


def defaults(
    gpu_bytes: int,
    *,
    tp: int = 1,
    pp: int = 1,
    latent: bool = False,
    prefill_graphs: bool = True,
    small: bool = False,
) -> Defaults:
    """chunked_prefill_size, the largest decode graph, what is kept back and --mem-fraction-static.

    Args:
        gpu_bytes: memory as nvidia-smi lists it.
        latent: the model keeps latent vectors (MLA).
        prefill_graphs: on by default on CUDA since 2026; off with pipeline parallelism.
        small: with the chunk and the graphs that SGLang takes on its smallest cards; the
            rest of the rule follows from them.
    """
    rules = engine_memory_rules().sglang
    row = rules.tier[0] if small else rules.tier_of(gpu_bytes)
    sequences = row.graph_sequences if tp < 4 else row.graph_sequences_wide
    kept = rules.least_reserve_bytes
    kept += max(row.prefill_tokens, rules.least_prefill_tokens) * rules.bytes_per_prefill_token
    kept += tp * pp * rules.bytes_per_parallel_gpu + sequences * rules.bytes_per_graph_sequence
    if prefill_graphs and pp == 1:
        sizes = _prefill_sizes(row.prefill_tokens)
        kept += rules.latent_prefill_graph_bytes if latent else sizes * rules.bytes_per_prefill_graph
    if gpu_bytes > rules.floor_above_bytes:
        kept = max(kept, rules.floor_bytes)
    return Defaults(row.prefill_tokens, sequences, kept, round((gpu_bytes - kept) / gpu_bytes, 3))


def _prefill_sizes(largest: int) -> int:
    return sum(size <= largest for size in (*_PREFILL_SIZES, *range(4608, largest + 1, 512)))


def kv_dtype_of(request: Request) -> str:
    """SGLang's name of the asked cache type."""
    return "fp8_e4m3" if request.kv_type_k in _FP8_CACHES else "auto"


def pool_shape(spec: ModelSpec, *, tp: int, fp8: bool) -> CacheShape | None:
    """What one conversation takes of SGLang's pools; None where the layout is not known.

    Some architectures have a pool of their own for windowed layers, 0.8 as many tokens
    as the full one; others keep every token there. States are float32, five a request.
    """
    shape = cache_shape(spec, tp=tp, fp8=fp8)
    states = cache_shape(spec, tp=tp, dtype="float32")
    if shape is None or states is None:
        return None
    share = _SWA_SHARE if (architecture_of(spec) or "").startswith(_SWA_POOLS) else 1.0
    windows = round(share * sum(size for _, size in shape.windows))
    return CacheShape(
        token_bytes=shape.token_bytes + windows, state_bytes=_STATES_PER_REQUEST * states.state_bytes
    )


def place(
    spec: ModelSpec, weights: WeightBytes, request: Request, devices: EngineDevices
) -> EngineAnswer | None:
    """The first split that fits, fewest GPUs first; else the one with most room. None: no GPU, no shapes.

    Where SGLang's own settings leave too little, smaller ones are tried before more GPUs.
    """
    gpus = devices.nvidia
    if spec.dimensions is None or not gpus:
        return None
    best: EngineAnswer | None = None
    for split in parallels(spec.dimensions, weights.quantization, len(gpus)):
        for small in (False, True):
            answer = _on(spec, weights, request, gpus[: split.gpus], split, small=small)
            if answer.fits is not False:
                return answer
            if best is None or (answer.pool_bytes or 0) > (best.pool_bytes or 0):
                best = answer
    return best


def _on(
    spec: ModelSpec,
    weights: WeightBytes,
    request: Request,
    gpus: tuple[EngineGpu, ...],
    split: Parallel,
    *,
    small: bool,
) -> EngineAnswer:
    fp8 = kv_dtype_of(request) != "auto"
    shape = pool_shape(spec, tp=split.tp, fp8=fp8)
    smallest = min(gpus, key=lambda gpu: gpu.total_bytes)
    latent = bool(spec.dimensions and spec.dimensions.kv_lora_rank)
    chosen = defaults(smallest.listed_bytes, tp=split.tp, pp=split.pp, latent=latent, small=small)
    static = _static_share(spec, chosen.static_share)
    outside = engine_memory_rules().sglang.outside.bytes
    stages = weights_of_stages(weights, split, with_vision=is_multimodal(spec))
    layers = len(weights.layers)
    shares = [count / layers for count in stage_layers(layers, split.pp)]
    rooms = [
        static * (gpus[index * split.tp].total_bytes - outside.value) - size
        for index, size in enumerate(stages)
    ]
    room = min(int(left / share) for left, share in zip(rooms, shares, strict=True))
    length = min(request.context, spec.max_context) if spec.max_context else request.context
    kv, states = _cache(shape, length, request.parallel)
    fits = _fits(shape, room, kv, states)
    memory = _memory(gpus, stages, shares, static, outside, tp=split.tp, kv=kv, states=states)
    return EngineAnswer(
        devices=tuple(gpu.device for gpu in gpus),
        split="tensor" if split.tp > 1 else "layer" if split.pp > 1 else "none",
        stages=split.pp,
        unified=any(gpu.in_ram for gpu in gpus),
        memory=memory,
        memory_range=_range(memory, outside),
        kv_type=kv_dtype_of(request),
        fits=fits,
        fits_now=_fits_now(gpus, stages, shares, static, outside, tp=split.tp, need=_sum(kv, states))
        if fits
        else fits,
        left_bytes=max(0, room - _sum(kv, states)),
        pool_bytes=int(static * sum(gpu.total_bytes for gpu in gpus)),
        max_context=_longest(shape, spec, room, request),
        causes=(
            *_causes(spec, request, chosen, shape, room=room, need=_sum(kv, states), fits=fits),
            *((Reason(code="engines.sglang.small"),) if small else ()),
        ),
        command=command(
            spec, weights.quantization, request, split, length=length, small=chosen if small else None
        )
        if fits
        else None,
    )


def _sum(kv: int | None, states: int | None) -> int:
    return (kv or 0) + (states or 0)


def _static_share(spec: ModelSpec, share: float) -> float:
    """Less with a vision tower: 0.95, and less the larger the tower is than ViT-L (memory_hook.py#L418)."""
    if not is_multimodal(spec):
        return share
    tower = (spec.hf_config or {}).get("vision_config")
    layers, width = 24, 1024
    if isinstance(tower, dict):
        layers = int(tower.get("num_hidden_layers") or 24)
        width = int(tower.get("hidden_size") or 1024)
    factor = 1.0 - 0.1 * (layers * width**2 / (24 * 1024**2) - 1.0)
    return share * engine_memory_rules().sglang.vision_share * max(0.8, min(1.05, factor))


def _cache(shape: CacheShape | None, length: int, parallel: int) -> tuple[int | None, int | None]:
    if shape is None:
        return None, None
    return shape.attention_bytes(length) * parallel, shape.state_bytes * parallel


def _fits(shape: CacheShape | None, room: int, kv: int | None, states: int | None) -> bool | None:
    """Keys and values beside states: states get 0.9 of 1.9 parts of the room where a model has them."""
    if room <= 0:
        return False
    if shape is None or kv is None or states is None:
        return None
    if not shape.state_bytes:
        return kv <= room
    state_room = room * _STATE_SHARE / (1 + _STATE_SHARE)
    return states <= state_room and kv <= room - state_room


def _longest(shape: CacheShape | None, spec: ModelSpec, room: int, request: Request) -> int | None:
    if shape is None:
        return None
    if room <= 0:
        return 0
    for_tokens = int(room / (1 + _STATE_SHARE)) if shape.state_bytes else room
    if shape.state_bytes * request.parallel > room - for_tokens:
        return 0  # a shorter context does not make states smaller
    plain = CacheShape(token_bytes=shape.token_bytes)
    return longest_context(plain, for_tokens, request.parallel, spec.max_context or 1_048_576)


def _fits_now(
    gpus: tuple[EngineGpu, ...],
    stages: tuple[int, ...],
    shares: list[float],
    static: float,
    outside: ByteRange,
    *,
    tp: int,
    need: int,
) -> bool | None:
    """SGLang takes its share of what is free when it starts."""
    for index, gpu in enumerate(gpus):
        stage = index // tp
        if gpu.free_bytes is None:
            return None
        if static * (gpu.free_bytes - outside.value) - stages[stage] < need * shares[stage]:
            return False
    return True


def _memory(
    gpus: tuple[EngineGpu, ...],
    stages: tuple[int, ...],
    shares: list[float],
    static: float,
    outside: ByteRange,
    *,
    tp: int,
    kv: int | None,
    states: int | None,
) -> MemoryBreakdown:
    devices = []
    for index, gpu in enumerate(gpus):
        stage = index // tp
        devices.append(
            DeviceMemory(
                device=gpu.device,
                weights_bytes=stages[stage],
                kv_cache_bytes=None if kv is None else round(kv * shares[stage]),
                recurrent_state_bytes=None if states is None else round(states * shares[stage]),
                compute_bytes=round((1 - static) * (gpu.total_bytes - outside.value)),
                runtime_bytes=outside.value,
                available_bytes=gpu.total_bytes,
                free_bytes=gpu.free_bytes,
            )
        )
    return MemoryBreakdown(per_device=tuple(devices))


def _range(memory: MemoryBreakdown, outside: ByteRange) -> ByteRange | None:
    """Low: a quarter of what is kept back is in use; high: all of it, and the larger context."""
    total = memory.total_bytes
    if total is None:
        return None
    kept = sum(device.compute_bytes or 0 for device in memory.per_device)
    count = len(memory.per_device)
    return ByteRange(
        low=total - kept * 3 // 4 - count * (outside.value - outside.low),
        value=total,
        high=total + count * (outside.high - outside.value),
    )


def _causes(
    spec: ModelSpec,
    request: Request,
    chosen: Defaults,
    shape: CacheShape | None,
    *,
    room: int,
    need: int,
    fits: bool | None,
) -> tuple[Reason, ...]:
    causes = []
    if spec.max_context and request.context > spec.max_context:
        values = {"context": request.context, "trained": spec.max_context}
        causes.append(Reason(code="engines.context_cut", values={**values}))
    if room <= 0:
        causes.append(
            Reason(code="engines.sglang.weights_short", values={"static_share": chosen.static_share})
        )
    elif shape is None:
        causes.append(Reason(code="engines.cache_unknown"))
    elif fits is False:
        causes.append(
            Reason(
                code="engines.cache_short",
                values={
                    "need_bytes": need,
                    "room_bytes": room,
                    "context": request.context,
                    "parallel": request.parallel,
                },
            )
        )
    causes.append(
        Reason(
            code="engines.sglang.kept_back",
            values={"reserve_bytes": chosen.reserve_bytes, "static_share": chosen.static_share},
        )
    )
    return tuple(causes)


def no_class(spec: ModelSpec) -> tuple[Reason, ...]:
    """Said of a model that SGLang has no class for, by the name of its text or its vision model."""
    name = architecture_of(spec)
    listed = engine_memory_rules().sglang.architectures
    if name is None or name in listed:
        return ()
    if name.replace("ForCausalLM", "ForConditionalGeneration") in listed:
        return ()
    return (Reason(code="engines.sglang.no_class", values={"architecture": name}),)


def command(
    spec: ModelSpec,
    quantization: str,
    request: Request,
    split: Parallel,
    *,
    length: int,
    small: Defaults | None,
) -> str:
    """The line that sets what was computed; --mem-fraction-static stays SGLang's own."""
    model, is_stored = checkpoint_argument(spec, quantization)
    words = ["python", "-m", "sglang.launch_server", "--model-path", model]
    if not is_stored:
        words += ["--quantization", _ON_LOAD.get(quantization, quantization)]
    if split.tp > 1:
        words += ["--tp-size", str(split.tp)]
    if split.pp > 1:
        words += ["--pp-size", str(split.pp)]
    words += ["--context-length", str(length)]
    if kv_dtype_of(request) != "auto":
        words += ["--kv-cache-dtype", kv_dtype_of(request)]
    if small is not None:
        words += ["--chunked-prefill-size", str(small.prefill_tokens)]
        words += ["--cuda-graph-max-bs-decode", str(small.graph_sequences)]
    return " ".join(words)
