"""Devices as another engine drives them: the class's constants moved by what that engine's runs show.

Decode: weights are read at another share of the bandwidth, by how they are stored; a layer,
its routed experts and the exchange among GPUs cost other times. Prompts: another share of
the arithmetic, a fixed time a layer, and a loss on several GPUs.

Constants: catalogs/engine_speed.json, fitted by scripts/fit_engine_speed.py on
catalogs/benchmarks/speed_engines.csv.
"""

import math
import re
from typing import Final

import msgspec

from probe.catalog.engine_speed import EngineSpeed, engine_speeds
from probe.catalog.speed_constants import SpeedConstants
from probe.estimate.speed_class import generation, kernel_class
from probe.estimate.speed_device import Shifts, SpeedDevice
from probe.estimate.speed_prompt import prompt_rate
from probe.estimate.weight_bytes import WeightBytes

_PACKED: Final = re.compile(r"awq|gptq|w4a16|mlx-[234]bit|exl")
_NARROW: Final = re.compile(r"fp8|int8|int4|nvfp4|mxfp|mlx|bnb")


def engine_speed(engine: str | None) -> EngineSpeed | None:
    """What is known of an engine's speed; None where too few rows are: llama.cpp's constants hold there."""
    return engine_speeds().engines.get(engine) if engine else None


def is_packed(quantization: str) -> bool:
    """Whether kernels unpack the weights of this checkpoint format."""
    return _PACKED.match(quantization.lower()) is not None


def is_narrow(quantization: str) -> bool:
    """Whether a checkpoint format below 16 bits is read as it is."""
    return not is_packed(quantization) and _NARROW.match(quantization.lower()) is not None


def shifts_of(served: EngineSpeed, quantization: str) -> Shifts:
    """How the engine's decode differs from the device's class for weights stored this way."""
    stored = served.packed if is_packed(quantization) else served.narrow if is_narrow(quantization) else 0.0
    return Shifts(
        efficiency=served.efficiency + stored,
        kernel=served.kernel,
        layer=served.layer,
        experts=served.experts - served.layer,
    )


def prompt_gain(served: EngineSpeed, device: SpeedDevice, quantization: str, *, rate: float) -> float:
    """Factor on the arithmetic rate of prompts, never beyond what the matrix units can do.

    Args:
        rate: operations a second that the class's constants give (`prompt_rate`).
    """
    narrow = is_narrow(quantization)
    gain = math.exp(served.prompt_rate + (served.prompt_narrow if narrow else 0.0))
    peak = peak_per_s(device, narrow=narrow)
    return min(gain, MOST_OF_PEAK * peak / rate) if peak and rate else gain


# Of the data sheet's dense rate, for a whole model: prompts of 28,000 tokens reach 0.68 to 0.70 on A100 and
# A6000, up to 0.9 on cards with few matrix units for their bandwidth (speed_engines.csv).
MOST_OF_PEAK: Final = 0.7


def peak_per_s(device: SpeedDevice, *, narrow: bool) -> float | None:
    """Operations a second of the matrix units with 32-bit sums; in 8 bits twice as many where they can."""
    rates = device.compute
    if rates is None:
        return None
    tflops = rates.bf16_tflops or rates.fp16_tflops
    if not tflops:
        return None
    return tflops * 1e12 * (2.0 if narrow and generation(device) in _EIGHT_BIT_UNITS else 1.0)


_EIGHT_BIT_UNITS: Final = ("ada", "hopper", "blackwell", "cdna3", "cdna4")


def served_by(
    devices: tuple[SpeedDevice, ...],
    served: EngineSpeed,
    weights: WeightBytes,
    constants: SpeedConstants,
    *,
    experts: bool,
) -> tuple[SpeedDevice, ...]:
    """The devices under this engine; what was measured on a device itself stays."""
    name = weights.quantization
    shifts, kernel = shifts_of(served, name), kernel_class(name)
    found = []
    for device in devices:
        factor = device.prompt_factor
        if not device.prompt_measured:
            rate = prompt_rate(device, constants, kernel=kernel, experts=experts)
            factor = prompt_gain(served, device, name, rate=rate)
        own = device.shifts if device.measured else shifts
        found.append(msgspec.structs.replace(device, shifts=own, prompt_factor=factor))
    return tuple(found)


def prompt_seconds_of(served: EngineSpeed, times: list[float], layers: int, *, together: bool) -> float:
    """A prompt's time under this engine, from each device's own part in order."""
    if together:
        slowest = max(times)
        return slowest * math.pow(len(times), served.prompt_parallel) + layers * served.prompt_layer_s
    return sum(times) + layers * served.prompt_layer_s
