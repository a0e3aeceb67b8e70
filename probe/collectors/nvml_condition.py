"""How one NVIDIA GPU is set and what it is doing: ECC, modes, power, clocks, processes."""

from typing import TYPE_CHECKING, Final, TypedDict

from probe.collectors.answers import Failure
from probe.collectors.host import Host
from probe.machine.accelerator import ForeignProcess

if TYPE_CHECKING:
    from probe.collectors.nvml_device import DeviceReader

_COMPUTE_MODES: Final = {0: "default", 1: "exclusive_thread", 2: "prohibited", 3: "exclusive_process"}
# nvml.h, nvmlClocksEventReason*; idle is no fault.
CLOCK_REASONS: Final = {
    0x1: "gpu_idle",
    0x2: "application_clocks",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake",
    0x100: "display_clocks",
}
_ENABLED: Final = 1
_MOST_PROCESSES: Final = 64


class Condition(TypedDict):
    """Fields of Accelerator that this file fills."""

    ecc_enabled: bool | None
    compute_mode: str | None
    persistence_mode: bool | None
    power_limit_w: float | None
    power_limit_default_w: float | None
    power_limit_max_w: float | None
    bar1_bytes: int | None
    clock_reasons: tuple[str, ...]
    processes: tuple[ForeignProcess, ...]


def read_condition(host: Host, reader: "DeviceReader") -> Condition:
    """Settings and state of one device."""
    ecc = reader.numbers("nvmlDeviceGetEccMode")
    mode = reader.number("nvmlDeviceGetComputeMode")
    persistence = reader.number("nvmlDeviceGetPersistenceMode") if _is_linux(host) else None
    bounds = reader.numbers("nvmlDeviceGetPowerManagementLimitConstraints")
    bar1 = reader.mapping("nvmlDeviceGetBAR1MemoryInfo").get("bar1Total")
    limit = reader.number("nvmlDeviceGetPowerManagementLimit")
    if limit is None:
        limit = reader.number("nvmlDeviceGetEnforcedPowerLimit")
    return Condition(
        ecc_enabled=ecc[0] == _ENABLED if ecc else None,
        compute_mode=None if mode is None else _COMPUTE_MODES.get(mode),
        persistence_mode=None if persistence is None else persistence == _ENABLED,
        power_limit_w=_watts(limit),
        power_limit_default_w=_watts(reader.number("nvmlDeviceGetPowerManagementDefaultLimit")),
        power_limit_max_w=_watts(bounds[1]) if len(bounds) == 2 else None,
        bar1_bytes=bar1 if isinstance(bar1, int) and bar1 > 0 else None,
        clock_reasons=clock_reasons(_clock_bits(reader)),
        processes=_read_processes(host, reader),
    )


def clock_reasons(bits: int | None) -> tuple[str, ...]:
    """Names of the bits that hold the clocks down; unknown bits keep their number."""
    if not bits:
        return ()
    known = [name for bit, name in CLOCK_REASONS.items() if bits & bit]
    rest = bits & ~sum(CLOCK_REASONS)
    return (*known, f"0x{rest:x}") if rest else tuple(known)


def _clock_bits(reader: "DeviceReader") -> int | None:
    bits = reader.number("nvmlDeviceGetCurrentClocksEventReasons")
    if bits is None:  # the name before driver 535
        bits = reader.number("nvmlDeviceGetCurrentClocksThrottleReasons")
    return bits


def _read_processes(host: Host, reader: "DeviceReader") -> tuple[ForeignProcess, ...]:
    """Programs holding memory here, largest first; names only where we share their process space."""
    memory: dict[int, int | None] = {}
    for getter in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
        rows = reader.ask(getter)
        if rows is None:  # before driver 510 there is only the second version
            rows = reader.ask(f"{getter}_v2")
        for row in rows if isinstance(rows, list) else ():
            pid, used = row.get("pid"), row.get("usedGpuMemory")
            if isinstance(pid, int):
                known = memory.get(pid)
                memory[pid] = max(used, known or 0) if isinstance(used, int) else known
    largest = sorted(memory.items(), key=lambda item: (-(item[1] or 0), item[0]))[:_MOST_PROCESSES]
    return tuple(
        ForeignProcess(pid=pid, name=_process_name(host, pid), memory_bytes=used) for pid, used in largest
    )


def _process_name(host: Host, pid: int) -> str | None:
    if not _is_linux(host):
        return None
    name = host.read_text(f"/proc/{pid}/comm")
    return None if isinstance(name, Failure) else name.strip() or None


def _is_linux(host: Host) -> bool:
    return host.platform().system == "linux"


def _watts(milliwatts: int | None) -> float | None:
    return milliwatts / 1000 if milliwatts else None
