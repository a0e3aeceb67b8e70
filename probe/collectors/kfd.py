"""The compute side of AMD's kernel driver: which instruction set each GPU runs."""

import re
from typing import Final

import msgspec

from probe.collectors.answers import Failure
from probe.collectors.host import Host

_NODES: Final = "/sys/class/kfd/kfd/topology/nodes"


class KfdNode(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU of the topology."""

    address: str
    gfx_target: str | None = None
    memory_width_bits: int | None = None


def kfd_nodes(host: Host) -> dict[str, KfdNode]:
    """GPU nodes by PCI address; a partitioned card's parts share one address, the first stands."""
    names = host.list_directory(_NODES)
    found: dict[str, KfdNode] = {}
    for name in () if isinstance(names, Failure) else names:
        text = host.read_text(f"{_NODES}/{name}/properties")
        node = None if isinstance(text, Failure) else parse_node(text)
        if node is None:
            continue
        bank = host.read_text(f"{_NODES}/{name}/mem_banks/0/properties")
        width = None if isinstance(bank, Failure) else _fields(bank).get("width") or None
        found.setdefault(
            node.address,
            KfdNode(address=node.address, gfx_target=node.gfx_target, memory_width_bits=width),
        )
    return found


def parse_node(text: str) -> KfdNode | None:
    """A node's properties; None for processors."""
    fields = _fields(text)
    place = fields.get("location_id")
    if not fields.get("simd_count") or place is None:
        return None
    address = f"{fields.get('domain', 0):04x}:{place >> 8:02x}:{place >> 3 & 31:02x}.{place & 7}"
    return KfdNode(address=address, gfx_target=gfx_target(fields.get("gfx_target_version", 0)))


def gfx_target(version: int) -> str | None:
    """`gfx1100` of 110000, `gfx90a` of 90010: decimal pairs, minor and stepping written hexadecimal."""
    if version <= 0:
        return None
    return f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"


def parse_ip_discovery(major: str | None, minor: str | None, revision: str | None) -> str | None:
    """`gfx1151` of the graphics core's version 11, 5, 1; None before version 9, where the table is silent."""
    parts = [int(part) for part in (major, minor, revision) if part is not None and part.isdigit()]
    if len(parts) != 3 or parts[0] < 9:
        return None
    return gfx_target(parts[0] * 10000 + parts[1] * 100 + parts[2])


def _fields(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"^(\w+) (\d{1,18})$", text, re.MULTILINE)}
