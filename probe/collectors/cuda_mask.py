"""Which cards a CUDA program sees: the rules of CUDA_VISIBLE_DEVICES, which NVML ignores."""

from collections.abc import Sequence

import msgspec

from probe.collectors.facts import CudaIdentity, VisibleDevices


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """NVML indices that stay visible. `assumed`: CUDA's own order decided and can only be guessed."""

    visible: frozenset[int]
    assumed: bool = False


def visible_devices(mask: VisibleDevices, devices: Sequence[CudaIdentity]) -> Selection | None:
    """What the mask leaves; None when there is no mask.

    Entries are positions, UUIDs or beginnings of UUIDs. The first entry that
    names nothing hides itself and all after it; a repeated one hides everything.

    Source: CUDA C++ Programming Guide, section "CUDA Environment Variables".
    """
    if mask.cuda is None:
        return None
    ordered, certain = cuda_order(mask, devices)
    chosen: list[int] = []
    by_position = False
    for entry in (part.strip() for part in mask.cuda.split(",")):
        index = _named(entry, ordered)
        if index is None:
            break
        by_position = by_position or entry.lstrip("+").isdigit()
        chosen.append(index)
    if len(set(chosen)) < len(chosen) and not any(entry.startswith("MIG-") for entry in mask.cuda.split(",")):
        chosen = []
    partial = 0 < len(set(chosen)) < len(devices)
    return Selection(visible=frozenset(chosen), assumed=by_position and partial and not certain)


def cuda_order(mask: VisibleDevices, devices: Sequence[CudaIdentity]) -> tuple[list[CudaIdentity], bool]:
    """Devices by CUDA's numbering, and whether that is certain.

    Without CUDA_DEVICE_ORDER=PCI_BUS_ID the fastest comes first; how CUDA
    measures that is not published, cores times clock stands for it. Equal
    cards keep the order of the bus.
    """
    by_bus = sorted(devices, key=lambda device: device.index)
    if (mask.order or "").upper() == "PCI_BUS_ID" or len({device.speed for device in by_bus}) <= 1:
        return by_bus, True
    return sorted(by_bus, key=lambda device: -(device.speed or 0.0)), False


def _named(entry: str, ordered: Sequence[CudaIdentity]) -> int | None:
    """The NVML index of the one device that an entry names."""
    if entry.isdigit():
        position = int(entry)
        return ordered[position].index if position < len(ordered) else None
    if entry.startswith("GPU-"):
        found = [device.index for device in ordered if device.uuid and device.uuid.startswith(entry)]
        return found[0] if len(found) == 1 else None
    if entry.startswith("MIG-"):
        # The older spelling MIG-GPU-<uuid>/<instance>/<compute instance> names the card itself.
        card = entry[4:].split("/", 1)[0]
        for device in ordered:
            if device.uuid == card or any(uuid.startswith(entry) for uuid in device.slice_uuids):
                return device.index
    return None
