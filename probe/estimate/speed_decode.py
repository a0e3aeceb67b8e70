"""Seconds of one generated token on one device.

    t = (reading^p + unpacking^p)^(1/p) + cache + layers x overhead

reading = weight bytes / (bandwidth x efficiency); unpacking = weight bytes x arithmetic
per byte of the kernel class / arithmetic rate; cache = KV bytes at weight efficiency x
factor + attention arithmetic x cost / arithmetic rate (kernels for one query leave most
units idle, so an operation costs many times its share); overhead per layer, more with
routed experts. Old GPUs and few CPU cores are bound by unpacking, small models by the
overhead, the rest by reading.

Constants: catalogs/speed.json, fitted by scripts/fit_speed.py on catalogs/benchmarks/speed.csv.
"""

import math
from typing import NamedTuple

from probe.catalog.speed_constants import SpeedConstants
from probe.estimate.roofline import reading_rate
from probe.estimate.speed_class import arithmetic_per_s, class_keys, kernel_keys, term, wideness
from probe.estimate.speed_device import SpeedDevice


class DecodeTimes(NamedTuple):
    """Parts of one token's time on one device, seconds."""

    weights: float
    cache: float
    overhead: float
    efficiency: float  # share of peak bandwidth, for --explain
    layer_overhead: float

    @property
    def total(self) -> float:
        """All parts."""
        return self.weights + self.cache + self.overhead


def decode_times(
    device: SpeedDevice,
    constants: SpeedConstants,
    *,
    kernel: str,
    experts: bool,
    bandwidth: float | None = None,
    weight_bytes: float | None = None,
    attention: float = 0.0,
    without_flash_attention: bool = False,
    old_build: bool = False,
) -> DecodeTimes | None:
    """Times of one token on `device`; None where its bandwidth is not known.

    Args:
        kernel: kernel class of the quantization (`kernel_class`).
        experts: the model has routed experts.
        bandwidth: another bandwidth than the device's middle figure, bytes/s.
        weight_bytes: other weights than one conversation's (batches read more experts).
        attention: operations of one token on the keys and values it reads.
        without_flash_attention: the engine reads the cache without it.
        old_build: an engine of 2024 or before.
    """
    rate = bandwidth or reading_rate(device)
    if not rate:
        return None
    c = constants.decode
    keys = class_keys(device)
    if old_build:
        keys = (*keys, *(f"{key}@2024" for key in keys))
    both = kernel_keys(keys, kernel)
    wide = c.efficiency.get("cpu|wide", 0.0) * wideness(device)
    shifts = device.shifts
    # A measured shift may lead above 1: the bandwidth was a prior, and this machine has more modules.
    efficiency = min(1.0, math.exp(term(c.efficiency, both) + wide)) * math.exp(shifts.efficiency)
    size = device.active_weight_bytes if weight_bytes is None else weight_bytes
    reading = size / (rate * efficiency)
    arithmetic = arithmetic_per_s(device, constants.flops_per_byte, c.core_rate)
    unpacking = size * math.exp(term(c.kernel, both) + shifts.kernel) / arithmetic if arithmetic else 0.0
    p = c.sharpness
    weights = (reading**p + unpacking**p) ** (1 / p)
    slower = 0.0
    if without_flash_attention:
        slower = term(c.cache, ("noflash", f"noflash|{device.vendor}/{device.backend}"))
    # The cache is read at no more than the memory's rate either.
    cache = device.kv_bytes / rate * max(1.0, math.exp(term(c.cache, keys) + slower) / efficiency)
    if arithmetic:
        cache += attention * math.exp(term(c.attention, keys)) / arithmetic
    overhead = math.exp(term(c.layer, keys))
    if experts:
        overhead += math.exp(term(c.experts, keys))
    overhead *= math.exp(shifts.layer)
    return DecodeTimes(weights, cache, device.layers * overhead, efficiency, overhead)
