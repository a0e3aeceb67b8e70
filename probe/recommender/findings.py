"""What is broken or wasted on a machine, as data: a code, how bad it is, and the facts that prove it."""

import enum

import msgspec

from probe.errors import FactValue
from probe.machine import (
    Accelerator,
    AcceleratorKind,
    AcceleratorState,
    AttemptResult,
    Machine,
    OsFamily,
)

GIB = 1024**3


class Severity(enum.Enum):
    """How much it matters, worst first."""

    CRITICAL = "critical"  # a device that is there cannot be used
    WARNING = "warning"  # works, much slower or smaller than it could
    NOTICE = "notice"  # worth knowing
    INFO = "info"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. `id` names four sentences in messages topic `findings`: title, evidence, detail, fix."""

    id: str
    severity: Severity
    values: dict[str, FactValue] = {}


_STATE_SEVERITY = {
    AcceleratorState.BLOCKED: Severity.CRITICAL,
    AcceleratorState.UNUSABLE: Severity.CRITICAL,
    AcceleratorState.NO_DRIVER: Severity.CRITICAL,
}
_BASIC_ISA = "avx2"
_LOW_DISK_BYTES = 10 * GIB
_SLOW_PCIE_SHARE = 0.5


def find_problems(machine: Machine) -> tuple[Finding, ...]:
    """All findings, worst first, in a fixed order."""
    found = [
        *_device_states(machine),
        *_driver_library_alone(machine),
        *_hung_sources(machine),
        *_cpu(machine),
        *_memory(machine),
        *_links(machine),
        *_device_settings(machine),
        *_disks(machine),
        *_system(machine),
    ]
    order = list(Severity)
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


def _device_states(machine: Machine) -> list[Finding]:
    found = []
    for device in machine.accelerators:
        if device.state is AcceleratorState.USABLE or device.kind not in (
            AcceleratorKind.DISCRETE,
            AcceleratorKind.UNIFIED,
        ):
            continue
        found.append(
            Finding(
                id=f"device.{device.state_reason or device.state.value}",
                severity=_STATE_SEVERITY[device.state],
                values={
                    "name": device.name,
                    "driver": _driver(machine),
                    "module": machine.nvidia.kernel_module_version if machine.nvidia else None,
                },
            )
        )
    return found


def _driver(machine: Machine) -> str | None:
    return machine.nvidia.driver_version if machine.nvidia else None


def _driver_library_alone(machine: Machine) -> list[Finding]:
    """A driver library that answered with an error although no card is known: say which error."""
    if any(device.vendor == "nvidia" for device in machine.accelerators):
        return []
    for attempt in machine.attempts:
        bad = attempt.result in (AttemptResult.FAILED, AttemptResult.DENIED)
        if attempt.source == "nvml" and bad:
            code = getattr(attempt, "code", None) or "nvml_error"
            return [
                Finding(
                    id=f"device.{code}",
                    severity=Severity.CRITICAL,
                    values={"name": "NVIDIA", "driver": _driver(machine), "module": None},
                )
            ]
    return []


def _hung_sources(machine: Machine) -> list[Finding]:
    return [
        Finding(
            id="source_hung",
            severity=Severity.WARNING,
            values={"source": attempt.source, "seconds": round(attempt.ms / 1000, 1)},
        )
        for attempt in machine.attempts
        if attempt.result is AttemptResult.TIMEOUT
    ]


def _cpu(machine: Machine) -> list[Finding]:
    cpu = machine.cpu
    found = []
    x86 = cpu.architecture in ("x86_64", "AMD64", "amd64")
    if x86 and cpu.isa and _BASIC_ISA not in cpu.isa:
        found.append(Finding(id="cpu_without_avx2", severity=Severity.WARNING, values={"cpu": cpu.brand}))
    if cpu.usable_cores and cpu.physical_cores and cpu.usable_cores * 2 <= cpu.physical_cores:
        found.append(
            Finding(
                id="few_cores_usable",
                severity=Severity.NOTICE,
                values={"usable": cpu.usable_cores, "physical": cpu.physical_cores},
            )
        )
    return found


def _memory(machine: Machine) -> list[Finding]:
    memory = machine.memory
    found = []
    if len(memory.modules) == 1 and memory.channels == 1:
        found.append(
            Finding(
                id="single_memory_module",
                severity=Severity.WARNING,
                values={"size_bytes": memory.modules[0].size_bytes, "type": memory.type},
            )
        )
    slow = memory.speed_mt_per_s and memory.rated_speed_mt_per_s
    if slow and memory.speed_mt_per_s < memory.rated_speed_mt_per_s * 0.95:  # type: ignore[operator]  # both known here
        found.append(
            Finding(
                id="memory_below_rating",
                severity=Severity.NOTICE,
                values={"configured": memory.speed_mt_per_s, "rated": memory.rated_speed_mt_per_s},
            )
        )
    if memory.limit_bytes and memory.total_bytes and memory.limit_bytes < memory.total_bytes:
        found.append(
            Finding(
                id="memory_limited",
                severity=Severity.NOTICE,
                values={"limit_bytes": memory.limit_bytes, "total_bytes": memory.total_bytes},
            )
        )
    if memory.hugepages_bytes and memory.hugepages_bytes >= GIB:
        found.append(
            Finding(
                id="hugepages_reserved",
                severity=Severity.NOTICE,
                values={"size_bytes": memory.hugepages_bytes},
            )
        )
    if memory.installed_bytes and memory.total_bytes:
        carved = memory.installed_bytes - memory.total_bytes
        if carved >= 2 * GIB:
            found.append(
                Finding(id="memory_carved_out", severity=Severity.NOTICE, values={"size_bytes": carved})
            )
    return found


def _links(machine: Machine) -> list[Finding]:
    found = []
    for device in machine.accelerators:
        link = device.pcie
        if link is None or device.state is not AcceleratorState.USABLE:
            continue
        narrow = link.max_width is not None and link.width is not None and link.width < link.max_width
        old = (
            link.max_generation is not None
            and link.device_max_generation is not None
            and link.max_generation < link.device_max_generation
        )
        if narrow:
            found.append(
                Finding(
                    id="pcie_narrow",
                    severity=Severity.NOTICE,
                    values={"name": device.name, "width": link.width, "max_width": link.max_width},
                )
            )
        if old:
            found.append(
                Finding(
                    id="pcie_older_slot",
                    severity=Severity.INFO,
                    values={
                        "name": device.name,
                        "generation": link.max_generation,
                        "device_generation": link.device_max_generation,
                    },
                )
            )
    return found


def _device_settings(machine: Machine) -> list[Finding]:
    found = []
    for device in machine.accelerators:
        if device.state is not AcceleratorState.USABLE:
            continue
        found += _power(device)
        if any(reason in ("hw_thermal", "sw_thermal", "hw_slowdown") for reason in device.clock_reasons):
            found.append(
                Finding(id="gpu_slowed_by_heat", severity=Severity.WARNING, values={"name": device.name})
            )
        held = [process for process in device.processes if process.memory_bytes]
        taken = sum(process.memory_bytes or 0 for process in held)
        if device.memory_total_bytes and taken > device.memory_total_bytes * 0.1:
            found.append(
                Finding(
                    id="gpu_memory_held",
                    severity=Severity.NOTICE,
                    values={
                        "name": device.name,
                        "size_bytes": taken,
                        "processes": ", ".join(
                            sorted({process.name or str(process.pid) for process in held})
                        ),
                    },
                )
            )
    return found


def _power(device: Accelerator) -> list[Finding]:
    limit, default = device.power_limit_w, device.power_limit_default_w
    if limit is None or default is None or limit >= default * 0.95:
        return []
    values: dict[str, FactValue] = {"name": device.name, "limit": limit, "default": default}
    return [Finding(id="gpu_power_capped", severity=Severity.NOTICE, values=values)]


def _disks(machine: Machine) -> list[Finding]:
    homes = [disk for disk in machine.disks if disk.purpose in (None, "home", "huggingface", "ollama")]
    known = [disk for disk in homes if disk.free_bytes is not None]
    if not known:
        return []
    roomiest = max(known, key=lambda disk: disk.free_bytes or 0)
    if (roomiest.free_bytes or 0) >= _LOW_DISK_BYTES:
        return []
    values: dict[str, FactValue] = {"path": roomiest.path, "free_bytes": roomiest.free_bytes}
    return [Finding(id="disk_full", severity=Severity.WARNING, values=values)]


def _system(machine: Machine) -> list[Finding]:
    found = []
    host = machine.host
    if host.python_bits == 32:
        found.append(Finding(id="python_32_bit", severity=Severity.WARNING, values={"python": host.python}))
    if machine.power.on_battery:
        found.append(Finding(id="on_battery", severity=Severity.NOTICE))
    if host.os.wsl == 1:
        found.append(Finding(id="wsl_1", severity=Severity.WARNING))
    if host.os.family is OsFamily.LINUX and machine.nvidia and _major(machine.nvidia.driver_version) < 525:
        values: dict[str, FactValue] = {"driver": machine.nvidia.driver_version}
        if machine.nvidia.driver_version is not None:
            found.append(Finding(id="driver_too_old", severity=Severity.WARNING, values=values))
    return found


def _major(version: str | None) -> int:
    head = (version or "").partition(".")[0]
    return int(head) if head.isdigit() else 0
