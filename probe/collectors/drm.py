"""What Linux says of any GPU that a kernel driver runs: its nodes, its road to the processor, our rights."""

import re
from typing import Final

import msgspec

from probe.collectors.answers import Failure
from probe.collectors.facts import int_or_none, text_or_none
from probe.collectors.host import Host
from probe.collectors.pci import BUS, normal_address, parse_link_speed
from probe.machine.accelerator import PcieLink

_ADDRESS: Final = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_PCI_BRIDGE: Final = "0x0604"


class DrmNodes(msgspec.Struct, frozen=True):
    """Names of a GPU's nodes: `card1` under /sys/class/drm, `renderD128` under /dev/dri."""

    card: str | None = None
    render: str | None = None


def bound_devices(host: Host, driver: str) -> tuple[str, ...] | Failure:
    """Addresses on the PCI bus that a kernel driver runs; a Failure where the driver is not loaded."""
    names = host.list_directory(f"/sys/bus/pci/drivers/{driver}")
    if isinstance(names, Failure):
        return names
    return tuple(name for name in names if _ADDRESS.fullmatch(name))


def drm_nodes(host: Host, address: str) -> DrmNodes:
    """The nodes that the driver made for this device."""
    names = host.list_directory(f"{BUS}/{address}/drm")
    if isinstance(names, Failure):
        return DrmNodes()
    card = next((name for name in names if re.fullmatch(r"card\d+", name)), None)
    return DrmNodes(card, next((name for name in names if name.startswith("renderD")), None))


def access_code(host: Host, nodes: DrmNodes) -> str | None:
    """Why this user cannot compute on a GPU that the driver runs; None when nothing speaks against it."""
    if nodes.render is None:
        return None
    path = f"/dev/dri/{nodes.render}"
    if not host.exists(path):
        return "device_node_missing"
    return None if host.may_use(path) else "no_render_access"


def pcie_link(host: Host, address: str, vendor: str) -> PcieLink | None:
    """The link between a card and the board.

    Radeon since Navi and Arc carry a PCIe switch: the GPU's own link ends at that
    switch and always looks whole (or, on Arc, like 2.5 GT/s x1). So the outermost
    part of the same maker on the way to the processor is asked, and the port
    above it for what the slot can.
    """
    target = host.read_link(f"{BUS}/{address}")
    chain = [] if isinstance(target, Failure) else [p for p in target.split("/") if _ADDRESS.fullmatch(p)]
    outer = address
    # The first of the chain is the processor's own port, also where it is of the same maker (Intel).
    for above in reversed(chain[1:-1]):
        same_maker = text_or_none(host.read_text(f"{BUS}/{above}/vendor")) == f"0x{vendor}"
        if not same_maker or not _is_bridge(host, above):
            break
        outer = above
    folder = f"{BUS}/{outer}"
    own_generation = _generation(host, f"{folder}/max_link_speed")
    slot_generation = None
    if outer in chain and chain.index(outer) > 0:
        port = f"{BUS}/{chain[chain.index(outer) - 1]}"
        slot_generation = _generation(host, f"{port}/max_link_speed")
    known = [value for value in (own_generation, slot_generation) if value is not None]
    link = PcieLink(
        generation=_generation(host, f"{folder}/current_link_speed"),
        width=_width(host, f"{folder}/current_link_width"),
        max_generation=min(known) if known else None,
        max_width=_width(host, f"{folder}/max_link_width"),
        device_max_generation=own_generation,
    )
    return None if link == PcieLink() else link


def power_limits(host: Host, address: str) -> tuple[float | None, float | None, float | None]:
    """Limit, default and highest limit of a card's power in watts, as its hardware monitor says."""
    base = f"{BUS}/{address}/hwmon"
    names = host.list_directory(base)
    if isinstance(names, Failure):
        return None, None, None
    folder = f"{base}/{names[0]}" if names else base
    microwatts = [
        int_or_none(host.read_text(f"{folder}/{name}"))
        for name in ("power1_cap", "power1_cap_default", "power1_cap_max")
    ]
    limit, default, most = (value / 1e6 if value else None for value in microwatts)
    return limit, default, most


def pci_ids(host: Host, address: str) -> tuple[str, str] | None:
    """Device and revision id of a device, hexadecimal without 0x."""
    device = int_or_none(host.read_text(f"{BUS}/{address}/device"), 16)
    revision = int_or_none(host.read_text(f"{BUS}/{address}/revision"), 16)
    return None if device is None else (f"{device:04x}", f"{revision or 0:02x}")


def driver_version(host: Host, driver: str) -> str | None:
    """The version of a driver that came in a package of its own, else the kernel's, of which it is a part."""
    return text_or_none(host.read_text(f"/sys/module/{driver}/version")) or host.platform().kernel


def _is_bridge(host: Host, address: str) -> bool:
    text = host.read_text(f"{BUS}/{normal_address(address)}/class")
    return not isinstance(text, Failure) and text.startswith(_PCI_BRIDGE)


def _generation(host: Host, path: str) -> int | None:
    text = host.read_text(path)
    return None if isinstance(text, Failure) else parse_link_speed(text.strip())


def _width(host: Host, path: str) -> int | None:
    width = int_or_none(host.read_text(path))
    return width if width and width < 64 else None  # 255 stands for unknown
