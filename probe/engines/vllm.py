"""vLLM on given GPUs: how it is split, what memory it takes, how long and how many requests it holds.

Memory outside the KV cache is an estimate with a band; the KV cache is vLLM's own plan.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.engines.request import Request
from probe.engines.vllm_budget import Budget, VllmGpu, budget_of
from probe.engines.vllm_draft import Drafting
from probe.engines.vllm_formats import dtype_refusal, format_refusal, written
from probe.engines.vllm_plan import (
    KvPlan,
    PlanRequest,
    is_multimodal,
    longest_length,
    plan,
    with_available,
)
from probe.engines.vllm_platform import GpuClass
from probe.engines.vllm_split import Parallel, parallels, split_causes, stage_layers, weights_of_stages
from probe.estimate.breakdown import DeviceMemory, MemoryBreakdown
from probe.estimate.weight_bytes import WeightBytes
from probe.messages.reason import Reason

_DEFAULT_LENGTH: Final = 2_048  # where a config sets no bound (config/model.py#L2571)
_PLAIN: Final = ("bf16", "fp16")
_FP8_CACHE_NAMES: Final = ("fp8", "fp8_e4m3", "q8_0")


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """One way to serve the model, with everything that was computed for it.

    `fits`: weights, overhead and KV cache for the asked conversations go into what vLLM
    asks for. `fits_now`: the same with what is free at this moment. `max_context`: the
    longest --max-model-len at this many conversations, 0 when none.
    """

    parallel: Parallel
    devices: tuple[str, ...]
    budgets: tuple[Budget, ...]
    plan: KvPlan
    memory: MemoryBreakdown
    fits: bool | None
    fits_now: bool | None
    max_context: int | None
    causes: tuple[Reason, ...] = ()

    @property
    def kv_tokens(self) -> int | None:
        """Tokens that fit into the KV cache, as vLLM prints them."""
        return self.plan.tokens_capacity

    @property
    def utilization(self) -> float:
        """`--gpu-memory-utilization` of this answer."""
        return self.budgets[0].utilization


def kv_dtype_of(request: Request) -> str:
    """vLLM's name of the asked cache type: fp8 for any 8-bit type, else auto."""
    return "fp8" if request.kv_type_k in _FP8_CACHE_NAMES else "auto"


def serve(
    spec: ModelSpec,
    weights: WeightBytes,
    request: Request,
    gpus: Sequence[VllmGpu],
    *,
    utilization: float | None = None,
    drafting: Drafting | None = None,
) -> Serving | None:
    """The first way that fits, fewest GPUs first; else the one that lacks least. None: no GPU, no shapes."""
    d = spec.dimensions
    if d is None or not gpus:
        return None
    ordered = sorted(gpus, key=lambda gpu: gpu.total_bytes, reverse=True)
    best: Serving | None = None
    for parallel in parallels(d, weights.quantization, len(ordered)):
        answer = serve_on(
            spec,
            weights,
            request,
            ordered[: parallel.gpus],
            parallel,
            utilization=utilization,
            drafting=drafting,
        )
        if answer.fits is not False:
            return answer
        if best is None or _room(answer) > _room(best):
            best = answer
    return best


def _room(answer: Serving) -> int:
    """Smallest KV memory of a stage; what decides which failed split is nearest."""
    return min(budget.requested_bytes - budget.weights_bytes for budget in answer.budgets)


