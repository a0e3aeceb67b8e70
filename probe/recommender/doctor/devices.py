"""GPUs that cannot be used, and GPUs that work below what they could."""

from collections import Counter
from typing import Final

from probe.errors import FactValue
from probe.machine import (
    Accelerator,
    AcceleratorKind,
    AcceleratorState,
    AttemptResult,
    Machine,
    OsFamily,
)
from probe.recommender.doctor.finding import Finding, Severity
from probe.units import GIB

_COMPUTING: Final = (AcceleratorKind.DISCRETE, AcceleratorKind.UNIFIED)
# Out of reach on purpose, or for good: nothing is broken.
_MILDER: Final = {
    "given_to_virtual_machine": Severity.NOTICE,
    "hidden_by_mask": Severity.NOTICE,
    "intel_mac_gpu": Severity.INFO,
}
_HOT: Final = frozenset({"sw_thermal_slowdown", "hw_thermal_slowdown"})
_POWER_BRAKE: Final = frozenset({"hw_power_brake", "hw_slowdown"})
_HELD_SHARE: Final = 0.1
_CAPPED_SHARE: Final = 0.95
_GTT_DEFAULT_SHARE: Final = 0.55  # half of RAM, and a little for rounding
_LARGE_MAC_BYTES: Final = 32 * GIB  # with less, the system needs what it keeps


def device_findings(machine: Machine) -> list[Finding]:
    """States of devices, then settings of those that work."""
    found = [*_states(machine), *_library_alone(machine), *_rights(machine)]
    for device in machine.accelerators:
        if device.state is AcceleratorState.USABLE and device.kind in _COMPUTING:
            found += [*_links(device), *_power(device), *_settings(machine, device), *_held(device)]
    return [*_grouped(found), *_pool_limits(machine)]


def _states(machine: Machine) -> list[Finding]:
    found = []
    for device in machine.accelerators:
        if device.state is AcceleratorState.USABLE or device.kind not in _COMPUTING:
            continue
        reason = device.state_reason or device.state.value
        found.append(
            Finding(
                id=f"device.{reason}",
                severity=_MILDER.get(reason, Severity.CRITICAL),
                values={"name": device.name, **_driver_values(machine)},
            )
        )
    return found


def _driver_values(machine: Machine) -> dict[str, FactValue]:
    nvidia = machine.nvidia
    return {
        "driver": nvidia.driver_version if nvidia else None,
        "module": nvidia.kernel_module_version if nvidia else None,
    }


def _library_alone(machine: Machine) -> list[Finding]:
    """A driver library that answered with an error although no card is known: say which error."""
    if any(device.vendor == "nvidia" for device in machine.accelerators):
        return []
    for attempt in machine.attempts:
        bad = attempt.result in (AttemptResult.FAILED, AttemptResult.DENIED)
        if attempt.source == "nvml" and bad:
            code = attempt.code or "nvml_error"
            severity = Severity.NOTICE if code == "driver_without_card" else Severity.CRITICAL
            values: dict[str, FactValue] = {"name": "NVIDIA", **_driver_values(machine)}
            return [Finding(id=f"device.{code}", severity=severity, values=values)]
    return []


def _rights(machine: Machine) -> list[Finding]:
    """What a source said of the whole machine's GPUs rather than of one."""
    codes = {attempt.code for attempt in machine.attempts}
    found = []
    amd = [device for device in machine.usable_gpus() if device.vendor == "amd"]
    if "kfd_no_permission" in codes and amd:
        found.append(
            Finding(id="rocm_no_permission", severity=Severity.WARNING, values={"name": amd[0].name})
        )
    if "mask_order_assumed" in codes:
        found.append(Finding(id="cuda_order_unclear", severity=Severity.INFO))
    hint = machine.host.os.secure_boot
    module_missing = any(device.state_reason == "module_not_loaded" for device in machine.accelerators)
    if hint and module_missing:
        found.append(Finding(id="secure_boot_blocks_module", severity=Severity.NOTICE))
    return found


def _links(device: Accelerator) -> list[Finding]:
    link = device.pcie
    if link is None:
        return []
    found = []
    if link.max_width and link.width and link.width < link.max_width:
        values: dict[str, FactValue] = {
            "name": device.name,
            "width": link.width,
            "max_width": link.max_width,
        }
        found.append(Finding(id="pcie_narrow", severity=Severity.NOTICE, values=values))
    # The current generation falls to 1 when the card is idle: only what slot and card can do counts.
    if (
        link.max_generation
        and link.device_max_generation
        and link.max_generation < link.device_max_generation
    ):
        values = {
            "name": device.name,
            "generation": link.max_generation,
            "device_generation": link.device_max_generation,
        }
        found.append(Finding(id="pcie_older_slot", severity=Severity.INFO, values=values))
    return found


