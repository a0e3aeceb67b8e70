"""The machine as it would be after a fix, so that the one estimator can say what the fix is worth.

Only fixes whose figures are known: what a power limit or a cooler costs no
table tells, so those findings have no remedy here.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from probe.catalog.cpu_rows import match_cpu
from probe.catalog.enrich import enrich
from probe.catalog.gpu_match import match_gpu
from probe.catalog.limits import limits
from probe.machine import Accelerator, AcceleratorKind, AcceleratorState, Machine, Memory
from probe.machine.ranges import exact
from probe.recommender.doctor.finding import Finding
from probe.units import GIB

_RAM_MEASURED: Final = "ram_read_bytes_per_s"
_LEFT_TO_GRAPHICS: Final = GIB // 2
_LEFT_TO_MACOS: Final = 8 * GIB
_GPU_STATES: Final = "device."
# Nothing on the machine itself would bring these back.
_HOPELESS: Final = frozenset({"device.driver_without_card", "device.intel_mac_gpu"})


def before_and_after(machine: Machine, finding: Finding) -> tuple[Machine, Machine] | None:
    """The machine as engines see it now and after the fix; None where the fix has no known figure."""
    if finding.id == "llama_cpp_without_gpu":
        return _without_gpus(machine), machine
    if finding.id.startswith(_GPU_STATES):
        after = None if finding.id in _HOPELESS else _devices_back(machine, finding.id)
    else:
        remedy = _REMEDIES.get(finding.id)
        after = remedy(machine) if remedy else None
    return None if after is None or after == machine else (machine, enrich(after))


def _devices_back(machine: Machine, finding_id: str) -> Machine | None:
    """All devices with this finding's reason in use, with the board's memory where its id decides it."""
    reason = finding_id.removeprefix(_GPU_STATES)
    devices = tuple(
        _revived(device) if reason in (device.state_reason, device.state.value) else device
        for device in machine.accelerators
    )
    known = all(
        device.memory_total_bytes is not None or device.memory_shared
        for device, old in zip(devices, machine.accelerators, strict=True)
        if device is not old
    )
    return msgspec.structs.replace(machine, accelerators=devices) if known else None


def _revived(device: Accelerator) -> Accelerator:
    total = device.memory_total_bytes
    if total is None and not device.memory_shared:
        row = match_gpu(pci_id=device.pci_id, name=device.catalog_name or device.name or None)
        row = row or match_gpu(pci_id=device.pci_id)
        total = (row.reported_memory_bytes or row.memory_bytes) if row else None
    return msgspec.structs.replace(
        device,
        state=AcceleratorState.USABLE,
        state_reason=None,
        memory_total_bytes=total,
        memory_free_bytes=None,
        mig_enabled=False if device.mig_enabled else device.mig_enabled,
        mig_slices=(),
    )


def _without_gpus(machine: Machine) -> Machine:
    devices = tuple(
        device
        for device in machine.accelerators
        if device.kind not in (AcceleratorKind.DISCRETE, AcceleratorKind.UNIFIED)
    )
    return msgspec.structs.replace(machine, accelerators=devices, links=())


def _with_memory(machine: Machine, **changes: object) -> Machine:
    """Other memory: the measured and the computed bandwidth no longer hold."""
    kept = tuple(entry for entry in machine.measurements if entry.what != _RAM_MEASURED)
    memory: Memory = msgspec.structs.replace(machine.memory, bandwidth_bytes_per_s=None, **changes)
    return msgspec.structs.replace(machine, memory=memory, measurements=kept)


def _second_module(machine: Machine) -> Machine | None:
    memory = machine.memory
    if memory.total_bytes is None or memory.speed_mt_per_s is None:
        return None
    size = memory.modules[0].size_bytes if memory.modules else memory.total_bytes
    return _with_memory(
        machine, channels=2, modules=memory.modules * 2, total_bytes=memory.total_bytes + size
    )


def _all_channels(machine: Machine) -> Machine | None:
    memory, row = machine.memory, match_cpu(machine.cpu.brand)
    if row is None or row.channels is None or memory.total_bytes is None or memory.speed_mt_per_s is None:
        return None
    full = row.channels * max(1, machine.cpu.sockets or 1)
    more = max(0, full - (memory.channels or len(memory.modules)))
    size = min(module.size_bytes for module in memory.modules)
    return _with_memory(machine, channels=full, total_bytes=memory.total_bytes + more * size)


def _rated_speed(machine: Machine) -> Machine | None:
    memory = machine.memory
    rated = [module.rated_mt_per_s for module in memory.modules if module.rated_mt_per_s]
    best = max(rated, default=None) or memory.rated_speed_mt_per_s
    return None if memory.channels is None else _with_memory(machine, speed_mt_per_s=best)


def _no_limit(machine: Machine) -> Machine:
    memory = msgspec.structs.replace(machine.memory, limit_bytes=None)
    return msgspec.structs.replace(machine, memory=memory)


def _no_hugepages(machine: Machine) -> Machine:
    memory = msgspec.structs.replace(machine.memory, hugepages_bytes=0)
    return msgspec.structs.replace(machine, memory=memory)


def _smaller_carve_out(machine: Machine) -> Machine | None:
    memory = machine.memory
    if memory.installed_bytes is None:
        return None
    larger = msgspec.structs.replace(memory, total_bytes=memory.installed_bytes - _LEFT_TO_GRAPHICS)
    return msgspec.structs.replace(machine, memory=larger)


def _all_cores(machine: Machine) -> Machine:
    cpu = msgspec.structs.replace(machine.cpu, usable_cores=machine.cpu.logical_cores, quota_cores=None)
    return msgspec.structs.replace(machine, cpu=cpu)


def _whole_cards(machine: Machine) -> Machine | None:
    devices = tuple(_revived(device) if device.mig_slices else device for device in machine.accelerators)
    if any(device.memory_total_bytes is None and not device.memory_shared for device in devices):
        return None
    return msgspec.structs.replace(machine, accelerators=devices)


def _more_gtt(machine: Machine) -> Machine | None:
    total = machine.memory.total_bytes
    if total is None:
        return None
    share = limits().amd_unified_limit.value_share

    def raised(device: Accelerator) -> Accelerator:
        own = device.memory_dedicated_bytes
        if own is None or device.memory_total_bytes is None:
            return device
        most = max(device.memory_total_bytes, own + round(total * share))
        return msgspec.structs.replace(device, memory_total_bytes=most, memory_free_bytes=None)

    return _each_unified(machine, raised)


def _more_wired(machine: Machine) -> Machine | None:
    total = machine.memory.total_bytes
    if total is None or total <= 2 * _LEFT_TO_MACOS:
        return None
    limit = exact(float(total - _LEFT_TO_MACOS), "read")
    return _each_unified(machine, lambda device: msgspec.structs.replace(device, wired_limit_bytes=limit))


def _each_unified(machine: Machine, change: Callable[[Accelerator], Accelerator]) -> Machine:
    devices = tuple(
        change(device) if device.kind is AcceleratorKind.UNIFIED else device
        for device in machine.accelerators
    )
    return msgspec.structs.replace(machine, accelerators=devices)


_REMEDIES: Final[dict[str, Callable[[Machine], Machine | None]]] = {
    "single_memory_module": _second_module,
    "memory_channels_empty": _all_channels,
    "memory_mixed_speeds": _rated_speed,
    "memory_below_rating": _rated_speed,
    "memory_limited": _no_limit,
    "hugepages_reserved": _no_hugepages,
    "memory_carved_out": _smaller_carve_out,
    "few_cores_usable": _all_cores,
    "mig_enabled": _whole_cards,
    "gtt_limit_default": _more_gtt,
    "wired_limit_default": _more_wired,
}
