"""Roads between NVIDIA GPUs, and from each to the processor."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from probe.collectors import nvml_session as codes
from probe.collectors.nvml_session import NvmlDevice, NvmlError, NvmlSession
from probe.collectors.pci import normal_address
from probe.machine.accelerator import Accelerator, AcceleratorKind
from probe.machine.description import Link, LinkKind

_MOST_LINKS: Final = 36  # NVML_NVLINK_MAX_LINKS of the header of 2026-07; it was 18
_READ: Final = 0  # NVML_P2P_CAPS_INDEX_READ: the binding's own constant is a tuple by a stray comma
_SWITCH: Final = 2  # NVML_NVLINK_DEVICE_TYPE_SWITCH
_TOPOLOGY: Final = {0: "internal", 10: "pix", 20: "pxb", 30: "phb", 40: "node", 50: "sys"}
# By the chip first: nvmlDeviceGetNvLinkVersion was seen to answer 5.0 for the H100, whose links are 4.0
# (public NCCL bandwidth scripts carry a workaround).
_GENERATION_OF: Final = {"Pascal": 1, "Volta": 2, "Turing": 2, "Ampere": 3, "Hopper": 4, "Blackwell": 5}
# nvml.h, NVML_NVLINK_VERSION_*.
_GENERATION_BY_VERSION: Final = {1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 5, 8: 6}


class NvLinks(msgspec.Struct, frozen=True, kw_only=True):
    """Active NVLinks of one device: to a switch, and to other GPUs by PCI address."""

    to_switch: int = 0
    to_gpu: dict[str, int] = {}
    generation: int | None = None
    bytes_per_s: float | None = None  # one link, one way, as signalled

    def between(self, other: "NvLinks", other_address: str | None) -> int:
        """Links that carry traffic to another device; through a switch every link reaches every device."""
        direct = self.to_gpu.get(other_address or "", 0)
        return direct + min(self.to_switch, other.to_switch)


def read_links(session: NvmlSession, devices: Sequence[tuple[NvmlDevice, Accelerator]]) -> tuple[Link, ...]:
    """One link from the processor to each device, and one for every pair of devices."""
    links = [link for _, device in devices if (link := host_link(device))]
    if len(devices) < 2:
        return tuple(links)
    nvlinks = [read_nvlinks(session, handle, device) for handle, device in devices]
    for first in range(len(devices)):
        for second in range(first + 1, len(devices)):
            links.append(_pair(session, devices[first], devices[second], nvlinks[first], nvlinks[second]))
    return tuple(links)


def host_link(device: Accelerator) -> Link | None:
    """The road between processor and device: PCIe, or NVLink-C2C where memory is coherent."""
    if device.memory_shared:
        return None
    name = f"gpu{device.index}"
    if device.kind is AcceleratorKind.UNIFIED:
        return Link(a="cpu", b=name, kind=LinkKind.C2C)
    if device.pcie is None:
        return None
    return Link(
        a="cpu",
        b=name,
        kind=LinkKind.PCIE,
        lanes=device.pcie.max_width,
        generation=device.pcie.max_generation,
    )


def read_nvlinks(session: NvmlSession, handle: NvmlDevice, device: Accelerator) -> NvLinks:
    """Counts the active links; a card without NVLink answers the first question with NotSupported."""
    to_switch = 0
    to_gpu: Counter[str] = Counter()
    version: int | None = None
    for number in range(_MOST_LINKS):
        state = session.ask("nvmlDeviceGetNvLinkState", handle, number)
        if isinstance(state, NvmlError):
            if state.code in (codes.NOT_SUPPORTED, codes.INVALID_ARGUMENT, codes.FUNCTION_NOT_FOUND):
                break
            continue
        if state != 1:
            continue
        if version is None:
            told = session.ask("nvmlDeviceGetNvLinkVersion", handle, number)
            version = told if isinstance(told, int) else None
        if session.ask("nvmlDeviceGetNvLinkRemoteDeviceType", handle, number) == _SWITCH:
            to_switch += 1
            continue
        remote = session.ask("nvmlDeviceGetNvLinkRemotePciInfo", handle, number)
        address = remote.get("busId") if isinstance(remote, dict) else None
        if isinstance(address, str) and address:
            to_gpu[normal_address(address)] += 1
    if not to_switch and not to_gpu:
        return NvLinks()
    speed = session.ask("nvlink_speed_mb_per_s", handle)
    return NvLinks(
        to_switch=to_switch,
        to_gpu=dict(to_gpu),
        generation=_GENERATION_OF.get(device.architecture or "", _GENERATION_BY_VERSION.get(version or 0)),
        bytes_per_s=speed * 1e6 if isinstance(speed, int) and speed > 0 else None,
    )


def _pair(
    session: NvmlSession,
    first: tuple[NvmlDevice, Accelerator],
    second: tuple[NvmlDevice, Accelerator],
    first_links: NvLinks,
    second_links: NvLinks,
) -> Link:
    (a, device_a), (b, device_b) = first, second
    count = first_links.between(second_links, device_b.pci_address)
    peer = session.ask("nvmlDeviceGetP2PStatus", a, b, _READ)
    ancestor = session.ask("nvmlDeviceGetTopologyCommonAncestor", a, b)
    name_a, name_b = f"gpu{device_a.index}", f"gpu{device_b.index}"
    peer_access = peer == 0 if isinstance(peer, int) else None
    topology = _TOPOLOGY.get(ancestor) if isinstance(ancestor, int) else None
    if count:
        each = first_links.bytes_per_s
        return Link(
            a=name_a,
            b=name_b,
            kind=LinkKind.NVLINK,
            lanes=count,
            generation=first_links.generation,
            bytes_per_s=each * count if each else None,
            peer_access=peer_access,
            topology=topology,
        )
    links = [device.pcie for device in (device_a, device_b) if device.pcie]
    widths = [link.max_width for link in links if link.max_width]
    generations = [link.max_generation for link in links if link.max_generation]
    return Link(
        a=name_a,
        b=name_b,
        kind=LinkKind.PCIE,
        lanes=min(widths, default=None),
        generation=min(generations, default=None),
        peer_access=peer_access,
        topology=topology,
    )
