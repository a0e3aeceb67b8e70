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
from functools import lru_cache
from typing import NamedTuple

from probe.catalog.speed_constants import SpeedConstants, speed_constants
from probe.estimate.roofline import reading_rate
from probe.estimate.speed_class import RunKind, arithmetic_per_s, class_keys, kernel_keys, term, wideness
from probe.estimate.speed_device import SpeedDevice, without_model


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


class DecodeTerms(NamedTuple):
    """What the formula knows of a device and an engine before a model comes in."""

    efficiency: float  # share of peak bandwidth
    unpacking: float  # operations a weight byte
    arithmetic: float  # operations a second; 0 where nothing is known
    sharpness: float
    cache: float  # time of a cache byte against reading it at the memory's full rate
    attention: float  # cost of an operation of attention against the arithmetic rate
    layer_overhead: float  # seconds


def decode_terms(device: SpeedDevice, constants: SpeedConstants, kind: RunKind) -> DecodeTerms:
    """The terms of one device; what lies on it does not count.

    With this installation's constants each class is summed up once: a survey asks for the same
    few devices more than a thousand times.
    """
    if constants is speed_constants():
        return _installed_terms(without_model(device), kind)
    return _terms(device, constants, kind)


@lru_cache(maxsize=256)
def _installed_terms(device: SpeedDevice, kind: RunKind) -> DecodeTerms:
    return _terms(device, speed_constants(), kind)


def _terms(device: SpeedDevice, constants: SpeedConstants, kind: RunKind) -> DecodeTerms:
    c = constants.decode
    keys = class_keys(device)
    if kind.old_build:
        keys = (*keys, *(f"{key}@2024" for key in keys))
    both = kernel_keys(keys, kind.kernel)
    wide = c.efficiency.get("cpu|wide", 0.0) * wideness(device)
    shifts = device.shifts
    # A measured shift may lead above 1: the bandwidth was a prior, and this machine has more modules.
    efficiency = min(1.0, math.exp(term(c.efficiency, both) + wide)) * math.exp(shifts.efficiency)
    slower = 0.0
    if kind.without_flash_attention:
        slower = term(c.cache, ("noflash", f"noflash|{device.vendor}/{device.backend}"))
    overhead = math.exp(term(c.layer, keys))
    if kind.experts:
        overhead += math.exp(term(c.experts, keys) + shifts.experts)
    return DecodeTerms(
        efficiency=efficiency,
        unpacking=math.exp(term(c.kernel, both) + shifts.kernel),
        arithmetic=arithmetic_per_s(device, constants.flops_per_byte, c.core_rate),
        sharpness=c.sharpness,
        # The cache is read at no more than the memory's rate either.
        cache=max(1.0, math.exp(term(c.cache, keys) + slower) / efficiency),
        attention=math.exp(term(c.attention, keys)),
        layer_overhead=overhead * math.exp(shifts.layer),
    )


def decode_times(
    device: SpeedDevice,
    constants: SpeedConstants,
    *,
    kernel: str,
    experts: bool,
    weight_bytes: float | None = None,
    attention: float = 0.0,
    without_flash_attention: bool = False,
    old_build: bool = False,
) -> DecodeTimes | None:
    """Times of one token on `device`; None where its bandwidth is not known.

    Args:
        kernel: kernel class of the quantization (`kernel_class`).
        experts: the model has routed experts.
        weight_bytes: other weights than one conversation's (batches read more experts).
        attention: operations of one token on the keys and values it reads.
        without_flash_attention: the engine reads the cache without it.
        old_build: an engine of 2024 or before.
    """
    terms = decode_terms(device, constants, RunKind(kernel, experts, without_flash_attention, old_build))
    return times_at(reading_rate(device), device, terms, weight_bytes=weight_bytes, attention=attention)


def times_at(
    rate: float | None,
    device: SpeedDevice,
    terms: DecodeTerms,
    *,
    weight_bytes: float | None = None,
    attention: float = 0.0,
) -> DecodeTimes | None:
    """Times of one token where `device` reads its memory at `rate` bytes a second; None without a rate."""
    if not rate:
        return None
    efficiency, unpacking_cost, arithmetic, p, cache_factor, attention_cost, overhead = terms
    size = device.active_weight_bytes if weight_bytes is None else weight_bytes
    reading = size / (rate * efficiency)
    unpacking = size * unpacking_cost / arithmetic if arithmetic else 0.0
    weights = (reading**p + unpacking**p) ** (1 / p)
    cache = device.kv_bytes / rate * cache_factor
    if arithmetic:
        cache += attention * attention_cost / arithmetic
    return DecodeTimes(weights, cache, device.layers * overhead, efficiency, overhead)
