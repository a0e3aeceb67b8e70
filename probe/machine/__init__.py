"""The typed description of a machine: what was read, from where, and what could not be read."""

from probe.machine.accelerator import (
    Accelerator,
    AcceleratorKind,
    AcceleratorState,
    ComputeRates,
    ForeignProcess,
    MigSlice,
    PcieLink,
)
from probe.machine.attempt import Attempt, AttemptResult, Source
from probe.machine.description import Host, HostOrigin, Link, LinkKind, Machine, NvidiaDriver, OsFamily
from probe.machine.description import OperatingSystem as OperatingSystem
from probe.machine.ranges import ByteRange, Range
from probe.machine.software import InstalledEngine, Runtime, Software
from probe.machine.system import Cpu, Disk, Memory, MemoryModule, NumaNode, Power

__all__ = [
    "Accelerator",
    "AcceleratorKind",
    "AcceleratorState",
    "Attempt",
    "AttemptResult",
    "ByteRange",
    "ComputeRates",
    "Cpu",
    "Disk",
    "ForeignProcess",
    "Host",
    "HostOrigin",
    "InstalledEngine",
    "Link",
    "LinkKind",
    "Machine",
    "Memory",
    "MemoryModule",
    "MigSlice",
    "NumaNode",
    "NvidiaDriver",
    "OperatingSystem",
    "OsFamily",
    "PcieLink",
    "Power",
    "Range",
    "Runtime",
    "Software",
    "Source",
]