def _power(device: Accelerator) -> list[Finding]:
    found = []
    limit, default = device.power_limit_w, device.power_limit_default_w
    if limit is not None and default is not None and limit < default * _CAPPED_SHARE:
        values: dict[str, FactValue] = {"name": device.name, "limit": limit, "default": default}
        # A laptop's limit moves with its power source and cooling.
        severity = Severity.INFO if device.laptop else Severity.NOTICE
        found.append(Finding(id="gpu_power_capped", severity=severity, values=values))
    reasons = set(device.clock_reasons)
    if reasons & _HOT:
        found.append(
            Finding(id="gpu_slowed_by_heat", severity=Severity.WARNING, values={"name": device.name})
        )
    elif reasons & _POWER_BRAKE:
        found.append(Finding(id="gpu_power_brake", severity=Severity.WARNING, values={"name": device.name}))
    return found


def _settings(machine: Machine, device: Accelerator) -> list[Finding]:
    found = []
    if device.mig_enabled and device.mig_slices:
        largest = max(piece.memory_total_bytes or 0 for piece in device.mig_slices)
        values: dict[str, FactValue] = {
            "name": device.name,
            "slices": len(device.mig_slices),
            "largest_bytes": largest or None,
        }
        found.append(Finding(id="mig_enabled", severity=Severity.NOTICE, values=values))
    if device.compute_mode == "exclusive_process":
        found.append(
            Finding(id="compute_mode_exclusive", severity=Severity.NOTICE, values={"name": device.name})
        )
    # HBM cards keep their check bits beside the memory; GDDR cards take them out of it.
    if device.ecc_enabled and (device.memory_type or "").startswith("GDDR"):
        found.append(Finding(id="ecc_enabled", severity=Severity.INFO, values={"name": device.name}))
    server = machine.host.os.family is OsFamily.LINUX and not machine.host.os.desktop
    if device.persistence_mode is False and server and not machine.host.os.wsl:
        found.append(Finding(id="persistence_off", severity=Severity.INFO, values={"name": device.name}))
    if device.virtualization == "vgpu":
        found.append(Finding(id="vgpu_guest", severity=Severity.INFO, values={"name": device.name}))
    return found


def _held(device: Accelerator) -> list[Finding]:
    held = [process for process in device.processes if process.memory_bytes]
    taken = sum(process.memory_bytes or 0 for process in held)
    if not device.memory_total_bytes or taken <= device.memory_total_bytes * _HELD_SHARE:
        return []
    names = ", ".join(sorted({process.name or str(process.pid) for process in held}))
    values: dict[str, FactValue] = {"name": device.name, "size_bytes": taken, "processes": names}
    return [Finding(id="gpu_memory_held", severity=Severity.NOTICE, values=values)]


def _pool_limits(machine: Machine) -> list[Finding]:
    """Machines with one pool whose GPU may take less of it than it could."""
    found = []
    total = machine.memory.total_bytes
    for device in machine.usable_gpus():
        own, whole = device.memory_dedicated_bytes, device.memory_total_bytes
        if device.vendor == "amd" and total and own is not None and whole is not None:
            at_default = whole - own <= total * _GTT_DEFAULT_SHARE
            if at_default and total > own:
                values: dict[str, FactValue] = {"name": device.name, "size_bytes": whole}
                found.append(Finding(id="gtt_limit_default", severity=Severity.WARNING, values=values))
        wired = device.wired_limit_bytes
        default = wired is not None and wired.basis == "catalog"
        if device.vendor == "apple" and wired is not None and default and (total or 0) >= _LARGE_MAC_BYTES:
            values = {"name": device.name, "low_bytes": wired.low, "high_bytes": wired.high}
            found.append(Finding(id="wired_limit_default", severity=Severity.INFO, values=values))
    return found


def _grouped(findings: list[Finding]) -> list[Finding]:
    """Findings that say the same of several equal devices as one, with their number before the name."""
    keys = [(finding.id, tuple(sorted(finding.values.items(), key=str))) for finding in findings]
    counts = Counter(keys)
    grouped = []
    for key, finding in zip(keys, findings, strict=True):
        count = counts.pop(key, 0)
        if count > 1:
            named = {**finding.values, "name": f"{count} × {finding.values['name']}"}
            grouped.append(Finding(id=finding.id, severity=finding.severity, values=named))
        elif count:
            grouped.append(finding)
    return grouped
