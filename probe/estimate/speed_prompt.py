"""Seconds that a prompt takes on one device: arithmetic, and reading the weights once a batch.

    t = tokens x (2 x active parameters + attention) / (arithmetic rate x share)
      + batches x weight bytes / (bandwidth x efficiency)

Attention of token n is 4 x layers x heads x head size x n operations, n at most the window
in layers that have one. The share and the
weight of attention are fitted per class. A batch of 512 tokens reads nearly all experts of
a mixture, which is why these are slow on prompts.

Constants: catalogs/speed.json, fitted by scripts/fit_speed.py on catalogs/benchmarks/speed.csv.
"""

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from probe.catalog.speed_constants import DecodeConstants, SpeedConstants, speed_constants
from probe.estimate.roofline import reading_rate
from probe.estimate.speed_class import (
    CPU,
    TYPICAL_CORES,
    RunKind,
    arithmetic_per_s,
    class_keys,
    cores,
    generation,
    kernel_keys,
    term,
    wideness,
)
from probe.estimate.speed_device import SpeedDevice, without_model

BATCH: Final = 512  # tokens computed at once: n_ubatch of llama.cpp, common/common.h at b11434


class PromptShape(NamedTuple):
    """What a model costs per prompt token."""

    operations: float  # 2 x parameters read for one token
    attention_width: float  # sum over full-attention layers of heads x head size
    sliding_width: float  # the same of layers with a window
    window: int
    experts: bool
    attention_per_cache_byte: float = 1.0  # operations of one token a byte of a 16-bit cache that it reads

    def attention(self, tokens: float, depth: float) -> float:
        """Operations of attention per token, on average over a prompt that begins behind `depth` tokens."""
        reach = depth + tokens / 2
        near = min(reach, self.window) if self.window else reach
        return 4 * (self.attention_width * reach + self.sliding_width * near)


def matrix_ratio(device: SpeedDevice, typical: Mapping[str, float]) -> float:
    """How much faster the matrix units are than FP32; 1 where there are none or the engine leaves them alone.

    A GPU without rates gets the usual ratio of its generation.
    """
    if device.backend == CPU:
        return 1.0
    if device.backend == "vulkan" and device.vendor == "intel" and not _XE2.match(generation(device) or ""):
        return 1.0
    rates = device.compute
    if rates is None or not rates.fp32_tflops:
        return next((typical[key] for key in reversed(class_keys(device)) if key in typical), 1.0)
    matrix = max(rates.fp16_tflops or 0.0, rates.bf16_tflops or 0.0)
    return max(1.0, matrix * 1e12 / arithmetic_per_s(device, {}, {}))


# llama.cpp leaves the matrix units of Intel's older cards alone under Vulkan
# (ggml_vk_khr_cooperative_matrix_support, ggml/src/ggml-vulkan/ggml-vulkan.cpp#L16251 at b11434).
_XE2: Final = re.compile(r"xe[2-9]")


def many_cores(device: SpeedDevice) -> float:
    """Logarithm of a CPU's cores: many cores wait for each other and clock lower."""
    return math.log(max(1.0, cores(device) or TYPICAL_CORES)) if device.backend == CPU else 0.0


def large_gpu(device: SpeedDevice, ratios: Mapping[str, float]) -> float:
    """Logarithm of a GPU's arithmetic against a small one's: a batch of 512 tokens fills large ones less."""
    if device.backend == CPU:
        return 0.0
    rate = arithmetic_per_s(device, ratios, {})
    return math.log(max(1.0, rate / SMALL_GPU_RATE))


SMALL_GPU_RATE: Final = 12e12  # FP32 operations a second that one batch still fills (RTX 3060: 12.7e12)


def prompt_rate(
    device: SpeedDevice, constants: SpeedConstants, *, kernel: str, experts: bool, old_build: bool = False
) -> float:
    """Operations a second that this device reaches on prompts; 0 where nothing is known."""
    c = constants.prompt
    keys = class_keys(device)
    both = kernel_keys(keys, kernel)
    if experts:
        both = (*both, *(f"{key}|experts" for key in keys))
    if old_build:
        both = (*both, *(f"{key}@2024" for key in keys))
    share = term(c.rate, both) + c.rate.get("matrix", 0.0) * math.log(
        matrix_ratio(device, constants.matrix_ratio)
    )
    if device.backend == CPU:
        share += c.rate.get("cores", 0.0) * many_cores(device)
    else:
        share += c.rate.get("large", 0.0) * large_gpu(device, constants.flops_per_byte)
    return arithmetic_per_s(device, constants.flops_per_byte, c.core_rate) * math.exp(share)


