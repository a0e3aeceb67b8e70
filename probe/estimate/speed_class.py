"""Which constants of the speed model hold for a device and a quantization."""

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from probe.estimate.speed_device import SpeedDevice

# Kernel classes of llama.cpp: formats whose unpacking costs about the same arithmetic a byte.
_KERNELS: Final = (
    (re.compile(r"^(F|BF)(16|32)|^FP16"), "f16"),
    (re.compile(r"^(Q8|FP8|INT8|W8)"), "q8"),
    (re.compile(r"^(MXFP4|NVFP4)"), "fp4"),
    (re.compile(r"^(IQ[123]|TQ)"), "iq"),
    (re.compile(r"^(Q[123]_|W2)"), "k23"),
    (re.compile(r"^(Q4_0|IQ4_NL|W4)"), "q4"),  # repacked for CPUs
    (re.compile(r"^Q5_0"), "q5"),
    (re.compile(r"^Q[45]_1"), "q41"),  # no block kernel on CPUs: ggml-cpu/llamafile/sgemm.cpp at 02e86cf
    (re.compile(r"^IQ4_XS"), "iq4"),
    (re.compile(r""), "k4"),  # Q4_K, Q5_K, Q6_K, AWQ, GPTQ
)
# Compute capability -> generation; NVIDIA's own names differ between tools.
_NVIDIA: Final = {
    "5": "maxwell", "6": "pascal", "7.0": "volta", "7.2": "volta", "7.5": "turing", "8.9": "ada",
    "8": "ampere", "9": "hopper", "10": "blackwell", "11": "blackwell", "12": "blackwell",
}  # fmt: skip
_AMD: Final = re.compile(r"(rdna|cdna|gcn)\s*(\d)(?:\.([1-9]))?", re.IGNORECASE)
# The catalog's FP32 rates of these count dual issue (compute units x 256 x clock); unpacking weights
# issues one. Those of RDNA 3.5 do not: Radeon 8060S 14.85 = 40 x 128 x 2.9 GHz.
_DUAL_ISSUE: Final = ("rdna3", "rdna4")
_APPLE: Final = re.compile(r"\bM(\d)\b")
# Instruction sets that llama.cpp's CPU kernels are written for, fastest first.
_ISA: Final = (
    ("amx", ("amx_int8", "amx-int8")),
    ("avx512", ("avx512_vnni", "avx512vnni", "avx512bw", "avx512f")),
    ("avxvnni", ("avx_vnni", "avxvnni")),
    ("avx2", ("avx2",)),
    ("avx", ("avx",)),
    ("i8mm", ("i8mm",)),
    ("dotprod", ("asimddp", "dotprod")),
    ("neon", ("asimd", "neon")),
)
_ARM: Final = ("i8mm", "dotprod", "neon")
CPU: Final = "cpu"


class RunKind(NamedTuple):
    """What of a model and an engine decides which constants hold."""

    kernel: str  # kernel class of the quantization
    experts: bool  # the model has routed experts
    without_flash_attention: bool = False  # the engine reads the cache without it
    old_build: bool = False  # an engine of 2024 or before


@lru_cache(maxsize=256)
def kernel_class(quantization: str) -> str:
    """The kernel class of a quantization's name: f16 q8 q4 q5 q41 k4 k23 iq4 iq fp4."""
    name = quantization.upper().removeprefix("UD-")
    return next(label for pattern, label in _KERNELS if pattern.match(name))


@lru_cache(maxsize=64)
def isa_class(isa: tuple[str, ...]) -> str:
    """The best instruction set with kernels: amx avx512 avxvnni avx2 avx i8mm dotprod neon base.

    Nothing listed means that nobody said, not that there is nothing: then AVX2, which
    every PC processor of the last ten years has.
    """
    if not isa:
        return TYPICAL_ISA
    found = {word.lower().replace("-", "_") for word in isa}
    for label, words in _ISA:
        if any(word.replace("-", "_") in found for word in words):
            return label
    return "base"


@lru_cache(maxsize=512)
def _generation(
    vendor: str, architecture: str | None, compute_capability: str | None, name: str | None
) -> str | None:
    if vendor == "nvidia" and compute_capability:
        major = compute_capability.partition(".")[0]
        return _NVIDIA.get(compute_capability, _NVIDIA.get(major))
    if vendor == "apple":
        chip = _APPLE.search(name or "")
        return f"m{chip.group(1)}" if chip else None
    if vendor == "amd":
        found = _AMD.search(architecture or "")
        if found is None:
            return None
        family, major, minor = found.groups()
        return f"{family.lower()}{major}" + (f".{minor}" if minor and family.lower() == "rdna" else "")
    return architecture.lower().replace(" ", "") if architecture else None


