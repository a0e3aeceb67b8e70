"""From single findings to one Machine: pure, and the same whatever came in first."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from probe.collectors.container import usable_cores
from probe.collectors.facts import Fact, Found, Limits
from probe.collectors.merge_accelerators import merge_accelerators
from probe.collectors.merge_software import merge_software
from probe.machine.attempt import Attempt, Source
from probe.machine.description import Host, HostOrigin, Machine, NvidiaDriver, OperatingSystem
from probe.machine.system import Cpu, Disk, Memory, Power

_P = TypeVar("_P", bound=msgspec.Struct)


def merge(facts: Sequence[Fact], origin: HostOrigin) -> Machine:
    """The machine that the findings describe. Of two sources for one figure the later one stands."""
    provenance: dict[str, Source] = {}
    parts = [fact for fact in facts if isinstance(fact, Found)]
    attempts = [fact for fact in facts if isinstance(fact, Attempt)]
    system = fold(OperatingSystem, parts, "/host/os", provenance)
    limits = fold(Limits, parts, "", {})
    memory = own_memory(fold(Memory, parts, "/memory", provenance), limits)
    cpu = fold(Cpu, parts, "/cpu", provenance)
    cpu = msgspec.structs.replace(
        cpu,
        quota_cores=limits.quota_cores,
        usable_cores=usable_cores(cpu.logical_cores, cpu.usable_cores, limits.quota_cores),
    )
    nvidia = fold(NvidiaDriver, parts, "/nvidia", provenance)
    devices = merge_accelerators(parts, attempts, system=system, memory=memory, nvidia=nvidia)
    memory = without_device_memory(memory, cpu.architecture, devices.memory_nodes)
    identity = fold(Host, parts, "/host", provenance)
    return Machine(
        host=msgspec.structs.replace(identity, os=system, origin=origin),
        cpu=cpu,
        memory=memory,
        accelerators=devices.accelerators,
        nvidia=None if devices.nvidia == NvidiaDriver() else devices.nvidia,
        links=devices.links,
        disks=_disks(parts),
        power=fold(Power, parts, "/power", provenance),
        software=merge_software(parts),
        provenance={**provenance, **devices.provenance},
        attempts=devices.attempts,
    )


def fold(kind: type[_P], parts: Sequence[Found], pointer: str, provenance: dict[str, Source]) -> _P:
    """One struct of all findings of its kind, field by field; a field left at its default says nothing."""
    blank = kind()
    values: dict[str, object] = {}
    for found in parts:
        if type(found.part) is not kind:
            continue
        for name in kind.__struct_fields__:
            value = getattr(found.part, name)
            if value != getattr(blank, name):
                values[name] = value
                provenance[f"{pointer}/{name}"] = Source(kind="read", source=found.source)
    return kind(**values)


def own_memory(memory: Memory, limits: Limits) -> Memory:
    """RAM with the control groups' limit; what is available is never more than their headroom."""
    available = memory.available_bytes
    if limits.memory_headroom_bytes is not None:
        room = limits.memory_headroom_bytes
        available = room if available is None else min(available, room)
    return msgspec.structs.replace(memory, limit_bytes=limits.memory_limit_bytes, available_bytes=available)


def without_device_memory(memory: Memory, architecture: str | None, device_nodes: frozenset[int]) -> Memory:
    """RAM without the NUMA nodes that are a GPU's own memory (GH200, GB200).

    There the kernel counts the GPU's HBM in MemTotal, as nodes without
    processors. On other processors such a node is CXL memory and stays.
    """
    foreign = [
        node
        for node in memory.numa_nodes
        if node.has_cpus is False
        and node.total_bytes
        and (node.index in device_nodes or architecture == "aarch64")
    ]
    own = [node for node in memory.numa_nodes if node.has_cpus and node.total_bytes]
    if not foreign or not own or memory.total_bytes is None:
        return memory
    total = sum(node.total_bytes or 0 for node in own)
    borrowed = sum(node.total_bytes or 0 for node in foreign)
    available = memory.available_bytes
    if available is not None and available > total:
        # Free pages of the GPU's nodes are counted as available too.
        available = max(0, available - borrowed)
    return msgspec.structs.replace(memory, total_bytes=total, available_bytes=available)


def _disks(parts: Sequence[Found]) -> tuple[Disk, ...]:
    disks: dict[str | None, Disk] = {}
    for found in parts:
        if isinstance(found.part, Disk):
            known = disks.get(found.part.purpose)
            disks[found.part.purpose] = _filled(found.part, known) if known else found.part
    return tuple(disks.values())


def _filled(preferred: _P, other: _P) -> _P:
    """The preferred struct, its unknown fields taken from the other."""
    gaps = {
        name: getattr(other, name)
        for name in preferred.__struct_fields__
        if getattr(preferred, name) in (None, ()) and getattr(other, name) is not None
    }
    return msgspec.structs.replace(preferred, **gaps)
