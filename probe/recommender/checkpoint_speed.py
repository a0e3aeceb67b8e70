"""Speed of engines that serve checkpoints: the one speed model, moved where an engine's own runs were fitted.

SGLang has constants of its own (catalogs/engine_speed.json). TensorRT-LLM and ExLlama read the
same weights with kernels of the same class as llama.cpp's and get a wider band. Transformers
starts every kernel from Python: its time a layer is added (catalogs/engines/memory_rules.toml,
transformers.launch).
"""

from typing import Final

import msgspec

from probe.catalog.engine_memory import Launch, engine_memory_rules
from probe.catalog.model_spec import ModelSpec
from probe.engines.engine_answer import EngineAnswer
from probe.estimate.speed import PROMPT_TOKENS, depth_tokens, estimate_speed
from probe.estimate.speed_calibration import calibrated
from probe.estimate.speed_device import SpeedDevice
from probe.estimate.speed_figures import SpeedFigures
from probe.estimate.speed_served import engine_speed
from probe.estimate.weight_bytes import WeightBytes
from probe.machine import Machine, Range
from probe.recommender.pools import machine_pools
from probe.recommender.speed_devices import device_of_pool

_WIDER: Final = 1.3  # each way: what other engines' kernels differ from the fitted ones is not known
_BASIS: Final = "other_engine"


def checkpoint_speed(
    engine: str,
    spec: ModelSpec,
    weights: WeightBytes,
    found: EngineAnswer,
    machine: Machine,
    *,
    context: int,
    parallel: int,
) -> SpeedFigures:
    """Speed of one stream, the cache read as far as it is filled."""
    fitted = estimate_speed(
        spec,
        weights,
        _devices(weights, found, machine, context=context, parallel=parallel),
        split=found.split,
        context=context,
        parallel=parallel,
        engine=engine,
    )
    if fitted.decode_tokens_per_s is None or engine_speed(engine) is not None:
        return fitted
    if engine != "transformers":
        return _adjusted(fitted, _wider(fitted.decode_tokens_per_s), parallel)
    launch = engine_memory_rules().transformers.launch
    return _adjusted(fitted, _launched(fitted.decode_tokens_per_s, len(weights.layers), launch), parallel)


def _devices(
    weights: WeightBytes, found: EngineAnswer, machine: Machine, *, context: int, parallel: int
) -> tuple[SpeedDevice, ...]:
    """Each device with its part of what one token reads; measurements on this machine count."""
    filled = depth_tokens(context) / context / parallel
    count = len(found.devices)
    pools = machine_pools(machine)
    devices = tuple(
        device_of_pool(
            pools.by_device(memory.device),
            machine,
            active=weights.active_bytes // count,
            kv=round((memory.kv_cache_bytes or 0) * filled),
            layers=len(weights.layers) // (count if found.split == "layer" else 1),
            link=None,
        )
        for memory in found.memory.per_device
        if memory.device in found.devices
    )
    if machine.measurements:
        return tuple(calibrated(device, machine.measurements) for device in devices)
    return devices


def _wider(decode: Range) -> Range:
    return Range(low=decode.low / _WIDER, value=decode.value, high=decode.high * _WIDER, basis=_BASIS)


def _launched(decode: Range, layers: int, launch: Launch) -> Range:
    """Each end of the fitted time with the matching end of the time that starting kernels takes."""
    return Range(
        low=1 / (1 / decode.low + layers * launch.high_s) if decode.low else 0.0,
        value=1 / (1 / decode.value + layers * launch.value_s) if decode.value else 0.0,
        high=1 / (1 / decode.high + layers * launch.low_s) if decode.high else 0.0,
        basis=_BASIS,
    )


def _adjusted(fitted: SpeedFigures, decode: Range, parallel: int) -> SpeedFigures:
    prompt = fitted.prefill_tokens_per_s
    if prompt is not None:
        prompt = Range(low=prompt.low / _WIDER, value=prompt.value, high=prompt.high * _WIDER, basis=_BASIS)
    first = None if prompt is None or not decode.value else PROMPT_TOKENS / prompt.value + 1 / decode.value
    together = fitted.aggregate_tokens_per_s
    if together is not None and fitted.decode_tokens_per_s and fitted.decode_tokens_per_s.value:
        together *= decode.value / fitted.decode_tokens_per_s.value
    return msgspec.structs.replace(
        fitted,
        decode_tokens_per_s=decode,
        prefill_tokens_per_s=prompt,
        aggregate_tokens_per_s=decode.value if parallel == 1 else together,
        time_to_first_token_s=first,
    )
