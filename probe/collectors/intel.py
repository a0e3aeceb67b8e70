"""Intel GPUs on Linux: Arc and data-centre cards with memory of their own, and the ones in processors."""

import re
from typing import Final

import msgspec

from probe.collectors.answers import Failure, Plain
from probe.collectors.drm import (
    DrmNodes,
    access_code,
    bound_devices,
    driver_version,
    drm_nodes,
    pci_ids,
    pcie_link,
    power_limits,
)
from probe.collectors.facts import Facts, Found, ask, size_or_none
from probe.collectors.host import Host
from probe.collectors.pci import BUS, in_processor
from probe.collectors.state_codes import STATES
from probe.machine.accelerator import Accelerator, AcceleratorKind, AcceleratorState

SOURCE: Final = "intel gpu driver"
_DRIVERS: Final = ("i915", "xe")
_VENDOR: Final = "8086"


def collect(host: Host) -> Facts:
    """Every GPU that i915 or xe runs; the query that opens the device is asked last."""
    cards: list[tuple[str, DrmNodes, Accelerator]] = []
    for driver in _DRIVERS:
        addresses, attempt = ask(host, f"{SOURCE} {driver}", lambda: bound_devices(host, driver))  # noqa: B023 - asked at once
        if isinstance(addresses, Failure):
            continue
        yield attempt
        version = driver_version(host, driver)
        for address in addresses:
            nodes = drm_nodes(host, address)
            card = _read_card(host, len(cards), address, nodes)
            if card is not None:
                card = msgspec.structs.replace(card, driver_version=version)
                cards.append((driver, nodes, card))
                yield Found(card, SOURCE)
    for driver, nodes, card in cards:
        if card.kind is AcceleratorKind.DISCRETE:
            yield Found(_with_details(host, driver, nodes, card), SOURCE)


def _read_card(host: Host, index: int, address: str, nodes: DrmNodes) -> Accelerator | None:
    ids = pci_ids(host, address)
    if ids is None:
        return None
    inside = in_processor(host, _VENDOR, address, ())
    code = access_code(host, nodes)
    return Accelerator(
        index=index,
        kind=AcceleratorKind.INTEGRATED if inside else AcceleratorKind.DISCRETE,
        vendor="intel",
        name=f"Intel {_VENDOR}:{ids[0]}",  # the kernel has no product names; the catalog knows them by id
        state=STATES[code] if code else AcceleratorState.USABLE,
        state_reason=code,
        pci_address=address,
        pci_id=f"{_VENDOR}:{ids[0]}",
        memory_shared=inside,
        memory_total_bytes=None if inside else _memory_by_files(host, address, nodes),
    )


def _memory_by_files(host: Host, address: str, nodes: DrmNodes) -> int | None:
    """xe has one file for each tile; i915 has one in Intel's own packages, none in the kernel's version."""
    if nodes.card:
        whole = size_or_none(host.read_text(f"/sys/class/drm/{nodes.card}/lmem_total_bytes"))
        if whole:
            return whole
    names = host.list_directory(f"{BUS}/{address}")
    tiles = [
        size_or_none(host.read_text(f"{BUS}/{address}/{name}/physical_vram_size_bytes"))
        for name in (() if isinstance(names, Failure) else names)
        if re.fullmatch(r"tile\d+", name)
    ]
    return sum(size for size in tiles if size) or None


def _with_details(host: Host, driver: str, nodes: DrmNodes, card: Accelerator) -> Accelerator:
    limit, default, most = power_limits(host, card.pci_address or "")
    free: int | None = None
    total = card.memory_total_bytes
    if nodes.render and card.state is AcceleratorState.USABLE:
        answer = host.native("drm_memory_regions", driver, f"/dev/dri/{nodes.render}")
        asked_total, free = parse_regions(answer)
        total = total or asked_total
    return msgspec.structs.replace(
        card,
        memory_total_bytes=total,
        memory_free_bytes=free if free is not None and total is not None and free <= total else None,
        pcie=pcie_link(host, card.pci_address or "", _VENDOR),
        power_limit_w=limit,
        power_limit_default_w=default,
        power_limit_max_w=most,
    )


def parse_regions(answer: Plain | Failure) -> tuple[int | None, int | None]:
    """Total and free bytes of a card's own memory over all tiles; None where the driver did not say.

    The answer is a list of [is device memory, total, free]; free is -1 for users
    without the right to know what others use.
    """
    if isinstance(answer, Failure) or not isinstance(answer, list | tuple):
        return None, None
    own = [row for row in answer if isinstance(row, list | tuple) and len(row) == 3 and row[0] is True]
    totals = [row[1] for row in own if isinstance(row[1], int) and size_or_none(row[1])]
    free = [row[2] for row in own if isinstance(row[2], int) and row[2] >= 0]
    return sum(totals) or None, sum(free) if free and len(free) == len(totals) else None
