"""Disks, Python and engines: what stands in the way before any model is loaded."""

from typing import Final

from probe.catalog.engines import release_of
from probe.catalog.versions import in_range
from probe.engines.ollama import default_context, ollama_gpu_bytes
from probe.errors import FactValue
from probe.machine import AcceleratorKind, AcceleratorState, AttemptResult, InstalledEngine, Machine, OsFamily
from probe.recommender.doctor.finding import Finding, Severity
from probe.units import GIB

_LOW_DISK_BYTES: Final = 10 * GIB
_MODEL_PLACES: Final = (None, "home", "huggingface", "ollama")
_SLOW_DISKS: Final = ("hdd", "network")
_GPU_BACKENDS: Final = frozenset({"cuda", "hip", "vulkan", "metal", "sycl", "opencl", "musa", "cann"})
_SERVER: Final = "server on port"
# Ollama's own list of GPUs inside processors that it uses unasked (discover/runner.go).
_OLLAMA_TARGETS: Final = frozenset({"gfx1151"})
_OLLAMA_SWITCH: Final = "OLLAMA_IGPU_ENABLE"
_OLLAMA_CONTEXT: Final = "OLLAMA_CONTEXT_LENGTH"
_SHORT_CONTEXT: Final = 4096


def software_findings(machine: Machine) -> list[Finding]:
    """Hung sources, system, disks, Python, engines."""
    return [
        *_hung(machine),
        *_system(machine),
        *_disks(machine),
        *_python(machine),
        *_engines(machine),
    ]


def _hung(machine: Machine) -> list[Finding]:
    return [
        Finding(
            id="source_hung",
            severity=Severity.INFO if attempt.source.startswith(_SERVER) else Severity.WARNING,
            values={"source": attempt.source, "seconds": round(attempt.ms / 1000, 1)},
        )
        for attempt in machine.attempts
        if attempt.result is AttemptResult.TIMEOUT
    ]


def _system(machine: Machine) -> list[Finding]:
    return [Finding(id="wsl_1", severity=Severity.WARNING)] if machine.host.os.wsl == 1 else []


def _disks(machine: Machine) -> list[Finding]:
    places = [disk for disk in machine.disks if disk.purpose in _MODEL_PLACES]
    known = [disk for disk in places if disk.free_bytes is not None]
    found = []
    if known:
        roomiest = max(known, key=lambda disk: disk.free_bytes or 0)
        if (roomiest.free_bytes or 0) < _LOW_DISK_BYTES:
            values: dict[str, FactValue] = {"path": roomiest.path, "free_bytes": roomiest.free_bytes}
            found.append(Finding(id="disk_full", severity=Severity.WARNING, values=values))
    # WSL's virtual disk calls itself a rotating one whatever lies under it.
    kinds = set() if machine.host.os.wsl else {disk.kind for disk in places}
    if kinds and kinds <= set(_SLOW_DISKS):
        slow = next(disk for disk in places if disk.kind in _SLOW_DISKS)
        values = {"path": slow.path}
        found.append(Finding(id=f"disk_{slow.kind}", severity=Severity.INFO, values=values))
    return found


def _python(machine: Machine) -> list[Finding]:
    host, found = machine.host, []
    if host.python_bits == 32:
        found.append(Finding(id="python_32_bit", severity=Severity.WARNING, values={"python": host.python}))
    if any(attempt.code == "python_under_rosetta" for attempt in machine.attempts):
        found.append(
            Finding(id="python_under_rosetta", severity=Severity.WARNING, values={"python": host.python})
        )
    release = release_of("vllm")
    # On a Jetson vLLM comes in the maker's containers.
    serves = any(
        device.vendor in ("nvidia", "amd") and (device.pci_address or not device.memory_shared)
        for device in machine.usable_gpus()
    )
    if (
        host.os.family is OsFamily.LINUX
        and serves
        and host.python
        and release is not None
        and release.python
        and not in_range(host.python, release.python)
    ):
        values: dict[str, FactValue] = {
            "python": host.python,
            "needed": release.python,
            "version": release.version,
        }
        found.append(Finding(id="python_unfit_for_vllm", severity=Severity.NOTICE, values=values))
    return found


def _engines(machine: Machine) -> list[Finding]:
    found = []
    gpus = machine.usable_gpus()
    engines = {engine.id: engine for engine in machine.software.engines}
    llama = engines.get("llama.cpp")
    if gpus and llama is not None and computes_on_cpu_only(llama):
        values: dict[str, FactValue] = {"name": gpus[0].name, "path": llama.path}
        found.append(Finding(id="llama_cpp_without_gpu", severity=Severity.WARNING, values=values))
    torch = next((runtime.version for runtime in machine.software.runtimes if runtime.id == "torch"), None)
    if torch and torch.endswith("+cpu") and any(gpu.vendor in ("nvidia", "amd", "intel") for gpu in gpus):
        values = {"name": gpus[0].name, "version": torch}
        found.append(Finding(id="torch_without_gpu", severity=Severity.WARNING, values=values))
    if "ollama" in engines and not gpus and machine.software.environment.get(_OLLAMA_SWITCH) != "1":
        inside = [
            device
            for device in machine.accelerators
            if device.kind is AcceleratorKind.INTEGRATED
            and device.state is AcceleratorState.USABLE
            and device.gfx_target not in _OLLAMA_TARGETS
        ]
        if inside:
            values = {"name": inside[0].name}
            found.append(Finding(id="ollama_ignores_igpu", severity=Severity.INFO, values=values))
    if "ollama" in engines and _OLLAMA_CONTEXT not in machine.software.environment:
        gpu_bytes = ollama_gpu_bytes(machine)
        context = default_context(gpu_bytes)
        if context <= _SHORT_CONTEXT:
            values = {"gpu_bytes": gpu_bytes, "context": context}
            found.append(Finding(id="ollama_short_context", severity=Severity.NOTICE, values=values))
    return found


def computes_on_cpu_only(engine: InstalledEngine) -> bool:
    """Whether the libraries beside a llama.cpp are known and none of them is a GPU's."""
    return engine.backends is not None and not _GPU_BACKENDS & set(engine.backends)
