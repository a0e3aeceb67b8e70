"""TensorRT-LLM (PyTorch backend): a trial run at full batch, then nine tenths of what is free for the cache.

    peak  = weights + activations of max_num_tokens + CUDA context, workspaces, graphs
    cache = (total - peak + cache of the trial run) x free_gpu_memory_fraction

Source: TensorRT-LLM at 00043967, tensorrt_llm/_torch/pyexecutor/_util.py (_cal_max_memory,
_create_dummy_context_requests); llmapi/llm_args.py (KvCacheConfig, max_num_tokens). Checked
against a public log of gpt-oss-120b on a DGX Spark (tests/truth/engine_cases.toml).
"""

from typing import Final

from probe.catalog.engine_memory import engine_memory_rules
from probe.catalog.model_spec import Dimensions, ModelSpec
from probe.engines.checkpoints import checkpoint_argument
from probe.engines.engine_answer import EngineAnswer
from probe.engines.engine_devices import EngineDevices, EngineGpu
from probe.engines.request import Request
from probe.engines.torch_cache import CacheShape, cache_shape, longest_context
from probe.engines.vllm_plan import is_multimodal
from probe.engines.vllm_split import Parallel, parallels, stage_layers, weights_of_stages
from probe.estimate.breakdown import DeviceMemory, MemoryBreakdown
from probe.estimate.weight_bytes import WeightBytes
from probe.machine.ranges import ByteRange
from probe.messages.reason import Reason

ENGINE: Final = "tensorrt-llm"
FORMATS: Final = ("bf16", "fp8", "awq")
LEAST_CAPABILITY: Final = (8, 0)  # catalogs/engines
# formats with pre-quantized checkpoints, and the oldest GPUs they run on
# (nvidia.github.io/TensorRT-LLM/features/quantization.html and Model-Optimizer's support matrix)
LOADS: Final = {
    "bf16": (8, 0), "fp16": (8, 0), "fp8": (8, 9), "fp8-block": (9, 0), "nvfp4": (10, 0),
    "mxfp4": (8, 0), "awq": (8, 0), "gptq-int4": (8, 0), "w4a16": (8, 0), "int8": (8, 0),
}  # fmt: skip
# named on the supported-hardware page; other cards of the same generation are not
NAMED_GPUS: Final = (
    "A100", "L20", "L40", "L40S", "H100", "H200", "GH200", "B200", "GB200", "B300", "GB300", "GB10",
)  # fmt: skip
NOT_MODELED: Final = (
    "trial_run",
    "padding",
    "block_reuse",
    "vision_activations",
    "speculation",
    "beam_search",
)
_FP8_CACHES: Final = ("fp8", "fp8_e4m3", "q8_0")


def kv_dtype_of(request: Request) -> str:
    """The name of the asked cache type."""
    return "fp8" if request.kv_type_k in _FP8_CACHES else "auto"