def generation(device: SpeedDevice) -> str | None:
    """The architecture generation as the constants name it: `ada`, `rdna3.5`, `m4`, `xe2-hpg`."""
    if device.backend == CPU:
        return isa_class(device.isa)
    return _generation(device.vendor, device.architecture, device.compute_capability, device.name)


def class_keys(device: SpeedDevice) -> tuple[str, ...]:
    """Keys of the device's class, widest first: `""`, `amd`, `amd/rocm`, `amd:rdna3`, `amd/rocm:rdna3`."""
    return _class_keys(CPU if device.backend == CPU else device.vendor, device.backend, generation(device))


@lru_cache(maxsize=512)
def _class_keys(vendor: str, backend: str, age: str | None) -> tuple[str, ...]:
    if vendor == CPU:
        return ("", CPU, f"{CPU}/{'arm' if age in _ARM else 'x86'}", f"{CPU}:{age}")
    keys = ("", vendor, f"{vendor}/{backend}")
    return keys if age is None else (*keys, f"{vendor}:{age}", f"{vendor}/{backend}:{age}")


def kernel_keys(keys: tuple[str, ...], kernel: str) -> tuple[str, ...]:
    """The class keys and the same with the kernel class: `|k4`, `amd|k4`, `amd/rocm|k4`."""
    return (*keys, *(f"{key}|{kernel}" for key in keys))


def term(values: Mapping[str, float], keys: tuple[str, ...]) -> float:
    """The sum of a term's logarithms over the keys that exist."""
    total = 0.0
    for key in keys:
        total += values.get(key, 0.0)
    return total


def cores(device: SpeedDevice) -> float | None:
    """Cores of a CPU as performance cores: the usable ones, second threads not counted, small cores half.

    Intel's hybrids have two threads on performance cores only, so these are logical - physical.
    """
    usable, physical, logical = device.usable_cores, device.physical_cores, device.logical_cores
    if physical is None:
        return usable
    full = float(physical)
    if device.architecture in _SMALL_CORES_ONLY:
        full *= SMALL_CORE
    elif logical is not None and physical < logical < 2 * physical:
        large = logical - physical
        full = large + (physical - large) * SMALL_CORE
    if usable is None:
        return full
    return min(usable * (SMALL_CORE if device.architecture in _SMALL_CORES_ONLY else 1.0), full)


# Processors made of efficiency cores alone, as the catalog names their generations.
_SMALL_CORES_ONLY: Final = frozenset(
    ("Alder Lake-N", "Alder Lake-N / Twin Lake", "Jasper Lake", "Elkhart Lake", "Gemini Lake", "Apollo Lake")
)
SMALL_CORE: Final = 0.5  # an efficiency core against a performance core


def arithmetic_per_s(
    device: SpeedDevice, ratios: Mapping[str, float], core_rate: Mapping[str, float]
) -> float:
    """FP32 operations a second of a GPU; of a CPU the fitted rate of its instruction set times its cores.

    A GPU without a rate gets the usual ratio of arithmetic to bandwidth of its generation.
    """
    keys = class_keys(device)
    if device.backend == CPU:
        count = cores(device)
        return math.exp(term(core_rate, keys)) * (TYPICAL_CORES if count is None else count)
    rate = device.compute.fp32_tflops if device.compute else None
    if rate is not None:
        return rate * 1e12 * (0.5 if generation(device) in _DUAL_ISSUE else 1.0)
    bandwidth = device.bandwidth.value if device.bandwidth else 0.0
    ratio = next((ratios[key] for key in reversed(keys) if key in ratios), ratios[""])
    return ratio * bandwidth


def wideness(device: SpeedDevice) -> float:
    """How much more bandwidth a CPU's memory has than its cores' ports carry, as a logarithm; 0 = none.

    Cores reach memory through ports: one a chiplet of 8 (AMD, Arm), one a cluster of 4
    (Apple), one ring a processor (Intel's client parts). A laptop's LPDDR5X is faster
    than that port, a desktop's DDR4 or a server's share of its channels is not. (GPUs: a slope over the
    width was tried and came out as zero.)
    """
    if device.backend != CPU or device.bandwidth is None or device.bandwidth.basis == "measured":
        return 0.0
    count = device.physical_cores or device.usable_cores or TYPICAL_CORES
    ports = max(1.0, count / _PORT_CORES.get(device.vendor, 8))
    return max(0.0, math.log(device.bandwidth.value / (ports * PORT_BYTES_PER_S)))


TYPICAL_ISA: Final = "avx2"  # where a processor's instruction sets are not known
TYPICAL_CORES: Final = 6  # where a processor's cores are not known
_PORT_CORES: Final = {"apple": 4, "intel": 24}
# Reading on one Zen 4 chiplet stops at about 60 GB/s (speed.csv: Ryzen 9 7950X, BF16 at 2 threads),
# on one DDR4 channel pair at its peak: the penalty begins between.
PORT_BYTES_PER_S: Final = 40e9
