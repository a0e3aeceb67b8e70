"""Fill a Machine with what the catalog knows about its parts: marked, and never over a reading."""

from typing import Final

import msgspec

from probe.catalog.cpu_rows import CpuSpec, match_cpu
from probe.catalog.enrich_devices import Filled, fill, fill_gpu, gpu_row_of, named, read_bandwidth
from probe.catalog.limits import limits
from probe.catalog.memory_prior import channel_bytes_per_s, memory_bandwidth, memory_prior
from probe.catalog.npus import match_npu
from probe.machine import Accelerator, AcceleratorKind, Machine, Memory, Range, Source

_NPUS: Final = "catalogs/devices/npus.json"
_RAM_READ: Final = "ram_read_bytes_per_s"
_POPULATION: Final = "catalogs/devices/memory_population.csv (linuxhw/DMI, January 2025)"


def _device(device: Accelerator, index: int, machine: Machine) -> Filled:
    pointer = f"/accelerators/{index}"
    sources: dict[str, Source] = {}
    if device.bandwidth_bytes_per_s is None:
        read = read_bandwidth(device)
        if read is not None:
            device = msgspec.structs.replace(device, bandwidth_bytes_per_s=read)
            sources[f"{pointer}/bandwidth_bytes_per_s"] = Source(kind="read", source="nvml clock x bus width")
    if device.kind in (AcceleratorKind.NPU, AcceleratorKind.CARD):
        npu = match_npu(pci_id=device.pci_id, os_name=device.name)
        if npu is None:
            return fill(device, pointer, {"software_note": "npus.unknown_maker"}, _NPUS)
        filled = fill(
            named(device, npu.name),
            pointer,
            {"catalog_name": npu.name, "software_note": f"npus.{npu.software_note}"},
            npu.source,
        )
        return Filled(filled.part, sources | filled.sources)
    row = None if device.catalog_name is not None else gpu_row_of(device, machine)
    if row is None:
        return Filled(device, sources)
    total, family = machine.memory.total_bytes, machine.host.os.family
    filled = fill_gpu(named(device, row.name), row, pointer, total, family)
    return Filled(filled.part, sources | filled.sources)


def _cpu(machine: Machine, row: CpuSpec | None) -> Filled:
    if row is None:
        return Filled(machine.cpu, {})
    values = {
        "catalog_name": row.name,
        "generation": row.generation,
        "laptop": row.laptop,
        "vendor": row.vendor,
    }
    return fill(machine.cpu, "/cpu", values, row.source)


def _measured(machine: Machine) -> Range | None:
    found = [entry for entry in machine.measurements if entry.what == _RAM_READ]
    if not found:
        return None
    last = max(found, key=lambda entry: entry.at)
    return Range(low=last.low, value=last.value, high=last.high, basis="measured")


def _unified_bandwidth(devices: tuple[Accelerator, ...]) -> Range | None:
    """Bandwidth of RAM where a GPU's memory is that RAM and its chip fixes it (Apple, GB10, Strix Halo)."""
    for device in devices:
        if device.kind is AcceleratorKind.UNIFIED and device.memory_shared:
            return device.bandwidth_bytes_per_s
    return None


def _one_module(memory: Memory) -> Memory:
    """Channels of a machine with exactly one module: one, unless it is soldered LPDDR."""
    if memory.channels is not None or len(memory.modules) != 1:
        return memory
    kind = memory.modules[0].type or memory.type or ""
    return memory if kind.startswith("LPDDR") else msgspec.structs.replace(memory, channels=1)


def _unknown_cpu_bandwidth(memory: Memory) -> Range | None:
    """One to two channels where only the modules' speed is known; the widest band where nothing is."""
    if memory.total_bytes is None:
        return None
    if memory.speed_mt_per_s is None:
        return limits().unknown_memory.bandwidth()
    one = channel_bytes_per_s(memory.speed_mt_per_s)
    most = min(2, len(memory.modules)) if memory.modules else 2
    return Range(low=one, value=one * (1 + most) / 2, high=one * most, basis="prior")


def _memory(machine: Machine, row: CpuSpec | None, laptop: bool | None) -> Filled:
    memory = _one_module(machine.memory)
    sources: dict[str, Source] = {}
    if memory.channels is not None and machine.memory.channels is None:
        sources["/memory/channels"] = Source(kind="read", source="one module")
    share: float | None = None
    bandwidth, kind, source = _measured(machine), "measured", "probe bench"
    if bandwidth is None and memory.bandwidth_bytes_per_s is None:
        bandwidth, kind, source = memory_bandwidth(memory), "read", "channels x configured speed"
        unified = _unified_bandwidth(machine.accelerators)
        if unified is not None:
            bandwidth, kind, source = unified, "catalog", "the GPU's memory is this RAM"
    prior = None
    if row is not None:
        sockets = machine.cpu.sockets or 1
        prior = memory_prior(row, memory, laptop=laptop, sockets=sockets)
        share = prior.single_module_share if prior and not memory.modules else None
    if bandwidth is None and memory.bandwidth_bytes_per_s is None:
        kind, source = "catalog", _POPULATION
        bandwidth = prior.bandwidth if prior else None
        if row is None:
            bandwidth = _unknown_cpu_bandwidth(memory)
    values: dict[str, object] = {}
    if bandwidth is not None:
        values["bandwidth_bytes_per_s"] = bandwidth
        sources["/memory/bandwidth_bytes_per_s"] = Source(kind=kind, source=source)
    if share is not None and memory.channels is None and memory.single_module_share is None:
        values["single_module_share"] = share
        sources["/memory/single_module_share"] = Source(kind="catalog", source=_POPULATION)
    if memory.type is None and row is not None and not row.memory_alternatives and row.memory_type:
        values["type"] = row.memory_type
        sources["/memory/type"] = Source(kind="catalog", source=row.source)
    return Filled(msgspec.structs.replace(memory, **values), sources)


def enrich(machine: Machine) -> Machine:
    """The machine with catalog values where it could not say: live, recorded and written-down ones alike.

    Bandwidth of RAM, best first: measured here, channels x configured speed, the
    chip's own figure (unified memory), the range that machines with such a
    processor have. All but the measured one are peaks. Every added figure has an
    entry in `provenance`; nothing read is replaced, only a measurement replaces an
    estimate.
    """
    row = match_cpu(machine.cpu.brand)
    sources: dict[str, Source] = {}
    devices: list[Accelerator] = []
    for index, device in enumerate(machine.accelerators):
        filled = _device(device, index, machine)
        devices.append(filled.part)
        sources |= filled.sources
    machine = msgspec.structs.replace(machine, accelerators=tuple(devices))
    cpu = _cpu(machine, row)
    laptop = machine.power.laptop if machine.power.laptop is not None else cpu.part.laptop
    memory = _memory(machine, row, laptop)
    sources |= cpu.sources | memory.sources
    return msgspec.structs.replace(
        machine, cpu=cpu.part, memory=memory.part, provenance={**machine.provenance, **sources}
    )