def serve_on(
    spec: ModelSpec,
    weights: WeightBytes,
    request: Request,
    gpus: Sequence[VllmGpu],
    parallel: Parallel,
    *,
    utilization: float | None = None,
    drafting: Drafting | None = None,
) -> Serving:
    """Serve with one given split; `gpus` are as many as it uses, largest first.

    Args:
        drafting: speculative decoding: a draft model, divided like the large one, or the
            model's own prediction layers; they lie on the last stage.
    """
    gpu = min(gpus, key=lambda one: one.total_bytes)
    trained = spec.max_context
    length = min(request.context, trained) if trained else request.context
    made = plan(spec, _plan_request(request, gpu, parallel, length=length, drafting=drafting))
    stages = list(weights_of_stages(weights, parallel, with_vision=is_multimodal(spec)))
    if drafting is not None:
        stages[-1] += drafting.weights_bytes // parallel.tp
    factor = 2 if made.dtype == "float32" and weights.quantization in _PLAIN else 1
    budgets = tuple(
        budget_of(gpus[index * parallel.tp], size * factor, tp=parallel.tp, utilization=utilization)
        for index, size in enumerate(stages)
    )
    shares = _stage_shares(weights, parallel)
    tightest = min(range(len(budgets)), key=lambda index: budgets[index].kv_bytes.value / shares[index])
    available = int(budgets[tightest].kv_bytes.value / shares[tightest])
    made = with_available(made, max(available, 0))
    memory = _memory(made, budgets, shares, gpus, tp=parallel.tp, conversations=request.parallel)
    fits = _fits(made, request, available)
    if fits is None and any(budget.kv_bytes.value <= 0 for budget in budgets):
        fits = False  # however little the cache that is not modeled takes
    refusal = format_refusal(weights.quantization, gpu.capability)
    refusal = refusal or dtype_refusal(weights.quantization, made.dtype)
    if refusal is not None:
        fits = False
    causes = _causes(spec, request, made=made, budget=budgets[tightest], fits=fits, refusal=refusal)
    return Serving(
        parallel=parallel,
        devices=tuple(one.device for one in gpus),
        budgets=budgets,
        plan=made,
        memory=memory,
        fits=fits if request.context == length or fits is None else False,
        fits_now=_fits_now(made, request, budgets, shares, fits),
        max_context=_longest(made, request, available, trained),
        causes=causes,
    )


def _plan_request(
    request: Request, gpu: VllmGpu, parallel: Parallel, *, length: int, drafting: Drafting | None
) -> PlanRequest:
    return PlanRequest(
        max_model_len=length,
        gpu=GpuClass(capability=gpu.capability, memory_bytes=gpu.total_bytes, name=gpu.name),
        tp=parallel.tp,
        kv_dtype=kv_dtype_of(request),
        drafting=drafting,
    )


def _stage_shares(weights: WeightBytes, parallel: Parallel) -> tuple[float, ...]:
    """Part of every block that a stage holds: its part of the layers."""
    layers = len(weights.layers)
    return tuple(count / layers for count in stage_layers(layers, parallel.pp))


def _needed_bytes(made: KvPlan, conversations: int) -> int | None:
    """KV memory for that many full requests and the null block, over all stages of one TP rank."""
    one, block = made.need_bytes_one_request, made.bytes_per_block
    return None if one is None or block is None else one * conversations + block


def _fits(made: KvPlan, request: Request, available: int) -> bool | None:
    if made.rejection is not None:
        return False
    needed = _needed_bytes(made, request.parallel)
    return None if needed is None else needed <= available


def _fits_now(
    made: KvPlan, request: Request, budgets: Sequence[Budget], shares: Sequence[float], fits: bool | None
) -> bool | None:
    """With what is free now, at the utilization that starts."""
    needed = _needed_bytes(made, request.parallel)
    if not fits or needed is None:
        return fits
    for budget, share in zip(budgets, shares, strict=True):
        lowered = budget.suggested_utilization
        if lowered is None:
            return None
        room = lowered * budget.gpu.total_bytes - budget.weights_bytes - budget.overhead.value
        if room < needed * share:
            return False
    return True


def _longest(made: KvPlan, request: Request, available: int, trained: int | None) -> int | None:
    if made.rejection is not None:
        return 0
    if made.layout is None:
        return None
    block = made.layout.block_bytes
    per_request = (available - block) // request.parallel + block
    # Without a bound in its config a model takes any length that is asked for.
    return longest_length(made, per_request, trained or max(_DEFAULT_LENGTH, request.context))


