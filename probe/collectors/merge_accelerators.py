"""Cards from all sources as one list: one row a card, its state decided from everything known."""

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import msgspec

from probe.collectors.bus_cards import bus_row, driver_code, is_card
from probe.collectors.cuda_mask import visible_devices
from probe.collectors.facts import CudaIdentity, CudaProof, Found, NvidiaFiles, PciDevice, VisibleDevices
from probe.collectors.nvidia_state import NVML, bus_code, explained, nvml_failure
from probe.collectors.nvml_device import is_integrated
from probe.collectors.pci import BUS
from probe.collectors.state_codes import STATES
from probe.collectors.windows_collectors import DISPLAY_SOURCE
from probe.machine.accelerator import Accelerator, AcceleratorKind, AcceleratorState
from probe.machine.attempt import Attempt, AttemptResult, Source
from probe.machine.description import Link, NvidiaDriver, OperatingSystem
from probe.machine.system import Memory

_T = TypeVar("_T")
_FROM_BUS: Final = "pci"


class Devices(msgspec.Struct, frozen=True, kw_only=True):
    """What this file hands to the Machine."""

    accelerators: tuple[Accelerator, ...]
    links: tuple[Link, ...]
    nvidia: NvidiaDriver
    attempts: tuple[Attempt, ...]
    provenance: dict[str, Source]
    memory_nodes: frozenset[int]  # NUMA nodes that are a device's own memory


class _Card(msgspec.Struct):
    """A card on its way through this file."""

    row: Accelerator
    source: str
    nvml_index: int | None = None

    def change(self, **fields: object) -> None:
        self.row = msgspec.structs.replace(self.row, **fields)

    def set_state(self, code: str | None) -> None:
        self.change(state=STATES[code] if code else AcceleratorState.USABLE, state_reason=code)


def merge_accelerators(
    parts: Sequence[Found],
    attempts: Sequence[Attempt],
    *,
    system: OperatingSystem,
    memory: Memory,
    nvidia: NvidiaDriver,
) -> Devices:
    """All devices once, with states, indices in one series, and links that name these indices."""
    files = _last(parts, NvidiaFiles) or NvidiaFiles()
    failure = nvml_failure(attempts, system)
    cards = _joined(_cards(parts))
    _add_bus(cards, _bus(parts), files, failure, system)
    _add_tegra(cards, files)
    _apply_proof(cards, _last(parts, CudaProof))
    provenance = _share_memory(cards, memory, files)
    for card in cards:
        if card.row.state_reason == "blocked_by_system" and system.wsl:
            card.set_state("wsl_access_blocked")
    mask_attempts = _apply_mask(cards, parts)
    has_card = any(card.row.vendor == "nvidia" for card in cards)
    # In WSL and in many containers the bus shows no card even where there is one.
    bus_known = not system.wsl and any(
        attempt.source in (BUS, DISPLAY_SOURCE) and attempt.result is AttemptResult.OK for attempt in attempts
    )
    for position, card in enumerate(cards):
        version = nvidia.driver_version if card.row.vendor == "nvidia" else card.row.driver_version
        card.change(index=position, driver_version=version)
        provenance[f"/accelerators/{position}"] = Source(kind="read", source=card.source)
    places = {card.nvml_index: card.row.index for card in cards if card.nvml_index is not None}
    return Devices(
        accelerators=tuple(card.row for card in cards),
        links=_renamed((found.part for found in parts if isinstance(found.part, Link)), places),
        nvidia=msgspec.structs.replace(
            nvidia,
            kernel_module_version=files.kernel_module_version,
            library_version=files.library_version,
        ),
        attempts=(
            *(
                explained(attempt, files, failure, has_card=has_card, bus_known=bus_known)
                for attempt in attempts
            ),
            *mask_attempts,
        ),
        provenance=provenance,
        memory_nodes=frozenset(
            card.row.numa_node
            for card in cards
            if card.row.numa_node is not None
            and card.row.kind is AcceleratorKind.UNIFIED
            and not card.row.memory_shared
        ),
    )


