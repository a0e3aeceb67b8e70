"""Decode and prompt speed of one placement, with its range, limit and inputs.

It speaks for "it fits, nothing swaps, no speculation".
"""

import math
from typing import Final, NamedTuple

from probe.catalog.engine_speed import EngineSpeed
from probe.catalog.model_spec import Dimensions, LayerKind, ModelSpec
from probe.catalog.speed_constants import SpeedConstants, Spread, speed_constants
from probe.estimate.roofline import decode_limit, reading_rate
from probe.estimate.speed_class import CPU, RunKind, class_keys, cores, kernel_class
from probe.estimate.speed_decode import DecodeTerms, DecodeTimes, decode_terms, decode_times, times_at
from probe.estimate.speed_device import SpeedDevice
from probe.estimate.speed_figures import SpeedFigures
from probe.estimate.speed_prompt import BATCH, PromptShape, chain_seconds, overlaps, prompt_seconds
from probe.estimate.speed_served import engine_speed, prompt_seconds_of, served_by
from probe.estimate.weight_bytes import WeightBytes
from probe.machine.ranges import Range

PROMPT_TOKENS: Final = 2000  # the prompt of time_to_first_token_s
MAX_DEPTH_TOKENS: Final = 2048
_ENGINE: Final = "fit_engine"  # basis of figures fitted on the engine's own runs


class SpeedRequest(NamedTuple):
    """What of the engine decides speed besides the placement."""

    kernel: str
    experts: bool
    without_flash_attention: bool = False
    old_build: bool = False
    batch: int = BATCH
    attention_per_cache_byte: float = 1.0
    served: EngineSpeed | None = None  # another engine than llama.cpp


