"""What of a machine bears on a start-up error: the device meant, its memory, driver, what may run on it."""

import math
import re
from collections.abc import Mapping
from typing import Final

from probe.catalog.cuda import CudaFit, cuda_fit, driver_cuda, minimum_driver
from probe.catalog.engines import all_releases, builds_of
from probe.catalog.versions import at_least, version_key
from probe.errors import FactValue
from probe.machine import Accelerator, AcceleratorState, Machine, OsFamily
from probe.units import GIB

_MARGIN_BYTES: Final = GIB // 2  # what others may take between reading and start
_SIZE = re.compile(r"([\d.]{1,14}) ?([KMGT]?)(i?B|bytes)?")


def size_of(text: str | None, *, unit: str = "") -> int | None:
    """Bytes of `39.19 GiB`, `7.9 GB` or, with `unit`, of a bare number; None where it is no number."""
    found = _SIZE.match(text or "")
    if found is None:
        return None
    try:
        number = float(found.group(1))
    except ValueError:
        return None
    prefix, letters = found.group(2), found.group(3)
    if not prefix and not letters and unit:
        prefix, letters = unit[0], "iB"
    # "GB" of Ollama and "GiB" of the others: the first counts in thousands
    base = 1000 if letters == "B" and prefix else 1024
    return int(number * base ** " KMGT".index(prefix or " "))


def system_of(machine: Machine) -> OsFamily | None:
    """Whose driver counts: under WSL it is Windows'."""
    return OsFamily.WINDOWS if machine.host.os.wsl else machine.host.os.family


def device_of(machine: Machine, index: str | None) -> Accelerator | None:
    """The GPU an error is about: by its number, counted behind CUDA_VISIBLE_DEVICES; else the first."""
    gpus = [one for one in machine.accelerators if one.vendor == "nvidia"] or list(machine.usable_gpus())
    if len(gpus) < 2:
        return gpus[0] if gpus else None
    number = int(index) if index else 0
    mask = machine.software.environment.get("CUDA_VISIBLE_DEVICES")
    if mask:
        named = mask.split(",")
        if number >= len(named) or not named[number].strip().isdecimal():
            return None
        number = int(named[number])
    return next((one for one in gpus if one.index == number), None)


def facts_of(machine: Machine, gpu: Accelerator | None) -> dict[str, FactValue]:
    """Every value that the sentences about this machine may print; None is unknown."""
    nvidia = machine.nvidia
    driver = (nvidia.driver_version if nvidia else None) or (gpu.driver_version if gpu else None)
    cuda = nvidia.cuda_driver_version if nvidia else None
    held = [
        f"{one.name or '?'} ({one.pid})"
        for one in sorted(gpu.processes if gpu else (), key=lambda one: -(one.memory_bytes or 0))
    ]
    system = system_of(machine)
    return {
        "gpu": gpu.name if gpu else None,
        "capability": gpu.compute_capability if gpu else None,
        "gpu_total_bytes": gpu.memory_total_bytes if gpu else None,
        "gpu_free_bytes": gpu.memory_free_bytes if gpu else None,
        "processes": ", ".join(held[:5]) or None,
        "driver": driver,
        "cuda": cuda or (driver_cuda(driver) if driver else None),
        "needed_driver": minimum_driver(13, system),
        "module": nvidia.kernel_module_version if nvidia else None,
        "library": nvidia.library_version if nvidia else None,
        "ram_total_bytes": machine.memory.total_bytes,
        "ram_available_bytes": machine.memory.available_bytes,
        "ram_limit_bytes": machine.memory.limit_bytes,
        "container": machine.host.os.container,
        "python": machine.host.python,
        "cpu": machine.cpu.brand or machine.cpu.catalog_name,
        "isa": ", ".join(one for one in ("avx", "avx2", "avx512f") if one in machine.cpu.isa) or None,
        "gpu_count": len(machine.usable_gpus()),
        "vllm": vllm_for(driver, gpu.compute_capability if gpu else None, system),
        "engines": gguf_engines_for(driver, gpu.compute_capability if gpu else None, system) or None,
    }


def usable(gpu: Accelerator | None) -> bool:
    """Whether there is a device and programs may compute on it."""
    return gpu is not None and gpu.state is AcceleratorState.USABLE


def vllm_for(driver: str | None, capability: str | None, system: OsFamily | None) -> str | None:
    """The newest vLLM release whose package runs on this GPU and (where known) driver; None = none."""
    if capability is None:
        return None
    fitting = [
        row
        for row in all_releases()
        if row.engine == "vllm"
        and row.cuda is not None
        and (driver is None or cuda_fit(driver, row.cuda, system) is not CudaFit.TOO_OLD)
        and at_least(capability, row.min_cc)
    ]
    return max(fitting, key=lambda row: version_key(row.version)).version if fitting else None


def gguf_engines_for(driver: str | None, capability: str | None, system: OsFamily | None) -> str:
    """llama.cpp and Ollama, where one of their CUDA builds runs on this driver and GPU; "" = neither."""
    if driver is None or capability is None:
        return ""
    names = []
    for engine, name in (("llama.cpp", "llama.cpp"), ("ollama", "Ollama")):
        for row in builds_of(engine, "cuda"):
            if system is OsFamily.WINDOWS:
                least = row.min_driver_windows
            elif not at_least(capability, "7.5") and row.min_driver_linux_old_gpus:
                least = row.min_driver_linux_old_gpus
            else:
                least = row.min_driver_linux
            if at_least(capability, row.min_cc) and at_least(driver, least):
                names.append(name)
                break
    return ", ".join(names)


def utilization_for(free_bytes: int | None, total_bytes: int | None) -> float | None:
    """The `--gpu-memory-utilization` that vLLM starts with: (free - 0.5 GiB) / total, cut to 2 digits.

    Source: vllm 0.33.0 v1/worker/utils.py request_memory: refuses when free < ceil(total x share).
    """
    if free_bytes is None or not total_bytes:
        return None
    return max(math.floor((free_bytes - _MARGIN_BYTES) * 100 / total_bytes), 0) / 100


def figures_in(groups: Mapping[str, str]) -> dict[str, FactValue]:
    """The numbers of a message: sizes in bytes under `said_*`, everything else as it stands."""
    gib = {"free", "total", "asked", "before", "after", "needed", "available"}
    read: dict[str, FactValue] = {}
    for name, text in groups.items():
        if name in gib:
            read[f"said_{name}_bytes"] = size_of(text, unit="G")
        elif name == "bytes":
            read["said_asked_bytes"] = int(text)
        elif name.endswith("_tokens"):
            read[f"said_{name}"] = int(text.replace(",", "") or 0)
        else:
            read[f"said_{name}"] = text
    return read
