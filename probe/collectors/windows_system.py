"""Windows' edition and container, and the processor's cores and packages."""

from typing import Final

import msgspec

from probe.collectors.answers import Failure
from probe.collectors.facts import Facts, Found, ask
from probe.collectors.host import Host
from probe.machine.description import OperatingSystem
from probe.machine.system import Cpu

_CONTROL: Final = r"HKLM\SYSTEM\CurrentControlSet\Control"
_TOPOLOGY: Final = "GetLogicalProcessorInformationEx"
_CORES, _PACKAGES = 0, 3
_HEAD_BYTES: Final = 8
_GROUPS_AT: Final = 32  # GROUP_AFFINITY entries of a PROCESSOR_RELATIONSHIP, from the entry's start
_GROUP_BYTES: Final = 16


class Topology(msgspec.Struct, frozen=True):
    """Entries of one relationship: how many, and how many logical processors they hold together."""

    entries: int
    logical: int


def collect(host: Host) -> Facts:
    """What the registry and the kernel say without any program."""
    control = host.registry_values(_CONTROL)
    if not isinstance(control, Failure) and control.get("ContainerType") is not None:
        yield Found(OperatingSystem(container="windows"), "registry")
    raw, attempt = ask(host, _TOPOLOGY, lambda: host.native(_TOPOLOGY, _CORES))
    yield attempt
    if isinstance(raw, bytes):
        cores = parse_topology(raw)
        if cores.entries:
            known = Cpu(physical_cores=cores.entries, logical_cores=cores.logical or None)
            yield Found(known, _TOPOLOGY)
    packages = host.native(_TOPOLOGY, _PACKAGES)
    if isinstance(packages, bytes):
        yield Found(Cpu(sockets=parse_topology(packages).entries or None), _TOPOLOGY)


def parse_topology(raw: bytes) -> Topology:
    """Entries of GetLogicalProcessorInformationEx for one relationship (winnt.h); lying sizes end it."""
    entries = logical = position = 0
    while position + _HEAD_BYTES <= len(raw):
        size = int.from_bytes(raw[position + 4 : position + 8], "little")
        entry = raw[position : position + size]
        if size < _GROUPS_AT or len(entry) < size:
            break
        entries += 1
        groups = int.from_bytes(entry[30:32], "little")
        for group in range(groups):
            at = _GROUPS_AT + group * _GROUP_BYTES
            logical += int.from_bytes(entry[at : at + 8], "little").bit_count()
        position += size
    return Topology(entries, logical)
