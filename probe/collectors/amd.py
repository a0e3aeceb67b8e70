"""AMD GPUs on Linux: by the kernel driver's files, by ROCm's own tools where those say nothing."""

from typing import Final

import msgspec

from probe.collectors.amd_tools import AmdTold, ask_rocminfo, ask_tools
from probe.collectors.answers import Failure
from probe.collectors.drm import (
    access_code,
    bound_devices,
    driver_version,
    drm_nodes,
    pci_ids,
    pcie_link,
    power_limits,
)
from probe.collectors.facts import Facts, Found, ask, size_or_none, text_or_none
from probe.collectors.host import Host
from probe.collectors.kfd import KfdNode, kfd_nodes, parse_ip_discovery
from probe.collectors.pci import BUS, in_processor
from probe.collectors.state_codes import STATES
from probe.machine.accelerator import Accelerator, AcceleratorKind, AcceleratorState
from probe.machine.attempt import Attempt, AttemptResult

SOURCE: Final = "amdgpu"
_KFD: Final = "/dev/kfd"
_VENDOR: Final = "1002"
# Processors whose GPU is meant for models of tens of gigabytes: one pool, and engines compute there.
_UNIFIED_TARGETS: Final = frozenset({"gfx1151"})  # Strix Halo
_UNIFIED_IDS: Final = frozenset({"74a0"})  # MI300A
_GIB: Final = 1024**3
_NAMES: Final = ("/usr/share/libdrm/amdgpu.ids", "/opt/amdgpu/share/libdrm/amdgpu.ids")


class AmdMemory(msgspec.Struct, frozen=True, kw_only=True):
    """The driver's two pools: VRAM, or what firmware set aside of RAM, and GTT, RAM lent page by page."""

    vram_bytes: int | None = None
    vram_used_bytes: int | None = None
    gtt_bytes: int | None = None
    gtt_used_bytes: int | None = None
    has_own_chips: bool = False  # the driver names the maker of the memory chips


def collect(host: Host) -> Facts:
    """Every AMD GPU: at once by name and memory, then with its link and power."""
    addresses, attempt = ask(host, SOURCE, lambda: bound_devices(host, "amdgpu"))
    if isinstance(addresses, Failure):
        yield attempt
        if host.exists("/dev/dxg"):
            yield from _collect_wsl(host)
        return
    yield attempt
    nodes = kfd_nodes(host)
    names = host.list_directory(BUS)
    bus = () if isinstance(names, Failure) else names
    version = driver_version(host, "amdgpu")
    cards: list[Accelerator] = []
    for address in addresses:
        node = nodes.get(address)
        card = _read_card(host, len(cards), address, node, inside=in_processor(host, _VENDOR, address, bus))
        if card is not None:
            cards.append(msgspec.structs.replace(card, driver_version=version))
            yield Found(cards[-1], SOURCE)
    for card in cards:
        yield Found(_with_details(host, card), SOURCE)
    if cards and host.exists(_KFD) and not host.may_use(_KFD):
        yield Attempt(source=_KFD, result=AttemptResult.DENIED, ms=0.0, code="kfd_no_permission")
    if any(card.memory_total_bytes is None for card in cards):
        yield from _collect_tools(host, cards)


def _read_card(
    host: Host, index: int, address: str, node: KfdNode | None, *, inside: bool
) -> Accelerator | None:
    ids = pci_ids(host, address)
    if ids is None:
        return None
    device, revision = ids
    memory = _read_memory(host, address)
    target = node.gfx_target if node else None
    if target is None:
        target = _ip_target(host, address)
    kind = kind_of(device=device, gfx_target=target, inside=inside, memory=memory)
    code = access_code(host, drm_nodes(host, address))
    card = Accelerator(
        index=index,
        kind=kind,
        vendor="amd",
        name=_name(host, address, device, revision) or f"AMD {_VENDOR}:{device}",
        state=STATES[code] if code else AcceleratorState.USABLE,
        state_reason=code,
        pci_address=address,
        pci_id=f"{_VENDOR}:{device}",
        gfx_target=target,
        bus_width_bits=node.memory_width_bits if node else None,
    )
    return with_memory(card, memory)


def kind_of(*, device: str, gfx_target: str | None, inside: bool, memory: AmdMemory) -> AcceleratorKind:
    """Discrete, part of an office processor, or a processor made for large models.

    An office processor's GPU shares its slot with the processor's other functions
    (`inside`), or has the memory of one: no chips of its own whose maker the driver
    names, at most 4 GiB set aside, at least 8 GiB and four times that lent. The
    second holds in virtual machines, which hide the neighbours.
    """
    if gfx_target in _UNIFIED_TARGETS or device in _UNIFIED_IDS:
        return AcceleratorKind.UNIFIED
    vram, gtt = memory.vram_bytes, memory.gtt_bytes
    borrowed = (
        not memory.has_own_chips
        and vram is not None
        and gtt is not None
        and vram <= 4 * _GIB
        and gtt >= max(8 * _GIB, 4 * vram)
    )
    return AcceleratorKind.INTEGRATED if inside or borrowed else AcceleratorKind.DISCRETE