def _cards(parts: Iterable[Found]) -> list[_Card]:
    """One card for each device of each source; what a source says later of a device replaces it."""
    cards: dict[tuple[str, int], _Card] = {}
    for found in parts:
        if isinstance(found.part, Accelerator):
            index = found.part.index
            cards[found.source, index] = _Card(
                found.part, found.source, index if found.source == NVML else None
            )
    return sorted(cards.values(), key=lambda card: card.source != NVML)


def _joined(cards: Sequence[_Card]) -> list[_Card]:
    """The same card told by several sources once: the first source stands, others fill its gaps."""
    joined: list[_Card] = []
    for card in cards:
        known = next((other for other in joined if _same(other, card)), None)
        if known is None:
            joined.append(card)
        else:
            _fill(known, card.row)
    return joined


def _same(known: _Card, other: _Card) -> bool:
    """One device: by address, and without one by vendor and id, or name. Never two of one source."""
    a, b = known.row, other.row
    if known.source == other.source or a.vendor != b.vendor:
        return False
    if a.pci_address and b.pci_address:
        return a.pci_address == b.pci_address
    if a.pci_id and b.pci_id:
        return a.pci_id == b.pci_id
    return a.name == b.name


def _fill(card: _Card, other: Accelerator) -> None:
    card.change(
        **{
            name: value
            for name in other.__struct_fields__
            if getattr(card.row, name) in (None, ())
            and (value := getattr(other, name)) not in (None, ())
            and name != "state_reason"
        }
    )


def _bus(parts: Iterable[Found]) -> list[PciDevice]:
    devices = {found.part.address: found.part for found in parts if isinstance(found.part, PciDevice)}
    return list(devices.values())


def _add_bus(
    cards: list[_Card],
    bus: Sequence[PciDevice],
    files: NvidiaFiles,
    failure: str | None,
    system: OperatingSystem,
) -> None:
    """Fills known cards from the bus and adds those that only the bus knows."""
    by_address = {device.address: device for device in bus}
    new = _fill_from_bus(cards, bus)
    _place_nameless(cards, new, files)
    for card in cards:
        # Windows names its cards itself; one of NVIDIA's that NVML does not know has its reason there.
        lone = card.source == DISPLAY_SOURCE and card.row.vendor == "nvidia"
        if lone and card.row.state is AcceleratorState.USABLE and card.row.pci_address in by_address:
            card.set_state(bus_code(by_address[card.row.pci_address], files, failure, system))
    for card in new:
        address = card.row.pci_address or ""
        if card.row.vendor == "nvidia":
            card.change(name=files.models.get(address, card.row.name))
            card.set_state(bus_code(by_address[address], files, failure, system))
        else:
            card.set_state(driver_code(by_address[address]))
    cards += new


def _fill_from_bus(cards: Sequence[_Card], bus: Sequence[PciDevice]) -> list[_Card]:
    """Fills the cards whose address is known; the cards that only the bus has."""
    new = []
    known = {card.row.pci_address: card for card in cards if card.row.pci_address}
    for device in bus:
        card = known.get(device.address)
        if card is not None:
            _fill(card, bus_row(device))
        elif is_card(device):
            new.append(_Card(bus_row(device), _FROM_BUS))
    return new


def _place_nameless(cards: Sequence[_Card], new: list[_Card], files: NvidiaFiles) -> None:
    """Devices that NVML counts but does not let us ask are the ones on the bus that it did not name."""
    nameless = [card for card in cards if card.source == NVML and card.row.pci_address is None]
    own = [card for card in new if card.row.vendor == "nvidia"]
    if len(nameless) != len(own):
        return
    for card, on_bus in zip(nameless, own, strict=True):
        if card.row.state is not AcceleratorState.USABLE:
            card.change(name=files.models.get(on_bus.row.pci_address or "", on_bus.row.name))
        _fill(card, on_bus.row)
        new.remove(on_bus)