def reading_per_s(device: SpeedDevice, decode: DecodeConstants) -> float:
    """Bytes of weights that a batch of a prompt reads in a second; 0 where no bandwidth is known."""
    rate = reading_rate(device)
    if not rate:
        return 0.0
    wide = decode.efficiency.get("cpu|wide", 0.0) * wideness(device)
    return rate * math.exp(term(decode.efficiency, class_keys(device)) + wide)


class PromptTerms(NamedTuple):
    """What the formula knows of a device and an engine before a model comes in."""

    rate: float  # operations a second; 0 where nothing is known
    attention: float  # cost of an operation of attention against one of a matrix
    reading: float  # bytes of weights a second; 0 where nothing is known


def prompt_terms(device: SpeedDevice, constants: SpeedConstants, kind: RunKind) -> PromptTerms:
    """The terms of one device; what lies on it does not count (see `decode_terms`)."""
    if constants is speed_constants():
        return _installed_terms(without_model(device), kind)
    return _terms(device, constants, kind)


@lru_cache(maxsize=256)
def _installed_terms(device: SpeedDevice, kind: RunKind) -> PromptTerms:
    return _terms(device, speed_constants(), kind)


def _terms(device: SpeedDevice, constants: SpeedConstants, kind: RunKind) -> PromptTerms:
    weight = term(constants.prompt.attention, class_keys(device))
    if kind.without_flash_attention:
        weight += constants.prompt.attention.get("noflash", 0.0)
    return PromptTerms(
        rate=prompt_rate(
            device, constants, kernel=kind.kernel, experts=kind.experts, old_build=kind.old_build
        ),
        attention=math.exp(weight),
        reading=reading_per_s(device, constants.decode),
    )


def prompt_seconds(
    device: SpeedDevice,
    constants: SpeedConstants,
    shape: PromptShape,
    *,
    tokens: int,
    kernel: str,
    weight_bytes: float,
    batch: int = BATCH,
    depth: float = 0.0,
    share_of_model: float = 1.0,
    without_flash_attention: bool = False,
    old_build: bool = False,
) -> float | None:
    """Time of a prompt of `tokens` on a device that holds `share_of_model` of the layers.

    Args:
        weight_bytes: weights on this device that one batch reads.
        batch: tokens computed at once (ubatch).
        depth: tokens in the cache before the prompt.

    Returns None where the device's arithmetic rate is not known.
    """
    kind = RunKind(kernel, shape.experts, without_flash_attention, old_build)
    rate, attention_cost, reading = prompt_terms(device, constants, kind)
    if not rate:
        return None
    attention = shape.attention(tokens, depth) * attention_cost
    compute = tokens * (shape.operations + attention) * share_of_model / rate
    return compute + (math.ceil(tokens / batch) * weight_bytes / reading if reading else 0.0)


def overlaps(devices: Sequence[SpeedDevice]) -> bool:
    """Whether the devices of a layer split work on several batches at once.

    llama.cpp does so when every layer is on a GPU whose backend has events (src/llama-context.cpp#L432
    at b11434): CUDA, and by the source ROCm and Vulkan too. Measurements exist of CUDA alone, so only
    there is it counted.
    """
    return len(devices) > 1 and all(device.backend == "cuda" for device in devices)


def chain_seconds(times: Sequence[float], batches: int, gain: float) -> float:
    """Time of a prompt through a chain of devices.

    One batch after the other takes the sum of all; while a device computes a batch, the one before it
    may already compute the next: the whole then takes the first batch's way and, for every further
    batch, the slowest device's part.

    Args:
        times: seconds of each device for the whole prompt.
        batches: how many batches the prompt is computed in.
        gain: share of that overlap which is reached, 0 to 1.
    """
    total = sum(times)
    overlapped = (total + (batches - 1) * max(times, default=0.0)) / batches
    return total - gain * (total - overlapped)