def with_memory(card: Accelerator, memory: AmdMemory) -> Accelerator:
    """The card with its memory: VRAM alone, or VRAM and GTT together where both are RAM."""
    vram, used = memory.vram_bytes, memory.vram_used_bytes
    free = None if vram is None or used is None else max(0, vram - used)
    if card.kind is AcceleratorKind.DISCRETE:
        return msgspec.structs.replace(card, memory_total_bytes=vram, memory_free_bytes=free)
    lent, lent_used = memory.gtt_bytes, memory.gtt_used_bytes
    lent_free = None if lent is None or lent_used is None else max(0, lent - lent_used)
    return msgspec.structs.replace(
        card,
        memory_shared=True,
        memory_dedicated_bytes=vram,
        memory_total_bytes=None if vram is None or lent is None else vram + lent,
        memory_free_bytes=None if free is None or lent_free is None else free + lent_free,
    )


def _read_memory(host: Host, address: str) -> AmdMemory:
    def figure(name: str) -> int | None:
        return size_or_none(host.read_text(f"{BUS}/{address}/mem_info_{name}"))

    return AmdMemory(
        vram_bytes=figure("vram_total"),
        vram_used_bytes=figure("vram_used"),
        gtt_bytes=figure("gtt_total"),
        gtt_used_bytes=figure("gtt_used"),
        has_own_chips=text_or_none(host.read_text(f"{BUS}/{address}/mem_info_vram_vendor")) is not None,
    )


def _ip_target(host: Host, address: str) -> str | None:
    """The target by the chip's own table of parts, where ROCm's kernel side is switched off."""
    base = f"{BUS}/{address}/ip_discovery/die/0/GC/0"
    parts = [text_or_none(host.read_text(f"{base}/{name}")) for name in ("major", "minor", "revision")]
    return parse_ip_discovery(*parts)


def _name(host: Host, address: str, device: str, revision: str) -> str | None:
    """The product's name: written on the card (servers), else in libdrm's list by device and revision."""
    own = text_or_none(host.read_text(f"{BUS}/{address}/product_name"))
    if own:
        return own
    for path in _NAMES:
        text = host.read_text(path)
        if not isinstance(text, Failure):
            return parse_amdgpu_ids(text, device, revision)
    return None


def parse_amdgpu_ids(text: str, device: str, revision: str) -> str | None:
    """The name in libdrm's amdgpu.ids (`744C, C8, AMD Radeon RX 7900 XTX`); None when not listed."""
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",", 2)]
        if len(fields) == 3 and [field.lower() for field in fields[:2]] in (
            [device, revision],
            [device, revision.lstrip("0")],
        ):
            return fields[2]
    return None


def _with_details(host: Host, card: Accelerator) -> Accelerator:
    """Link and power: asked last, a sleeping card may take its time."""
    address = card.pci_address or ""
    if card.kind is not AcceleratorKind.DISCRETE:
        return card
    limit, default, most = power_limits(host, address)
    return msgspec.structs.replace(
        card,
        pcie=pcie_link(host, address, _VENDOR),
        power_limit_w=limit,
        power_limit_default_w=default,
        power_limit_max_w=most,
    )


def _collect_tools(host: Host, cards: list[Accelerator]) -> Facts:
    """amd-smi, then rocm-smi, for cards whose memory the driver's files do not tell."""
    for source, told, attempt in ask_tools(host):
        yield attempt
        for card in cards:
            row = next((row for row in told if row.pci_address == card.pci_address), None)
            if row is not None and row.vram_bytes and card.memory_total_bytes is None:
                yield Found(_from_tool(card, row), SOURCE)
        if told:
            return
        del source


def _from_tool(card: Accelerator, row: AmdTold) -> Accelerator:
    placeholder = card.name.endswith(card.pci_id or "")
    return msgspec.structs.replace(
        with_memory(card, AmdMemory(vram_bytes=row.vram_bytes, vram_used_bytes=row.vram_used_bytes)),
        name=row.name if placeholder and row.name else card.name,
        gfx_target=card.gfx_target or row.gfx_target,
    )


def _collect_wsl(host: Host) -> Facts:
    """Radeon under WSL: no bus, no files; only ROCm itself knows the card, when it is installed there."""
    asked = ask_rocminfo(host)
    if asked is None:
        return
    told, attempt = asked
    yield attempt
    for index, row in enumerate(told):
        inside = row.gfx_target in _UNIFIED_TARGETS
        card = Accelerator(
            index=index,
            kind=AcceleratorKind.UNIFIED if inside else AcceleratorKind.DISCRETE,
            vendor="amd",
            name=row.name or f"AMD {row.pci_id}",
            state=AcceleratorState.USABLE,
            pci_id=row.pci_id,
            gfx_target=row.gfx_target,
        )
        memory = AmdMemory(vram_bytes=row.vram_bytes)
        yield Found(
            msgspec.structs.replace(card, memory_shared=True) if inside else with_memory(card, memory),
            "rocminfo",
        )