def _memory(
    made: KvPlan,
    budgets: Sequence[Budget],
    shares: Sequence[float],
    gpus: Sequence[VllmGpu],
    *,
    tp: int,
    conversations: int,
) -> MemoryBreakdown:
    """Each GPU's memory for the asked conversations; available: what vLLM asks for and what lies outside."""
    kv, states = _cache_bytes(made, conversations)
    devices = []
    for index, gpu in enumerate(gpus):
        stage = index // tp
        budget, share = budgets[stage], shares[stage]
        devices.append(
            DeviceMemory(
                device=gpu.device,
                weights_bytes=budget.weights_bytes,
                kv_cache_bytes=None if kv is None else round(kv * share),
                recurrent_state_bytes=None if states is None else round(states * share),
                compute_bytes=budget.overhead.value,
                runtime_bytes=budget.outside.value,
                available_bytes=min(budget.requested_bytes + budget.outside.value, gpu.total_bytes),
                free_bytes=gpu.free_bytes,
            )
        )
    return MemoryBreakdown(per_device=tuple(devices))


def _cache_bytes(made: KvPlan, conversations: int) -> tuple[int | None, int | None]:
    """Blocks of attention groups with the null block, and blocks of state groups."""
    layout = made.layout
    if layout is None:
        return (0, 0) if made.rejection is not None else (None, None)
    attention = states = 0
    for group in layout.groups:
        blocks = group.blocks(made.request.max_model_len, made.in_flight, layout.cache_mode)
        if group.pages[0][0].layer.kind == "state":
            states += blocks
        else:
            attention += blocks
    block = layout.block_bytes
    return (attention * conversations + 1) * block, states * conversations * block


def _causes(
    spec: ModelSpec,
    request: Request,
    *,
    made: KvPlan,
    budget: Budget,
    fits: bool | None,
    refusal: Reason | None,
) -> tuple[Reason, ...]:
    causes = []
    if refusal is not None:
        causes.append(refusal)
    if spec.max_context and request.context > spec.max_context:
        causes.append(
            Reason(
                code="vllm.context_above_trained",
                values={"context": request.context, "trained": spec.max_context},
            )
        )
    if made.rejection is not None:
        causes.append(Reason(code=f"vllm.refused.{made.rejection.kind}", values=made.rejection.values))
    elif fits is None:
        causes.append(Reason(code="vllm.cache_unknown"))
    elif not fits and refusal is None:
        causes.append(_short(made, request, budget))
    if made.dtype == "float32" and spec.native_dtype not in {None, "float32"}:
        causes.append(Reason(code="vllm.float32", values={"capability": written(budget.gpu.capability)}))
    if budget.starts is False:
        causes.append(
            Reason(
                code="vllm.does_not_start_now",
                values={
                    "free_bytes": budget.gpu.free_bytes,
                    "requested_bytes": budget.requested_bytes,
                    "utilization": budget.suggested_utilization,
                },
            )
        )
    causes.append(
        Reason(
            code="vllm.overhead_estimated",
            values={"low_bytes": budget.overhead.low, "high_bytes": budget.overhead.high},
        )
    )
    return tuple(causes)


def _short(made: KvPlan, request: Request, budget: Budget) -> Reason:
    """Weights alone, or the cache for the asked conversations, exceed what vLLM asks for."""
    if budget.weights_bytes + budget.overhead.value >= budget.requested_bytes:
        return Reason(
            code="vllm.weights_short",
            values={"weights_bytes": budget.weights_bytes, "requested_bytes": budget.requested_bytes},
        )
    return Reason(
        code="vllm.kv_short",
        values={
            "need_bytes": _needed_bytes(made, request.parallel),
            "kv_bytes": budget.kv_bytes.value,
            "context": made.request.max_model_len,
            "parallel": request.parallel,
        },
    )


def lay_out(
    spec: ModelSpec,
    weights: WeightBytes,
    request: Request,
    gpus: Sequence[VllmGpu],
    *,
    utilization: float | None = None,
) -> MemoryBreakdown | None:
    """Memory per GPU of the way `serve` chooses; None when vLLM cannot use these GPUs."""
    answer = serve(spec, weights, request, gpus, utilization=utilization)
    return None if answer is None else answer.memory


def split_refusals(spec: ModelSpec, quantization: str, tp: int) -> tuple[Reason, ...]:
    """Why this model cannot run with `--tensor-parallel-size tp`."""
    return split_causes(spec.dimensions, quantization, tp) if spec.dimensions is not None else ()
