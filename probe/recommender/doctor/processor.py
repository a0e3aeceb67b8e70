"""The processor, its power and the memory that decode speed on it hangs on."""

from typing import Final

from probe.catalog.cpu_rows import match_cpu
from probe.errors import FactValue
from probe.machine import AcceleratorKind, Machine, Memory
from probe.recommender.doctor.finding import Finding, Severity
from probe.recommender.memory_modules import second_channel_possible
from probe.units import GIB

_BASIC_ISA: Final = "avx2"
_BELOW_RATING: Final = 0.95
_CARVE_OUT: Final = 2 * GIB
_SWAPPING_SHARE: Final = 0.5
_LOW_SHARE: Final = 0.15
_HUGE: Final = GIB


def processor_findings(machine: Machine) -> list[Finding]:
    """Missing instructions, cores that may not be used, and power."""
    cpu = machine.cpu
    found = []
    if cpu.architecture == "x86_64" and cpu.isa and _BASIC_ISA not in cpu.isa:
        found.append(Finding(id="cpu_without_avx2", severity=Severity.WARNING, values={"cpu": cpu.brand}))
    if cpu.usable_cores and cpu.physical_cores and cpu.usable_cores * 2 <= cpu.physical_cores:
        values: dict[str, FactValue] = {"usable": cpu.usable_cores, "physical": cpu.physical_cores}
        found.append(Finding(id="few_cores_usable", severity=Severity.NOTICE, values=values))
    if machine.power.on_battery:
        found.append(Finding(id="on_battery", severity=Severity.NOTICE))
    if machine.power.plan == "power_saver":
        found.append(Finding(id="power_saver", severity=Severity.NOTICE))
    return found


def memory_findings(machine: Machine) -> list[Finding]:
    """Modules, limits and what is taken out of RAM."""
    memory = machine.memory
    return [*_modules(machine), *_speed(memory), *_taken(machine), *_swap(memory)]


def _modules(machine: Machine) -> list[Finding]:
    memory, row = machine.memory, match_cpu(machine.cpu.brand)
    more = second_channel_possible(machine)
    if memory.channels == 1 and len(memory.modules) <= 1 and more and memory.total_bytes:
        size = memory.modules[0].size_bytes if memory.modules else memory.total_bytes
        values: dict[str, FactValue] = {"size_bytes": size, "type": memory.type}
        return [Finding(id="single_memory_module", severity=Severity.WARNING, values=values)]
    if not memory.modules or row is None or row.channels is None:
        return []
    if (memory.type or "").startswith("LPDDR"):
        return []  # soldered: what is there is all there can be
    full = row.channels * max(1, machine.cpu.sockets or 1)
    filled = memory.channels or min(len(memory.modules), full)
    if filled >= full:
        return []
    values = {"filled": filled, "channels": full, "modules": len(memory.modules)}
    severity = Severity.WARNING if filled * 2 <= full else Severity.NOTICE
    return [Finding(id="memory_channels_empty", severity=severity, values=values)]


def _speed(memory: Memory) -> list[Finding]:
    rated = {module.rated_mt_per_s for module in memory.modules if module.rated_mt_per_s}
    if len(rated) > 1:
        values: dict[str, FactValue] = {
            "slowest": min(rated),
            "fastest": max(rated),
            "configured": memory.speed_mt_per_s,
        }
        return [Finding(id="memory_mixed_speeds", severity=Severity.NOTICE, values=values)]
    configured, best = memory.speed_mt_per_s, memory.rated_speed_mt_per_s
    if configured and best and configured < best * _BELOW_RATING:
        values = {"configured": configured, "rated": best}
        return [Finding(id="memory_below_rating", severity=Severity.NOTICE, values=values)]
    return []


def _taken(machine: Machine) -> list[Finding]:
    memory, found = machine.memory, []
    if memory.limit_bytes and memory.total_bytes and memory.limit_bytes < memory.total_bytes:
        values: dict[str, FactValue] = {
            "limit_bytes": memory.limit_bytes,
            "total_bytes": memory.total_bytes,
        }
        found.append(Finding(id="memory_limited", severity=Severity.NOTICE, values=values))
    if memory.hugepages_bytes and memory.hugepages_bytes >= _HUGE:
        values = {"size_bytes": memory.hugepages_bytes}
        found.append(Finding(id="hugepages_reserved", severity=Severity.NOTICE, values=values))
    if machine.host.os.wsl == 2:
        values = {"total_bytes": memory.total_bytes}
        found.append(Finding(id="wsl_memory_share", severity=Severity.INFO, values=values))
    # Where engines compute on the processor's own GPU, what is set aside is that GPU's.
    unified = any(device.kind is AcceleratorKind.UNIFIED for device in machine.accelerators)
    if memory.installed_bytes and memory.total_bytes and not unified:
        carved = memory.installed_bytes - memory.total_bytes
        if carved >= _CARVE_OUT:
            values = {"size_bytes": carved}
            found.append(Finding(id="memory_carved_out", severity=Severity.NOTICE, values=values))
    return found


def _swap(memory: Memory) -> list[Finding]:
    """Swap in use while RAM is nearly full: a model started now is read from disk again and again."""
    total, free = memory.swap_total_bytes, memory.swap_free_bytes
    available, ram = memory.available_bytes, memory.total_bytes
    if not total or free is None or available is None or not ram:
        return []
    used = total - free
    if used < max(GIB, total * _SWAPPING_SHARE) or available > ram * _LOW_SHARE:
        return []
    values: dict[str, FactValue] = {"used_bytes": used, "available_bytes": available}
    return [Finding(id="swap_in_use", severity=Severity.WARNING, values=values)]