def depth_tokens(context: int) -> int:
    """How far the cache is filled in every speed we print: 2,048 tokens, or half the context."""
    return min(MAX_DEPTH_TOKENS, context // 2)


def estimate_speed(
    spec: ModelSpec,
    weights: WeightBytes,
    devices: tuple[SpeedDevice, ...],
    *,
    split: str = "none",
    context: int = 8192,
    parallel: int = 1,
    ubatch: int = BATCH,
    flash_attention: bool | None = None,
    old_build: bool = False,
    engine: str | None = None,
    constants: SpeedConstants | None = None,
) -> SpeedFigures:
    """Speeds of one model on the devices of one placement.

    Args:
        devices: what computes, with the bytes one token reads on each, in chain order.
        split: none, layer, tensor or expert_offload.
        context: tokens of one conversation; figures hold for a cache filled to
            min(2048, context / 2), which the devices' `kv_bytes` must mean too.
        parallel: conversations at once, for the aggregate; the decode figure is one alone.
        ubatch: tokens the engine computes at once on prompts.
        flash_attention: False when the engine is started without it.
        old_build: the engine is a build of 2024 or before.
        engine: another engine than llama.cpp, by its name in catalogs/engine_speed.json.
        constants: other constants than this installation's.

    A figure is None where a bandwidth is not known.
    """
    known = constants or speed_constants()
    shape = prompt_shape(spec)
    served = engine_speed(engine)
    if served is not None:
        devices = served_by(devices, served, weights, known, experts=shape.experts)
    request = SpeedRequest(
        kernel_class(weights.quantization),
        shape.experts,
        flash_attention is False,
        old_build,
        attention_per_cache_byte=shape.attention_per_cache_byte,
        served=served,
    )
    together = split == "tensor"
    parts = _reading(devices, known, request)
    single = _token_seconds(parts, known, request, split=split)
    depth = depth_tokens(context)
    prompt = prompt_figures(
        spec,
        weights,
        devices,
        split=split,
        ubatch=ubatch if served is None else served.prompt_batch,
        flash_attention=flash_attention,
        old_build=old_build,
        served=served,
        constants=known,
    )
    if single is None:
        return SpeedFigures(depth_tokens=depth, prefill_tokens_per_s=prompt)
    decode = _decode_range(single, parts, known, request, split=split)
    aggregate = decode.value
    if parallel > 1:
        aggregate = (
            _aggregate(spec, weights, devices, known, request, split=split, parallel=parallel) or decode.value
        )
    return SpeedFigures(
        decode_tokens_per_s=decode,
        aggregate_tokens_per_s=aggregate,
        prefill_tokens_per_s=prompt,
        decode_limit_tokens_per_s=decode_limit(devices, together=together),
        time_to_first_token_s=None if prompt is None else PROMPT_TOKENS / prompt.value + 1 / decode.value,
        depth_tokens=depth,
        inputs=_inputs(single, parts, devices, known, request),
    )


_SHAPES: Final[dict[int, tuple[ModelSpec, PromptShape]]] = {}


def prompt_shape(spec: ModelSpec) -> PromptShape:
    """What one prompt token of this model costs.

    Kept by identity: hashing a spec of a hundred fields would cost more than the estimate.
    """
    known = _SHAPES.get(id(spec))
    if known is not None and known[0] is spec:
        return known[1]
    shape = _shape_of(spec)
    _SHAPES[id(spec)] = (spec, shape)
    return shape


def _shape_of(spec: ModelSpec) -> PromptShape:
    d = spec.dimensions
    active = spec.params_active or spec.params_text or spec.params_total or 0
    if d is None:
        return PromptShape(2.0 * active, 0.0, 0.0, 0, experts=False)
    # Of the input table one row is read, and the head computes the last token's logits only.
    tables = d.vocab_size * d.hidden_size * (1 if d.tie_word_embeddings else 2)
    width = d.num_attention_heads * d.head_dim
    return PromptShape(
        2.0 * max(active - tables, active // 5),
        float(width * d.count_of(LayerKind.FULL, LayerKind.PARALLEL)),
        float(width * d.count_of(LayerKind.SLIDING)),
        d.sliding_window or d.attention_chunk_size or 0,
        experts=bool(d.num_experts),
        attention_per_cache_byte=_attention_per_cache_byte(d),
    )


def _attention_per_cache_byte(d: Dimensions) -> float:
    """Query heads share what they read: multiply-adds on keys and values over their 16-bit bytes."""
    if d.kv_lora_rank:  # latent attention: every head works on the one compressed row
        row = d.kv_lora_rank + (d.qk_rope_head_dim or 0)
        return d.num_attention_heads * 2 * (row + d.kv_lora_rank) / (2 * row)
    return d.num_attention_heads / (d.num_key_value_heads or d.num_attention_heads or 1)


_Parts = tuple[tuple[SpeedDevice, DecodeTerms], ...]


class _Token(NamedTuple):
    """One token's time with its parts per device."""

    seconds: float
    times: tuple[tuple[SpeedDevice, DecodeTimes], ...]

    @property
    def slowest(self) -> SpeedDevice:
        """The device that a token waits for longest."""
        return max(self.times, key=lambda pair: pair[1].total)[0]


def _reading(devices: tuple[SpeedDevice, ...], constants: SpeedConstants, request: SpeedRequest) -> _Parts:
    """The devices that read something for a token, with their terms: the same at every bandwidth."""
    kind = RunKind(request.kernel, request.experts, request.without_flash_attention, request.old_build)
    return tuple(
        (device, decode_terms(device, constants, kind))
        for device in devices
        if device.active_weight_bytes or device.kv_bytes
    )


def _token_seconds(
    parts: _Parts, constants: SpeedConstants, request: SpeedRequest, *, split: str, side: str = "value"
) -> _Token | None:
    times: list[tuple[SpeedDevice, DecodeTimes]] = []
    for device, terms in parts:
        rate = None
        if side != "value" and device.bandwidth is not None and device.device != "c2c":
            rate = device.bandwidth.low if side == "low" else device.bandwidth.high
        part = times_at(
            rate or reading_rate(device),
            device,
            terms,
            attention=request.attention_per_cache_byte * device.kv_bytes,
        )
        if part is None:
            return None
        times.append((device, part))
    if not times:
        return None
    if len(times) == 1 and split != "tensor":
        return _Token(times[0][1].total, tuple(times))
    own = [part.total for _, part in times]
    if split == "tensor":
        layers = sum(device.layers for device, _ in times)
        total = max(own) + layers * _sync_s(constants, request) / len(times)
    else:
        boundaries = sum(1 for device, _ in times if device.layers) - 1
        total = sum(own) + max(0, boundaries) * constants.split.boundary_s
    return _Token(total, tuple(times))


def _sync_s(constants: SpeedConstants, request: SpeedRequest) -> float:
    return constants.split.tensor_sync_s if request.served is None else request.served.tensor_sync_s


def _is_hybrid(parts: _Parts) -> bool:
    backends = {device.backend for device, _ in parts if device.active_weight_bytes}
    return CPU in backends and len(backends) > 1


def _spread(table: dict[str, Spread], device: SpeedDevice, *, measured: bool) -> tuple[Spread, str]:
    """The narrowest class with a spread of its own; what was measured here has the narrowest."""
    if measured and "measured" in table:
        return table["measured"], "measured"
    for key in reversed(class_keys(device)):
        if key in table:
            return table[key], f"fit:{key or 'all'}"
    return Spread(low=0.5, high=1.5), "fit:all"


def _decode_range(
    token: _Token,
    parts: _Parts,
    constants: SpeedConstants,
    request: SpeedRequest,
    *,
    split: str,
) -> Range:
    """The middle figure with the class's spread and the bandwidth's own range, joined as independent."""
    slowest = token.slowest
    spread, basis = _spread(constants.decode_spread, slowest, measured=slowest.measured)
    if request.served is not None and not slowest.measured:
        divided = request.experts or len(token.times) > 1
        spread = request.served.decode_spread_divided if divided else request.served.decode_spread
        basis = _ENGINE
    middle = 1 / token.seconds
    low, high = math.log(spread.low), math.log(spread.high)
    if any(_uncertain(device) for device, _ in token.times if not device.measured):
        slow = _token_seconds(parts, constants, request, split=split, side="low")
        fast = _token_seconds(parts, constants, request, split=split, side="high")
        if slow is not None and fast is not None:
            low = -math.hypot(low, math.log(slow.seconds / token.seconds))
            high = math.hypot(high, math.log(token.seconds / fast.seconds))
    if _is_hybrid(parts):
        # The sum of both parts' times is an upper bound: "at most".
        cost = constants.split
        middle *= math.sqrt(cost.offload_low * cost.offload_high)
        low = -math.hypot(low, math.log(cost.offload_high / cost.offload_low) / 2)
        return Range(low=middle * math.exp(low), value=middle, high=1 / token.seconds, basis="offload")
    most = middle * math.exp(high)
    if request.served is not None and not any(_uncertain(device) for device, _ in parts):
        together = split == "tensor"
        most = min(most, decode_limit(tuple(device for device, _ in parts), together=together) or most)
    return Range(low=middle * math.exp(low), value=middle, high=max(middle, most), basis=basis)


def _uncertain(device: SpeedDevice) -> bool:
    bandwidth = device.bandwidth
    return bandwidth is not None and bandwidth.high > bandwidth.low


def _prompt_times(
    devices: tuple[SpeedDevice, ...],
    constants: SpeedConstants,
    shape: PromptShape,
    request: SpeedRequest,
    *,
    tokens: int,
    depth: float,
    more: float,
) -> list[float] | None:
    """Seconds of each device that holds weights; None where an arithmetic rate is not known."""
    total = sum(device.active_weight_bytes for device in devices)
    if not total or not shape.operations:
        return None
    times = []
    for device in devices:
        if not device.active_weight_bytes:
            continue
        seconds = prompt_seconds(
            device,
            constants,
            shape,
            tokens=tokens,
            depth=depth,
            batch=request.batch,
            kernel=request.kernel,
            weight_bytes=device.active_weight_bytes * more,
            share_of_model=device.active_weight_bytes / total,
            without_flash_attention=request.without_flash_attention,
            old_build=request.old_build,
        )
        if seconds is None:
            return None
        times.append(seconds / device.prompt_factor)
    return times


def prompt_figures(
    spec: ModelSpec,
    weights: WeightBytes,
    devices: tuple[SpeedDevice, ...],
    *,
    split: str = "none",
    tokens: int = PROMPT_TOKENS,
    depth: float = 0.0,
    ubatch: int = BATCH,
    flash_attention: bool | None = None,
    old_build: bool = False,
    served: EngineSpeed | None = None,
    constants: SpeedConstants | None = None,
) -> Range | None:
    """Prompt tokens a second for a prompt of `tokens`; None where an arithmetic rate is not known.

    `devices` must be those that `served_by` gives where another engine is `served`.
    """
    known = constants or speed_constants()
    shape = prompt_shape(spec)
    request = SpeedRequest(
        kernel_class(weights.quantization), shape.experts, flash_attention is False, old_build, ubatch
    )
    times = _prompt_times(
        devices,
        known,
        shape,
        request,
        tokens=tokens,
        depth=depth,
        more=experts_touched(spec, weights, min(tokens, ubatch)),
    )
    if times is None:
        return None
    main = max(devices, key=lambda device: device.active_weight_bytes)
    spread, basis = _spread(known.prompt_spread, main, measured=main.prompt_measured)
    if served is not None and not main.prompt_measured:
        spread, basis = served.prompt_spread, _ENGINE
    if served is not None:
        layers = len(weights.layers)
        seconds = prompt_seconds_of(served, times, layers, together=split == "tensor")
        low = value = high = tokens / seconds
    elif split == "layer" and overlaps(devices):
        cost, batches = known.split, math.ceil(tokens / ubatch)
        low, value, high = (
            tokens / chain_seconds(times, batches, gain)
            for gain in (cost.overlap_low, cost.overlap, cost.overlap_high)
        )
    else:
        low = value = high = tokens / (max(times) if split == "tensor" else sum(times))
    return Range(low=low * spread.low, value=value, high=high * spread.high, basis=basis)


def _aggregate(
    spec: ModelSpec,
    weights: WeightBytes,
    devices: tuple[SpeedDevice, ...],
    constants: SpeedConstants,
    request: SpeedRequest,
    *,
    split: str,
    parallel: int,
) -> float | None:
    """Tokens a second of all conversations: weights are read once, cache and arithmetic per conversation.

    Routed experts: n tokens touch E x (1 - (1 - k / E)^n) of E experts when k are used.
    """
    more = experts_touched(spec, weights, parallel)
    shape = prompt_shape(spec)
    total = sum(device.active_weight_bytes for device in devices)
    seconds = 0.0
    slowest = 0.0
    for device in devices:
        if not (device.active_weight_bytes or device.kv_bytes):
            continue
        part = decode_times(
            device,
            constants,
            kernel=request.kernel,
            experts=request.experts,
            weight_bytes=device.active_weight_bytes * more,
            attention=request.attention_per_cache_byte * device.kv_bytes,
            without_flash_attention=request.without_flash_attention,
            old_build=request.old_build,
        )
        compute = prompt_seconds(
            device,
            constants,
            shape._replace(attention_width=0.0, sliding_width=0.0),
            tokens=parallel,
            kernel=request.kernel,
            weight_bytes=0.0,
            share_of_model=device.active_weight_bytes / total if total else 0.0,
        )
        if part is None or compute is None:
            return None
        own = part.weights + part.overhead + part.cache * parallel + compute / device.prompt_factor
        seconds += own
        slowest = max(slowest, own)
    if split == "tensor":
        layers = sum(device.layers for device in devices)
        seconds = slowest + layers * _sync_s(constants, request) / len(devices)
    return parallel / seconds if seconds else None


def experts_touched(spec: ModelSpec, weights: WeightBytes, tokens: int) -> float:
    """Weights that `tokens` tokens read together against what one reads: more experts, nothing else."""
    d = spec.dimensions
    active = weights.active_bytes
    if d is None or not d.num_experts or not d.experts_per_token or not active:
        return 1.0
    share = d.experts_per_token / d.num_experts
    experts = sum(weights.layer_experts)
    touched = 1 - (1 - share) ** tokens
    return (active + experts * (touched - share)) / active


def _inputs(
    token: _Token,
    parts: _Parts,
    devices: tuple[SpeedDevice, ...],
    constants: SpeedConstants,
    request: SpeedRequest,
) -> dict[str, float | str]:
    """What the formula was given and what each part costs, for --explain."""
    slowest = token.slowest
    part, terms = next(
        (times, terms)
        for (device, times), (_, terms) in zip(token.times, parts, strict=True)
        if device is slowest
    )
    rate = reading_rate(slowest) or 0.0
    found: dict[str, float | str] = {
        "weight_bytes": float(sum(device.active_weight_bytes for device in devices)),
        "kv_bytes": float(sum(device.kv_bytes for device in devices)),
        "device": slowest.device,
        "class": class_keys(slowest)[-1] or "all",
        "kernel": request.kernel,
        "bandwidth_bytes_per_s": rate,
        "bandwidth_basis": slowest.bandwidth.basis if slowest.bandwidth else "link",
        "efficiency": part.efficiency,
        "arithmetic_per_s": terms.arithmetic,
        "layer_overhead_s": part.layer_overhead,
        "weights_s": sum(times.weights for _, times in token.times),
        "cache_s": sum(times.cache for _, times in token.times),
        "overhead_s": sum(times.overhead for _, times in token.times),
        "constants": constants.data_sha256[:12],
    }
    count = cores(slowest) if slowest.backend == CPU else None
    if count is not None:
        found["cores"] = float(count)
    if slowest.measured:
        found["measured_shift_efficiency"] = slowest.shifts.efficiency
    return found