def activation_bytes(d: Dimensions, *, tp: int) -> ByteRange:
    """Activations of a batch of max_num_tokens: half and twice as the ends.

    Hidden states in several copies and the feed-forward width, 16 bits a value; of
    experts the ones in use. Only the last token's logits are made.
    """
    rules = engine_memory_rules().tensorrt_llm
    width = d.intermediate_size if not d.num_experts else (d.moe_intermediate_size or 0)
    wide = 3 * width * (d.experts_per_token or 1) // tp
    value = rules.max_num_tokens * 2 * (rules.activation_values_per_token * d.hidden_size + wide)
    return ByteRange(low=value // 2, value=value, high=value * 2)


def place(
    spec: ModelSpec, weights: WeightBytes, request: Request, devices: EngineDevices
) -> EngineAnswer | None:
    """The first split that fits, fewest GPUs first; else the one with most room. None: no GPU, no shapes."""
    gpus = devices.nvidia
    if spec.dimensions is None or not gpus:
        return None
    best: EngineAnswer | None = None
    for split in parallels(spec.dimensions, weights.quantization, len(gpus)):
        answer = _on(spec, weights, request, gpus[: split.gpus], split)
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
) -> EngineAnswer:
    d = spec.dimensions or Dimensions(hidden_size=0, num_hidden_layers=0, vocab_size=0)
    rules = engine_memory_rules().tensorrt_llm
    page = rules.tokens_per_block
    shape = cache_shape(spec, tp=split.tp, fp8=kv_dtype_of(request) != "auto")
    stages = weights_of_stages(weights, split, with_vision=is_multimodal(spec))
    shares = [count / len(weights.layers) for count in stage_layers(len(weights.layers), split.pp)]
    activations, outside = activation_bytes(d, tp=split.tp), rules.outside.bytes
    rooms = [
        rules.free_gpu_memory_fraction
        * (gpus[index * split.tp].total_bytes - size - activations.value - outside.value)
        for index, size in enumerate(stages)
    ]
    room = min(int(left / share) for left, share in zip(rooms, shares, strict=True))
    length = min(request.context, spec.max_context) if spec.max_context else request.context
    kv = states = None
    if shape is not None:
        kv = shape.attention_bytes(length, page=page, windowed=False) * request.parallel
        states = shape.state_bytes * request.parallel
    need = (kv or 0) + (states or 0)
    fits = False if room <= 0 else None if kv is None else need <= room
    memory = MemoryBreakdown(
        per_device=tuple(
            DeviceMemory(
                device=gpu.device,
                weights_bytes=stages[index // split.tp],
                kv_cache_bytes=None if kv is None else round(kv * shares[index // split.tp]),
                recurrent_state_bytes=None if states is None else round(states * shares[index // split.tp]),
                compute_bytes=activations.value,
                runtime_bytes=outside.value,
                available_bytes=gpu.total_bytes,
                free_bytes=gpu.free_bytes,
            )
            for index, gpu in enumerate(gpus)
        )
    )
    return EngineAnswer(
        devices=tuple(gpu.device for gpu in gpus),
        split="tensor" if split.tp > 1 else "layer" if split.pp > 1 else "none",
        stages=split.pp,
        unified=any(gpu.in_ram for gpu in gpus),
        memory=memory,
        memory_range=_range(memory, activations, outside, len(gpus)),
        kv_type=kv_dtype_of(request),
        fits=fits,
        fits_now=_fits_now(gpus, stages, shares, activations.value + outside.value, tp=split.tp, need=need)
        if fits
        else fits,
        left_bytes=max(0, room - need),
        pool_bytes=sum(gpu.total_bytes for gpu in gpus),
        max_context=_longest(shape, spec, room, request, page=page),
        causes=_causes(spec, request, room=room, need=need, fits=fits),
        command=command(spec, weights.quantization, request, split, length=length) if fits else None,
    )


def _fits_now(
    gpus: tuple[EngineGpu, ...],
    stages: tuple[int, ...],
    shares: list[float],
    other: int,
    *,
    tp: int,
    need: int,
) -> bool | None:
    fraction = engine_memory_rules().tensorrt_llm.free_gpu_memory_fraction
    for index, gpu in enumerate(gpus):
        if gpu.free_bytes is None:
            return None
        if fraction * (gpu.free_bytes - stages[index // tp] - other) < need * shares[index // tp]:
            return False
    return True


def _range(
    memory: MemoryBreakdown, activations: ByteRange, outside: ByteRange, count: int
) -> ByteRange | None:
    total = memory.total_bytes
    if total is None:
        return None
    return ByteRange(
        low=total - count * (activations.value - activations.low + outside.value - outside.low),
        value=total,
        high=total + count * (activations.high - activations.value + outside.high - outside.value),
    )


def _longest(
    shape: CacheShape | None, spec: ModelSpec, room: int, request: Request, *, page: int
) -> int | None:
    if shape is None:
        return None
    everything = CacheShape(
        token_bytes=shape.token_bytes + sum(size for _, size in shape.windows), state_bytes=shape.state_bytes
    )
    ceiling = spec.max_context or 1_048_576
    return longest_context(everything, max(room, 0), request.parallel, ceiling, page=page)


def _causes(
    spec: ModelSpec, request: Request, *, room: int, need: int, fits: bool | None
) -> tuple[Reason, ...]:
    causes = []
    if spec.max_context and request.context > spec.max_context:
        values = {"context": request.context, "trained": spec.max_context}
        causes.append(Reason(code="engines.context_cut", values={**values}))
    if room <= 0:
        causes.append(Reason(code="engines.tensorrt_llm.weights_short"))
    elif fits is None:
        causes.append(Reason(code="engines.cache_unknown"))
    elif fits is False:
        values = {"need_bytes": need, "room_bytes": room, "context": request.context}
        causes.append(Reason(code="engines.cache_short", values={**values, "parallel": request.parallel}))
    share = engine_memory_rules().tensorrt_llm.free_gpu_memory_fraction
    causes.append(Reason(code="engines.tensorrt_llm.fraction", values={"share": share}))
    return tuple(causes)


def command(spec: ModelSpec, quantization: str, request: Request, split: Parallel, *, length: int) -> str:
    """The line that sets what was computed; the fraction for the cache stays at 0.9."""
    model, _ = checkpoint_argument(spec, quantization)
    words = ["trtllm-serve", "serve", model]
    if split.tp > 1:
        words += ["--tp_size", str(split.tp)]
    if split.pp > 1:
        words += ["--pp_size", str(split.pp)]
    words += ["--max_seq_len", str(length), "--max_batch_size", str(request.parallel)]
    if kv_dtype_of(request) != "auto":
        words += ["--kv_cache_dtype", kv_dtype_of(request)]
    return " ".join(words)