def _add_tegra(cards: list[_Card], files: NvidiaFiles) -> None:
    """A Jetson whose system has no NVML yet (JetPack before 6): the board itself is the GPU."""
    if not files.is_tegra or any(card.row.vendor == "nvidia" for card in cards):
        return
    works = any(node in files.device_nodes for node in ("nvgpu", "nvhost-gpu"))
    card = _Card(
        Accelerator(
            index=0,
            kind=AcceleratorKind.UNIFIED,
            vendor="nvidia",
            name=files.board or "NVIDIA Tegra",
            state=AcceleratorState.USABLE,
            memory_shared=True,
        ),
        "device tree",
    )
    card.set_state(None if works else "module_not_loaded")
    cards.append(card)


def _share_memory(cards: Sequence[_Card], memory: Memory, files: NvidiaFiles) -> dict[str, Source]:
    """Gives GPUs that live in RAM the RAM's figures; a discrete card without figures stays unknown."""
    provenance: dict[str, Source] = {}
    for position, card in enumerate(cards):
        row = card.row
        if row.vendor != "nvidia" or not (
            row.memory_shared or is_integrated(row.name) or (files.is_tegra and row.pcie is None)
        ):
            continue
        card.change(
            kind=AcceleratorKind.UNIFIED,
            memory_shared=True,
            memory_total_bytes=memory.total_bytes,
            memory_free_bytes=memory.available_bytes,
            memory_reserved_bytes=None,
            pcie=None,
        )
        for field in ("memory_total_bytes", "memory_free_bytes"):
            provenance[f"/accelerators/{position}/{field}"] = Source(kind="read", source="/proc/meminfo")
    return provenance


def _apply_mask(cards: Sequence[_Card], parts: Sequence[Found]) -> tuple[Attempt, ...]:
    """Marks usable cards that CUDA_VISIBLE_DEVICES hides."""
    mask = _last(parts, VisibleDevices)
    identities = {found.part.index: found.part for found in parts if isinstance(found.part, CudaIdentity)}
    if mask is None or mask.cuda is None or not identities:
        return ()
    selection = visible_devices(mask, list(identities.values()))
    if selection is None:
        return ()
    for card in cards:
        usable = card.row.state is AcceleratorState.USABLE
        if usable and card.nvml_index in identities and card.nvml_index not in selection.visible:
            card.set_state("hidden_by_mask")
    hidden = len(selection.visible) < len(identities)
    return (
        Attempt(
            source="CUDA_VISIBLE_DEVICES",
            result=AttemptResult.OK,
            ms=0.0,
            detail=f"{len(identities)} on the machine, {len(selection.visible)} visible to CUDA programs",
            code="mask_order_assumed" if selection.assumed else "hidden_by_mask" if hidden else None,
        ),
    )


def _apply_proof(cards: Sequence[_Card], proof: CudaProof | None) -> None:
    """Takes NVIDIA cards out of use that the CUDA driver cannot start; marks those inside the processor."""
    if proof is None or proof.error_code == "library_not_found":
        return
    for card in cards:
        if card.nvml_index is None or card.row.state is not AcceleratorState.USABLE:
            continue
        known = next((row for row in proof.devices if row.pci_address == card.row.pci_address), None)
        code = proof.error_code or (known.error_code if known else None)
        if code:
            card.set_state(code)
        elif known and known.integrated and not card.row.memory_shared:
            card.change(kind=AcceleratorKind.UNIFIED, memory_shared=True)


def _renamed(links: Iterable[Link], places: dict[int, int]) -> tuple[Link, ...]:
    """Links with our indices in place of NVML's; of several tellings of one pair the last stands."""
    names = {f"gpu{nvml}": f"gpu{ours}" for nvml, ours in places.items()}
    renamed = [
        msgspec.structs.replace(link, a=names.get(link.a, link.a), b=names.get(link.b, link.b))
        for link in links
    ]
    return tuple({(link.a, link.b): link for link in renamed}.values())


def _last(parts: Iterable[Found], kind: type[_T]) -> _T | None:
    last: _T | None = None
    for found in parts:
        if isinstance(found.part, kind):
            last = found.part
    return last
